import { ancestorsAmong, CHANGES_NODE, markAbove } from '../domain/history.js';
import type { Commit, HistoryAsk, VersioningReads } from './ports.js';

/** How many rows of a node's history are looked at together; on a course with one line of history the first one is it. */
const ROWS = 4;
/** With many branches most rows are of others: each step looks at four times as many, at most so many. */
const MOST_ROWS = 256;

/**
 * For each of these nodes of a tree the commit that last changed the node itself, as seen from that tree's commit. A node without rows of
 * its own came with an added subtree: then it is the commit it was born in.
 */
export async function lastChanges(
  reads: VersioningReads,
  courseId: string,
  at: Commit,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Commit>> {
  const found = new Map<string, string>();
  let open: HistoryAsk[] = [...new Set(ids)].map((node) => ({ node, before: markAbove(at.gen) }));
  for (let limit = ROWS; open.length > 0; limit = Math.min(4 * limit, MOST_ROWS)) {
    const rows = await reads.nodeCommits(courseId, open, { what: CHANGES_NODE, limit });
    const marks = rows.map(({ commit, gen }) => ({ hash: commit, gen }));
    const reached = await ancestorsAmong(reads.links(courseId), at, marks, reads.descents(courseId));
    const byNode = Map.groupBy(rows, (row) => row.node);
    const next: HistoryAsk[] = [];
    for (const { node } of open) {
      const own = byNode.get(node) ?? [];
      const hit = own.find(({ commit }) => reached.has(commit));
      const oldest = own.at(-1);
      if (hit) found.set(node, hit.commit);
      else if (own.length === limit && oldest) next.push({ node, before: { gen: oldest.gen, hash: oldest.commit } });
    }
    open = next;
  }
  const rest = ids.filter((id) => !found.has(id));
  for (const { node, born } of await reads.homes(rest)) if (born !== null) found.set(node, born);
  const commits = await reads.commits(courseId, [...found.values()]);
  return new Map([...found].map(([id, hash]) => [id, commits.get(hash) ?? at]));
}
