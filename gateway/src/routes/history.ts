import { z } from 'zod';
import { route, type Context, type Reply, type Route } from '../http/route.js';
import { commitJson } from '../present/history.js';
import * as common from '../shapes/common.js';
import { commitListShape } from '../shapes/history.js';
import { refOf } from './common.js';

const query = z.strictObject({ ...common.place, ...common.page });

async function listCommits(context: Context, nodeId: string, asked: z.output<typeof query>): Promise<Reply> {
  const { courseId } = context.course;
  const { cursor = '', limit } = asked;
  const request = { courseId, ref: refOf(context, asked), nodeId, cursor, limit };
  const page = await context.peers.versioning.listCommits(request, context.read);
  return { status: 200, body: { items: page.commits.map(commitJson), next: context.next(page.next) } };
}

const courseCommits = route({
  method: 'get',
  path: '/courses/{id}/commits',
  feature: 'D2',
  tag: 'History',
  summary: 'List the commits of a course, newest first',
  params: common.byId,
  query,
  permission: { of: 'course', param: 'id', action: 'course.read-draft' },
  responses: { 200: commitListShape },
  handle: (input, context) => listCommits(context, '', input.query),
});

const nodeHistory = route({
  method: 'get',
  path: '/nodes/{id}/history',
  feature: 'D2',
  tag: 'History',
  summary: 'List the commits that changed a node, across its moves',
  params: common.byId,
  query,
  permission: { of: 'node', param: 'id', action: 'course.read-draft' },
  responses: { 200: commitListShape },
  handle: (input, context) => listCommits(context, input.params.id, input.query),
});

/** D2. */
export const historyRoutes: readonly Route[] = [courseCommits, nodeHistory];
