import { AppError } from '@coursewright/platform/errors';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import { z } from 'zod';
import { route, type Context, type Reply, type Route } from '../http/route.js';
import { nodeJson, outlineJson } from '../present/node.js';
import * as common from '../shapes/common.js';
import { lessonCreate, nodeCreate, nodeListShape, nodeShape, outlineShape } from '../shapes/node.js';
import { commitFields, commitOf, isLearner, keptCommit, refOf, repointed } from './common.js';
import { fromOps, readNode } from './nodes.js';

const listQuery = z.strictObject({ ...common.place, ...common.page });
const commitQuery = z.strictObject(common.commitQuery);

interface Children {
  readonly path: string;
  /** What the parent must be; null for the course itself, whose id the path has. */
  readonly parent: NodeKind | null;
  /** What is listed; unspecified for all children. */
  readonly kind: NodeKind;
  readonly what: string;
}

const units: Children = { path: '/courses/{id}/units', parent: null, kind: NodeKind.UNIT, what: 'units of a course' };
const courseModules: Children = {
  path: '/courses/{id}/modules',
  parent: null,
  kind: NodeKind.MODULE,
  what: 'modules directly under a course',
};
const unitModules: Children = {
  path: '/units/{id}/modules',
  parent: NodeKind.UNIT,
  kind: NodeKind.MODULE,
  what: 'modules of a unit',
};
const lessons: Children = {
  path: '/modules/{id}/lessons',
  parent: NodeKind.MODULE,
  kind: NodeKind.UNSPECIFIED,
  what: 'lessons and assignments of a module',
};

const childrenPath = '/nodes/{id}/children';

function listRoute(children: Children): Route {
  return route({
    method: 'get',
    path: children.path,
    feature: 'A2',
    tag: 'Nodes',
    summary: `List the ${children.what}, in order`,
    params: common.byId,
    query: listQuery,
    permission: { of: children.parent === null ? 'course' : 'node', param: 'id', action: 'course.read-published' },
    responses: { 200: nodeListShape },
    handle: ({ params, query }, context) => listChildren(context, children, params.id, query),
  });
}

async function listChildren(
  context: Context,
  children: Pick<Children, 'parent' | 'kind'>,
  parentId: string,
  query: z.output<typeof listQuery>,
): Promise<Reply> {
  const { courseId } = context.course;
  const ref = refOf(context, query);
  const { cursor = '', limit } = query;
  const [page] = await Promise.all([
    context.peers.versioning.listChildren(
      { courseId, ref, parentId, kind: children.kind, cursor, limit },
      context.read,
    ),
    children.parent === null ? undefined : checkKind(context, parentId, children.parent, ref),
  ]);
  const learner = isLearner(context);
  const items = page.nodes.map((node) => nodeJson(node, learner));
  return { status: 200, body: { items, next: context.next(page.next) } };
}

/** The commit that the parent was read at. Throws not_found NODE_NOT_FOUND when it is of another kind than the path says. */
async function checkKind(context: Context, nodeId: string, kind: NodeKind, ref: string): Promise<string> {
  const { courseId } = context.course;
  const found = await context.peers.versioning.getNode({ courseId, nodeId, ref }, context.read);
  if (found.node?.kind !== kind) throw new AppError('not_found', 'NODE_NOT_FOUND');
  return found.ref?.commit ?? '';
}

interface NewNode {
  readonly title: string;
  readonly fields?: Readonly<Record<string, unknown>> | undefined;
  readonly position?: number | undefined;
  readonly kind?: 'lesson' | 'assignment';
}

function addRoute<S extends z.ZodType<NewNode>>(children: Children, schema: S, what: string): Route {
  return route({
    method: 'post',
    path: children.path,
    feature: 'A2',
    tag: 'Nodes',
    summary: `Add ${what}`,
    params: common.byId,
    query: commitQuery,
    body: { kind: 'json', schema },
    permission: { of: children.parent === null ? 'course' : 'node', param: 'id', action: 'course.write' },
    write: 'versioning',
    responses: { 201: nodeShape },
    reasons: ['OPS_REFUSED', 'PARENT_GONE', 'NODE_NOT_FOUND'],
    async handle({ params, query, body }, context) {
      const { courseId } = context.course;
      const { title, fields, position, kind } = body as NewNode;
      const request = commitFields(query, `Add ${what}`);
      const base = children.parent === null ? '' : await checkKind(context, params.id, children.parent, request.branch);
      const added = {
        parentId: params.id,
        position,
        id: '',
        kind: kindOfNew(children.kind, kind),
        fields: { ...fields, title },
        body: '',
        source: undefined,
      };
      const committing = context.peers.versioning.commit(
        { courseId, ...request, base, ops: [{ op: { $case: 'add', value: added } }] },
        context.write,
      );
      return addedNode(context, await repointed(committing, fromOps));
    },
    replay: async (result, _input, open) => addedNode(await open(), keptCommit(result)),
  });
}

function kindOfNew(listed: NodeKind, asked: NewNode['kind']): NodeKind {
  if (listed !== NodeKind.UNSPECIFIED) return listed;
  return asked === 'assignment' ? NodeKind.ASSIGNMENT : NodeKind.LESSON;
}

async function addedNode(context: Context, response: ReturnType<typeof keptCommit>): Promise<Reply> {
  const [nodeId = ''] = response.nodeIds;
  const reply = await readNode(context, nodeId, response.commit);
  return { ...reply, status: 201, location: `/nodes/${nodeId}`, ...commitOf(response) };
}

const allChildren = route({
  method: 'get',
  path: childrenPath,
  feature: 'A2',
  tag: 'Nodes',
  summary: 'List all children of a node, in order; goes on where an outline stopped',
  params: common.byId,
  query: listQuery,
  permission: { of: 'node', param: 'id', action: 'course.read-published' },
  responses: { 200: nodeListShape },
  handle: ({ params, query }, context) =>
    listChildren(context, { parent: null, kind: NodeKind.UNSPECIFIED }, params.id, query),
});

const getOutline = route({
  method: 'get',
  path: '/courses/{id}/outline',
  feature: 'A2',
  tag: 'Nodes',
  summary: "Read a course's tree down to its modules, or deeper",
  description:
    'At most 1,000 children a node; `next` in a node goes on with GET /nodes/{id}/children and the same branch or at.',
  params: common.byId,
  query: z.strictObject({
    ...common.place,
    depth: common.depth,
    root: common.id.optional().describe('Node to start at'),
  }),
  permission: { of: 'course', param: 'id', action: 'course.read-published' },
  responses: { 200: outlineShape },
  async handle({ params, query }, context) {
    const { depth = 0, root = '', ...place } = query;
    const ref = refOf(context, place);
    const request = { courseId: params.id, ref, rootId: root, depth };
    const outline = await context.peers.versioning.getOutline(request, context.read);
    const learner = isLearner(context);
    const body = outlineJson(outline, params.id, learner, (parentId, inner) =>
      context.nextOf(childrenPath, { id: parentId }, place, inner),
    );
    return { status: 200, body, etag: learner ? [] : [outline.ref?.tree ?? ''] };
  },
});

/** A2: hierarchy. */
export const childrenRoutes: readonly Route[] = [
  getOutline,
  listRoute(units),
  addRoute(units, nodeCreate, 'a unit'),
  listRoute(courseModules),
  addRoute(courseModules, nodeCreate, 'a module'),
  listRoute(unitModules),
  addRoute(unitModules, nodeCreate, 'a module'),
  listRoute(lessons),
  addRoute(lessons, lessonCreate, 'a lesson or an assignment'),
  allChildren,
];
