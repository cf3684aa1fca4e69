import type { VersioningServiceDefinition } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import type { Handlers } from '@coursewright/platform/rpc-server';
import { getBranch, listBranches } from '../operations/branches.js';
import { checkIntegrity } from '../operations/check-integrity.js';
import { Comparer } from '../operations/compare.js';
import { listCommits, listNodeCommits, type LogMark } from '../operations/list-commits.js';
import type { Deps } from '../operations/ports.js';
import { fitting } from '../domain/sizes.js';
import { authorizeStaff, resolveFor } from './access.js';
import { checkIds, fromCursor, isCount, toCursor, toLimit } from './convert.js';
import { toBranchMessage, toCommitInfo, toCompareItem, toResolvedRef } from './views.js';
import { weightOfBranch, weightOfCommit, weightOfDiff } from './weights.js';

type All = Handlers<typeof VersioningServiceDefinition>;
type HistoryReads = 'listCommits' | 'compare' | 'getBranch' | 'listBranches' | 'checkIntegrity';

/** Handlers of the calls that read history; they are for staff alone. */
export function historyRoutes({ store, bodies }: Deps): Pick<All, HistoryReads> {
  const comparer = new Comparer();
  return {
    async listCommits({ courseId, ref, nodeId, cursor, limit }, call) {
      checkIds({ courseId, nodeId });
      authorizeStaff(call.actor, courseId);
      const pinned = fromCursor<LogMark & { head: string }>(
        cursor,
        (c) => typeof c.head === 'string' && typeof c.hash === 'string' && isCount(c.gen),
      );
      const at = await resolveFor(store, call.actor, courseId, { ref, pinned: pinned?.head });
      const ask = { after: pinned, limit: toLimit(limit, 200) };
      const page = await (nodeId === ''
        ? listCommits(store, at, ask)
        : listNodeCommits(store, at, { ...ask, node: nodeId }));
      const commits = fitting(page.commits, weightOfCommit);
      const last = commits.length < page.commits.length ? commits.at(-1) : page.next;
      const next = last ? { head: at.commit.hash, gen: last.gen, hash: last.hash } : null;
      return { commits: commits.map((commit) => toCommitInfo(courseId, commit)), next: toCursor(next) };
    },
    async compare({ courseId, from, to, cursor, limit }, call) {
      checkIds({ courseId });
      authorizeStaff(call.actor, courseId);
      const pinned = fromCursor<{ from: string; to: string; offset: number }>(
        cursor,
        (c) => typeof c.from === 'string' && typeof c.to === 'string' && isCount(c.offset),
      );
      const [a, b] = await Promise.all([
        resolveFor(store, call.actor, courseId, { ref: from, pinned: pinned?.from }),
        resolveFor(store, call.actor, courseId, { ref: to, pinned: pinned?.to }),
      ]);
      const page = { offset: pinned?.offset ?? 0, limit: toLimit(limit, 200) };
      const { summary, items: found, next } = await comparer.compare(store, { from: a, to: b }, page);
      const items = fitting(found, weightOfDiff);
      const offset = items.length < found.length ? page.offset + items.length : next;
      const rest = offset === null ? null : { from: a.commit.hash, to: b.commit.hash, offset };
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
      const shown = fitting(branches, weightOfBranch);
      const last = shown.length < branches.length ? shown.at(-1)?.name : next;
      return { branches: shown.map(toBranchMessage), next: toCursor(last ? { after: last } : null) };
    },
    async *checkIntegrity({ courseId }, call) {
      checkIds({ courseId });
      authorizeStaff(call.actor, courseId);
      for await (const step of checkIntegrity({ store, bodies }, courseId, { signal: call.signal }))
        yield { ...step, problems: step.problems.map((problem) => ({ ...problem })) };
    },
  };
}
