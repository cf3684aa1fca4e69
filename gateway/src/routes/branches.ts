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
  summary: 'Make a branch',
  params: common.byId,
  query: common.noQuery,
  body: { kind: 'json', schema: branchCreate },
  permission: { of: 'course', param: 'id', action: 'course.write' },
  write: 'versioning',
  responses: { 201: branchShape },
  async handle({ params, body }, context) {
    const { name, from = '', metadata = {} } = body;
    const request = { courseId: params.id, name, from, protected: body.protected ?? false, metadata };
    return made(branchReply(await context.peers.versioning.createBranch(request, context.write)), params.id, name);
  },
  replay: async (_result, { params, body }, open) =>
    made(await readBranch(await open(), body.name), params.id, body.name),
});

function made(reply: Reply, courseId: string, name: string): Reply {
  return { ...reply, status: 201, location: `/courses/${courseId}/branches/${encodeURIComponent(name)}` };
}

const getBranch = route({
  method: 'get',
  path: '/courses/{id}/branches/{name}',
  feature: 'D5',
  summary: 'Read a branch: its head, and where it stands against the one it was made from',
  description: 'A slash in the name is written %2F.',
  params: branchParams,
  query: common.noQuery,
  permission: mayRead,
  responses: { 200: branchShape },
  handle: ({ params }, context) => readBranch(context, params.name),
});

/** D5. */
export const branchRoutes: readonly Route[] = [listBranches, createBranch, getBranch];
