import { AppError } from '@coursewright/platform/errors';
import { Part, type Op } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { z } from 'zod';
import { expected, type Match } from '../http/etag.js';
import { route, type Context, type Reply, type Route } from '../http/route.js';
import { present } from '../present/common.js';
import { nodeEtag, nodeJson } from '../present/node.js';
import * as common from '../shapes/common.js';
import { nodePatch, nodeShape } from '../shapes/node.js';
import { commitFields, commitOf, isLearner, keptCommit, refOf, repointed } from './common.js';

const commitQuery = z.strictObject(common.commitQuery);
const mayWrite = { of: 'node', param: 'id', action: 'course.write' } as const;

/** A node at a ref. */
export async function readNode(context: Context, nodeId: string, ref: string): Promise<Reply> {
  const { courseId } = context.course;
  const found = await context.peers.versioning.getNode({ courseId, nodeId, ref }, context.read);
  const node = present(found.node, 'node');
  const learner = isLearner(context);
  const body = nodeJson(node, learner);
  return { status: 200, body, etag: nodeEtag(node, learner), ...(found.ref ? { head: found.ref.commit } : {}) };
}

const getNode = route({
  method: 'get',
  path: '/nodes/{id}',
  feature: 'A2',
  tag: 'Nodes',
  summary: 'Read a node of a course',
  params: common.byId,
  query: z.strictObject(common.place),
  permission: { of: 'node', param: 'id', action: 'course.read-published' },
  responses: { 200: nodeShape },
  handle: ({ params, query }, context) => readNode(context, params.id, refOf(context, query)),
});

type NodeInput = {
  readonly params: { readonly id: string };
  readonly query: z.output<typeof commitQuery>;
  readonly match: Match;
};

const current = ({ params, query }: NodeInput, context: Context): Promise<Reply> =>
  readNode(context, params.id, query.branch ?? '');

const patchNode = route({
  method: 'patch',
  path: '/nodes/{id}',
  feature: 'A2',
  tag: 'Nodes',
  summary: 'Rename a node, change its fields, move or reorder it, in one commit',
  params: common.byId,
  query: commitQuery,
  body: { kind: 'json', schema: nodePatch },
  permission: mayWrite,
  write: 'versioning',
  current,
  responses: { 200: nodeShape },
  reasons: ['NODE_IS_COURSE', 'NODE_GONE', 'PARENT_GONE', 'OPS_REFUSED'],
  handle: (input, context) => changeNode(input.body, input, context),
  async replay(result, { params }, open) {
    const response = keptCommit(result);
    return { ...(await readNode(await open(), params.id, response.commit)), ...commitOf(response) };
  },
});

async function changeNode(body: z.output<typeof nodePatch>, input: NodeInput, context: Context): Promise<Reply> {
  const { courseId } = context.course;
  const nodeId = input.params.id;
  refuseRoot(nodeId, courseId);
  const { title, fields, parentId, position } = body;
  const request = commitFields(input.query, 'Change a node');
  const moves = parentId !== undefined || position !== undefined;
  const place = moves ? await placeOf(context, nodeId, { parentId, ref: request.branch }) : undefined;
  const ops: Op[] = [];
  if (title !== undefined || fields !== undefined || place === undefined) {
    const all = { ...fields, ...(title === undefined ? {} : { title }) };
    ops.push({ op: { $case: 'setFields', value: { nodeId, fields: all } } });
  }
  if (place !== undefined) ops.push({ op: { $case: 'move', value: { nodeId, parentId: place.parentId, position } } });
  const expect = [{ nodeId, part: Part.SELF, etag: expected(input.match, 0) }];
  const committing = context.peers.versioning.commit(
    { courseId, ...request, base: place?.base ?? '', expect, ops },
    context.write,
  );
  const response = await repointed(committing, fromOps);
  return { ...(await readNode(context, nodeId, response.commit)), ...commitOf(response) };
}

/** Where a node is to go; without a parent it stays under the one it has. The commit it was read at is the base of the position. */
async function placeOf(
  context: Context,
  nodeId: string,
  asked: { readonly parentId: string | undefined; readonly ref: string },
): Promise<{ parentId: string; base: string }> {
  if (asked.parentId !== undefined) return { parentId: asked.parentId, base: '' };
  const { courseId } = context.course;
  const { node, ref } = await context.peers.versioning.getNode({ courseId, nodeId, ref: asked.ref }, context.read);
  return { parentId: present(node, 'node').parentId, base: ref?.commit ?? '' };
}

const deleteNode = route({
  method: 'delete',
  path: '/nodes/{id}',
  feature: 'A2',
  tag: 'Nodes',
  summary: 'Remove a node and everything below it',
  params: common.byId,
  query: commitQuery,
  permission: mayWrite,
  write: 'versioning',
  current,
  responses: { 204: null },
  reasons: ['NODE_IS_COURSE'],
  async handle(input, context) {
    const { courseId } = context.course;
    const nodeId = input.params.id;
    refuseRoot(nodeId, courseId);
    const expect = [{ nodeId, part: Part.SELF, etag: expected(input.match, 0) }];
    if (!input.match.any) expect.push({ nodeId, part: Part.SUBTREE, etag: expected(input.match, 1) });
    const response = await context.peers.versioning.commit(
      {
        courseId,
        ...commitFields(input.query, 'Remove a node'),
        expect,
        ops: [{ op: { $case: 'remove', value: { nodeId } } }],
      },
      context.write,
    );
    return { status: 204, ...commitOf(response) };
  },
  replay: async (result) => ({ status: 204, ...commitOf(keptCommit(result)) }),
});

/** The root is the course itself, with rules and an ETag of its own. */
function refuseRoot(nodeId: string, courseId: string): void {
  if (nodeId !== courseId) return;
  const message = 'This node is the course: use /courses/{id}';
  throw new AppError('unprocessable', 'NODE_IS_COURSE', {}, { message });
}

/** Pointers into ops, as the request has them. */
export function fromOps(pointer: string): string {
  return pointer
    .replace(/^\/ops\/\d+/, '')
    .replace(/^\/fields\/title$/, '/title')
    .replace(/^\/parent$/, '/parentId');
}

/** A2: one node. */
export const nodeRoutes: readonly Route[] = [getNode, patchNode, deleteNode];
