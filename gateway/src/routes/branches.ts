import { Branch } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { z } from 'zod';
import { route, type Context, type Reply, type Route } from '../http/route.js';
import { branchJson, branchReply } from '../present/branch.js';
import { branchCreate, branchListShape, branchParams, branchShape } from '../shapes/branch.js';
import * as common from '../shapes/common.js';

const mayRead = { of: 'course', param: 'id', action: 'course.read-draft' } as const;

async function readBranch(context: Context, name: string): Promise<Reply> {
  const { courseId } = context.course;
  return branchReply(await context.peers.versioning.getBranch({ courseId, name }, context.read));
}

const listBranches = route({
  method: 'get',
  path: '/courses/{id}/branches',
  feature: 'D5',
  tag: 'Branches',
  summary: 'List the branches of a course',
  params: common.byId,
  query: z.strictObject(common.page),
  permission: mayRead,
  responses: { 200: branchListShape },
  async handle({ params, query }, context) {
    const { cursor = '', limit } = query;
    const page = await context.peers.versioning.listBranches({ courseId: params.id, cursor, limit }, context.read);
    return { status: 200, body: { items: page.branches.map(branchJson), next: context.next(page.next) } };
  },
});

const createBranch = route({
  method: 'post',
  path: '/courses/{id}/branches',
  feature: 'D5',
  tag: 'Branches',
  summary: 'Make a branch',
  params: common.byId,
  query: common.noQuery,
  body: { kind: 'json', schema: branchCreate },
  permission: { of: 'course', param: 'id', action: 'course.write' },
  write: 'versioning',
  responses: { 201: branchShape },
  reasons: ['NAME_INVALID', 'NAME_TAKEN', 'METADATA_TOO_LARGE', 'REF_NOT_FOUND'],
  async handle({ params, body }, context) {
    const { name, from = '', metadata = {} } = body;
    const request = { courseId: params.id, name, from, protected: body.protected ?? false, metadata };
    return made(await context.peers.versioning.createBranch(request, context.write));
  },
  async replay(result, { params, body }, open) {
    const context = await open();
    const kept = Branch.fromJSON(result);
    // Kept by a release that remembered no more than the branch's id: then as it is now.
    if (kept.head !== '') return made(kept);
    const now = await context.peers.versioning.getBranch({ courseId: params.id, name: body.name }, context.read);
    return made(now);
  },
});

/** A branch as it began; it may have moved or be gone since. */
function made(branch: Branch): Reply {
  const location = `/courses/${branch.courseId}/branches/${encodeURIComponent(branch.name)}`;
  return { ...branchReply(branch), status: 201, location };
}

const getBranch = route({
  method: 'get',
  path: '/courses/{id}/branches/{name}',
  feature: 'D5',
  tag: 'Branches',
  summary: 'Read a branch: its head, and where it stands against the one it was made from',
  description: 'A slash in the name is written %2F.',
  params: branchParams,
  query: common.noQuery,
  permission: mayRead,
  responses: { 200: branchShape },
  reasons: ['BRANCH_NOT_FOUND'],
  handle: ({ params }, context) => readBranch(context, params.name),
});

/** D5. */
export const branchRoutes: readonly Route[] = [listBranches, createBranch, getBranch];
