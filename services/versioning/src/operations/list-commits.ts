import { ancestorsAmong, markAbove, newestFirst, walkBack, type CommitMark } from '../domain/history.js';
import type { Commit, VersioningReads } from './ports.js';
import type { Resolved } from './refs.js';

/** Where a page of a log ended: its last commit. */
export type LogMark = CommitMark;

/** A page of commits, newest first (see `newestFirst`), and the mark to go on after. */
export interface LogPage {
  readonly commits: readonly Commit[];
  readonly next: LogMark | null;
}

function isAfter(mark: LogMark | null, commit: LogMark): boolean {
  return mark === null || newestFirst(mark, commit) < 0;
}

/** All bits of `commit_node.what`. */
const ANY_CHANGE = 0x7fff;

/** The commits that a ref descends from, itself first. */
export async function listCommits(
  reads: VersioningReads,
  at: Resolved,
  ask: { readonly after: LogMark | null; readonly limit: number },
): Promise<LogPage> {
  const found: LogMark[] = [];
  for await (const { hash, gen } of walkBack(reads.links(at.course.courseId), at.commit.hash)) {
    if (!isAfter(ask.after, { hash, gen })) continue;
    found.push({ hash, gen });
    if (found.length > ask.limit) break;
  }
  return pageOf(reads, at, found, ask.limit);
}

/** The commits behind a ref that changed one node, across its moves; the last one is the commit it was born in. */
export async function listNodeCommits(
  reads: VersioningReads,
  at: Resolved,
  ask: { readonly node: string; readonly after: LogMark | null; readonly limit: number },
): Promise<LogPage> {
  const { courseId } = at.course;
  const links = reads.links(courseId);
  const found: LogMark[] = [];
  const page = { what: ANY_CHANGE, limit: ask.limit + 50 };
  for (let before = ask.after ?? markAbove(at.commit.gen); ;) {
    const rows = await reads.nodeCommits(courseId, [{ node: ask.node, before }], page);
    const marks = rows.map(({ commit, gen }) => ({ hash: commit, gen }));
    const reached = await ancestorsAmong(links, at.commit, marks, reads.descents(courseId));
    found.push(...marks.filter(({ hash }) => reached.has(hash)));
    const last = marks.at(-1);
    if (rows.length < page.limit || !last || found.length > ask.limit) break;
    before = last;
  }
  if (found.length <= ask.limit) await addBirth(reads, at, ask, found);
  return pageOf(reads, at, found, ask.limit);
}

/** A node that came with an added subtree has no row of its own for it. */
async function addBirth(
  reads: VersioningReads,
  at: Resolved,
  ask: { readonly node: string; readonly after: LogMark | null },
  found: LogMark[],
): Promise<void> {
  const [home] = await reads.homes([ask.node]);
  if (
    !home ||
    home.born === null ||
    home.courseId !== at.course.courseId ||
    found.some(({ hash }) => hash === home.born)
  )
    return;
  const born = (await reads.commits(at.course.courseId, [home.born])).get(home.born);
  if (!born || !isAfter(ask.after, born)) return;
  const reached = await ancestorsAmong(reads.links(at.course.courseId), at.commit, [born]);
  if (reached.has(born.hash)) found.push({ hash: born.hash, gen: born.gen });
}

async function pageOf(
  reads: VersioningReads,
  at: Resolved,
  found: readonly LogMark[],
  limit: number,
): Promise<LogPage> {
  const page = found.slice(0, limit);
  const commits = await reads.commits(
    at.course.courseId,
    page.map(({ hash }) => hash),
  );
  const last = page.at(-1);
  return {
    commits: page.flatMap(({ hash }) => commits.get(hash) ?? []),
    next: found.length > limit && last ? last : null,
  };
}
