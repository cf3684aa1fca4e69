import { AppError } from '@coursewright/platform/errors';
import type { CompareItem, ResolvedRef } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { z } from 'zod';
import { joinJson } from '../http/join-json.js';
import { route, type Context, type Route } from '../http/route.js';
import { present } from '../present/common.js';
import { compareItemJson, shownDiff, type ShownDiff } from '../present/history.js';
import * as common from '../shapes/common.js';
import { compareShape } from '../shapes/history.js';

/** Of an answer, what differences of documents may take; the rest of a page versioning bounds at 3 MiB. */
const mostContentLength = 3 * 2 ** 20;
/** A page without differences of documents is better than none: they are waited for no longer. */
const contentMs = 6_000;

const compare = route({
  method: 'get',
  path: '/courses/{id}/compare',
  feature: 'D3',
  tag: 'History',
  summary: 'Compare two states of a course: structure, fields and text',
  description:
    'A page may have fewer items than its limit. Where documents differ by more than there is room for, `contentTruncated` says so.',
  params: common.byId,
  query: z.strictObject({
    from: common.ref.describe('Version number, branch, tag or commit'),
    to: common.ref.optional().describe('The same; left out: the default branch'),
    ...common.page,
  }),
  permission: { of: 'course', param: 'id', action: 'course.read-draft' },
  responses: { 200: compareShape },
  reasons: ['REF_NOT_FOUND'],
  async handle({ params, query }, context) {
    const { from, to = '', cursor = '', limit } = query;
    const request = { courseId: params.id, from, to, cursor, limit };
    const page = await context.peers.versioning.compare(request, context.read);
    const diffs = await diffBodies(context, page.items);
    const summary = {
      ...{ added: 0, removed: 0, moved: 0, renamed: 0, reordered: 0, edited: 0, kindChanged: 0 },
      ...page.summary,
    };
    const { kindChanged, ...counts } = summary;
    const before = {
      courseId: params.id,
      from: side(page.from, from),
      to: side(page.to, to),
      summary: { ...counts, kind_changed: kindChanged },
    };
    let room = mostContentLength;
    const items = await joinJson(page.items, (item) => {
      const shown = diffs.get(item.nodeId);
      const json = JSON.stringify(compareItemJson(item, shown));
      if (shown?.content === undefined) return json;
      const bare = JSON.stringify(compareItemJson(item, { truncated: true }));
      room -= json.length - bare.length;
      return room < 0 ? bare : json;
    });
    const next = JSON.stringify({ next: context.next(page.next) });
    const json = `${JSON.stringify(before).slice(0, -1)},"items":${items},${next.slice(1)}`;
    return { status: 200, json, etag: [] };
  },
});

function side(ref: ResolvedRef | undefined, asked: string): { ref: string; commit: string } {
  const found = present(ref, 'ref');
  return { ref: asked || found.name, commit: found.commit };
}

/** What differs in the documents of a page's nodes, by node. */
async function diffBodies(context: Context, items: readonly CompareItem[]): Promise<ReadonlyMap<string, ShownDiff>> {
  const pairs = items
    .filter(({ fromBody, toBody }) => fromBody !== toBody)
    .map(({ nodeId, fromBody, toBody }) => ({ nodeId, from: fromBody, to: toBody }));
  if (pairs.length === 0) return new Map();
  const { courseId } = context.course;
  try {
    const deadlineMs = Math.min(contentMs, context.read.deadlineMs ?? contentMs);
    const { diffs } = await context.peers.content.diffBodies({ courseId, pairs }, { ...context.read, deadlineMs });
    return new Map(diffs.map((diff) => [diff.nodeId, shownDiff(diff)]));
  } catch (error) {
    const isTooMuch = error instanceof AppError && ['too_large', 'deadline_exceeded'].includes(error.kind);
    if (!isTooMuch) throw error;
    return new Map(pairs.map(({ nodeId }) => [nodeId, { truncated: true }]));
  }
}

/** D3. */
export const compareRoutes: readonly Route[] = [compare];
