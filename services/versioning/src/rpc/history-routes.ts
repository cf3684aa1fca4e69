import type { VersioningServiceDefinition } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import type { Handlers } from '@coursewright/platform/rpc-server';
import { getBranch, listBranches } from '../operations/branches.js';
import { checkIntegrity } from '../operations/check-integrity.js';
import { Comparer } from '../operations/compare.js';
import { listCommits, listNodeCommits, type LogMark } from '../operations/list-commits.js';
import type { Deps } from '../operations/ports.js';
import { authorizeStaff, resolveFor } from './access.js';
import { checkIds, fromCursor, isCount, toCursor, toLimit } from './convert.js';
import { toBranchMessage, toCommitInfo, toCompareItem, toResolvedRef } from './views.js';

type All = Handlers<typeof VersioningServiceDefinition>;
type HistoryReads = 'listCommits' | 'compare' | 'getBranch' | 'listBranches' | 'checkIntegrity';

/** Handlers of the calls that read history; they are for staff alone. */
export function historyRoutes({ store }: Deps): Pick<All, HistoryReads> {
  const comparer = new Comparer();
  return {
    async listCommits({ courseId, ref, nodeId, cursor, limit }, call) {
      checkIds({ courseId, nodeId });
      authorizeStaff(call.actor, courseId);
      const pinned = fromCursor<LogMark & { head: string }>(
        cursor,
        (c) => typeof c.head === 'string' && typeof c.hash === 'string' && isCount(c.gen),
      );
      const at = await resolveFor(store, call.actor, courseId, pinned?.head ?? ref);
      const ask = { after: pinned, limit: toLimit(limit, 200) };
      const page = await (nodeId === ''
        ? listCommits(store, at, ask)
        : listNodeCommits(store, at, { ...ask, node: nodeId }));
      const next = page.next && { head: at.commit.hash, gen: page.next.gen, hash: page.next.hash };
      return { commits: page.commits.map((commit) => toCommitInfo(courseId, commit)), next: toCursor(next) };
    },
    async compare({ courseId, from, to, cursor, limit }, call) {
      checkIds({ courseId });
      authorizeStaff(call.actor, courseId);
      const pinned = fromCursor<{ from: string; to: string; offset: number }>(
        cursor,
        (c) => typeof c.from === 'string' && typeof c.to === 'string' && isCount(c.offset),
      );
      const [a, b] = await Promise.all([
        resolveFor(store, call.actor, courseId, pinned?.from ?? from),
        resolveFor(store, call.actor, courseId, pinned?.to ?? to),
      ]);
      const page = { offset: pinned?.offset ?? 0, limit: toLimit(limit, 200) };
      const { summary, items, next } = await comparer.compare(store, { from: a, to: b }, page);
      const rest = next === null ? null : { from: a.commit.hash, to: b.commit.hash, offset: next };
      return {
        from: toResolvedRef(a),
        to: toResolvedRef(b),
        summary,
        items: items.map(toCompareItem),
        next: toCursor(rest),
      };
    },
    async getBranch({ courseId, name }, call) {
      checkIds({ courseId });
      authorizeStaff(call.actor, courseId);
      return toBranchMessage(await getBranch(store, courseId, name));
    },
    async listBranches({ courseId, cursor, limit }, call) {
      checkIds({ courseId });
      authorizeStaff(call.actor, courseId);
      const pinned = fromCursor<{ after: string }>(cursor, (c) => typeof c.after === 'string');
      const { branches, next } = await listBranches(store, courseId, {
        after: pinned?.after ?? '',
        limit: toLimit(limit, 200),
      });
      return { branches: branches.map(toBranchMessage), next: toCursor(next === null ? null : { after: next }) };
    },
    async *checkIntegrity({ courseId }, call) {
      checkIds({ courseId });
      authorizeStaff(call.actor, courseId);
      const report = await checkIntegrity(store, courseId, call.signal);
      const { commits, objects, bodies, problems } = report;
      yield {
        commits,
        objects,
        bodies: bodies.length,
        problems: problems.map((problem) => ({ ...problem })),
        problemCount: problems.length,
        done: true,
      };
    },
  };
}
