import { ancestorsAmong, CHANGES_NODE } from '../domain/history.js';
import type { Commit, VersioningReads } from './ports.js';

/** How many rows of a node's history are looked at together; on a course with one line of history the first one is it. */
const ROWS = 4;

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
  const ask = { what: CHANGES_NODE, limit: ROWS };
  let open = [...new Set(ids)].map((id) => ({ id, upTo: at.gen }));
  while (open.length > 0) {
    // Nodes that must be looked at further back have their own bounds; together they share the greatest.
    const upTo = Math.max(...open.map((one) => one.upTo));
    const rows = await reads.nodeCommits(
      courseId,
      open.map(({ id }) => id),
      { ...ask, upTo },
    );
    const marks = rows.map(({ commit, gen }) => ({ hash: commit, gen }));
    const reached = await ancestorsAmong(reads.links(courseId), at, marks, reads.descents(courseId));
    const byNode = Map.groupBy(rows, (row) => row.node);
    const next: typeof open = [];
    for (const { id } of open) {
      const own = byNode.get(id) ?? [];
      const hit = own.find(({ commit }) => reached.has(commit));
      const oldest = own.at(-1);
      if (hit) found.set(id, hit.commit);
      else if (own.length === ROWS && oldest) next.push({ id, upTo: oldest.gen - 1 });
    }
    open = next;
  }
  const rest = ids.filter((id) => !found.has(id));
  for (const { node, born } of await reads.homes(rest)) if (born !== null) found.set(node, born);
  const commits = await reads.commits(courseId, [...found.values()]);
  return new Map([...found].map(([id, hash]) => [id, commits.get(hash) ?? at]));
}
