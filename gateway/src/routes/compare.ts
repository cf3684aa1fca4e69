import type { BodyDiff } from '@coursewright/proto/coursewright/content/v1/content';
import type { CompareItem, ResolvedRef } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { z } from 'zod';
import { route, type Context, type Route } from '../http/route.js';
import { present } from '../present/common.js';
import { compareItemJson } from '../present/history.js';
import * as common from '../shapes/common.js';
import { compareShape } from '../shapes/history.js';

const compare = route({
  method: 'get',
  path: '/courses/{id}/compare',
  feature: 'D3',
  summary: 'Compare two states of a course: structure, fields and text',
  params: common.byId,
  query: z.strictObject({
    from: common.ref.describe('Version number, branch, tag or commit'),
    to: common.ref.optional().describe('The same; left out: the default branch'),
    ...common.page,
  }),
  permission: { of: 'course', param: 'id', action: 'course.read-draft' },
  responses: { 200: compareShape },
  async handle({ params, query }, context) {
    const { from, to = '', cursor = '', limit } = query;
    const request = { courseId: params.id, from, to, cursor, limit };
    const page = await context.peers.versioning.compare(request, context.read);
    const bodies = await diffBodies(context, page.items);
    const { added = 0, removed = 0, moved = 0, renamed = 0, reordered = 0, edited = 0 } = page.summary ?? {};
    const body = {
      courseId: params.id,
      from: side(page.from, from),
      to: side(page.to, to),
      summary: { added, removed, moved, renamed, reordered, edited },
      items: page.items.map((item) => compareItemJson(item, bodies.get(item.nodeId))),
      next: context.next(page.next),
    };
    return { status: 200, body, etag: [] };
  },
});

function side(ref: ResolvedRef | undefined, asked: string): { ref: string; commit: string } {
  const found = present(ref, 'ref');
  return { ref: asked || found.name, commit: found.commit };
}

/** What differs in the documents of a page's nodes, by node. */
async function diffBodies(context: Context, items: readonly CompareItem[]): Promise<ReadonlyMap<string, BodyDiff>> {
  const pairs = items
    .filter(({ fromBody, toBody }) => fromBody !== toBody)
    .map(({ nodeId, fromBody, toBody }) => ({ nodeId, from: fromBody, to: toBody }));
  if (pairs.length === 0) return new Map();
  const { courseId } = context.course;
  const { diffs } = await context.peers.content.diffBodies({ courseId, pairs }, context.read);
  return new Map(diffs.map((diff) => [diff.nodeId, diff]));
}

/** D3. */
export const compareRoutes: readonly Route[] = [compare];
