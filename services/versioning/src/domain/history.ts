import { fromHash } from '@coursewright/platform/ids';
import type { NodeChange, What } from './changes.js';

/** Bits of `commit_node.what`. A reordered list of children is history of the node, but not a change of the node itself. */
export const WHAT: Readonly<Record<What, number>> = {
  added: 1,
  removed: 2,
  moved: 4,
  edited: 8,
  reordered: 16,
  kind_changed: 32,
};

/** The bits that count as a change of the node itself. */
export const CHANGES_NODE = WHAT.added | WHAT.removed | WHAT.moved | WHAT.edited | WHAT.kind_changed;

/** A row that says which commit changed a node. */
export interface HistoryRow {
  readonly node: string;
  readonly what: number;
}

/**
 * The rows a commit leaves for the history of nodes. Of an added subtree only the top has one (the commit each node was born in answers
 * for the rest), unless a node was there before (`isKnown`): then it was restored and its last state is another commit's. Of a
 * removed subtree the top only.
 */
export function historyRows(changes: readonly NodeChange[], isKnown: (id: string) => boolean): HistoryRow[] {
  const added = new Set(changes.filter((change) => change.what.includes('added')).map((change) => change.id));
  const removed = new Set(changes.filter((change) => change.what.includes('removed')).map((change) => change.id));
  return changes.flatMap(({ id, what, parent }) => {
    if (added.has(id) && parent !== null && added.has(parent) && !isKnown(id)) return [];
    if (removed.has(id) && parent !== null && removed.has(parent)) return [];
    return [{ node: id, what: what.reduce((bits, one) => bits | WHAT[one], 0) }];
  });
}

/** A commit as the walk over the history needs it. */
export interface CommitLink {
  readonly hash: string;
  readonly gen: number;
  readonly parents: readonly string[];
}

/** Finds commits by hash; all of them are there, or the history is broken. */
export type LinkReader = (hashes: readonly string[]) => Promise<ReadonlyMap<string, CommitLink>>;

/** The commits that can be reached from a head, newest generation first, down to generation `until`. */
export async function* walkBack(read: LinkReader, head: string, until = 1): AsyncGenerator<CommitLink> {
  for await (const { links } of levels(read, [[head, 1]], until)) for (const { link } of links) yield link;
}

/** Remembers for a commit the last head that was found to descend from it. Heads mostly move on, so the next walk is short. */
export interface DescentMemo {
  get(hash: string): CommitMark | undefined;
  set(hash: string, head: CommitMark): void;
}

/** A commit by its hash and generation. */
export interface CommitMark {
  readonly hash: string;
  readonly gen: number;
}

/**
 * The one order of every log: the greater generation first, of one generation the greater hash (by its bytes, as the database compares
 * them). Commits of several branches share a generation, so a page goes on after a commit, never after a generation.
 */
export function newestFirst(a: CommitMark, b: CommitMark): number {
  return b.gen - a.gen || Buffer.compare(fromHash(b.hash), fromHash(a.hash));
}

/** The mark that every commit of this generation, or of an older one, comes after. */
export function markAbove(gen: number): CommitMark {
  return { gen: gen + 1, hash: '' };
}

/**
 * Of these commits, the ones that a head descends from (or is). Walks no further back than it must: to a head that is known to
 * descend from what is sought, else to the oldest generation that is asked for.
 */
export async function ancestorsAmong(
  read: LinkReader,
  head: CommitMark,
  sought: readonly CommitMark[],
  memo?: DescentMemo,
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const known = sought.flatMap((mark) => {
    const via = memo?.get(mark.hash);
    return via && via.gen <= head.gen ? [{ mark, via }] : [];
  });
  const hinted = new Set(known.map(({ mark }) => mark.hash));
  const targets = [...known, ...sought.filter(({ hash }) => !hinted.has(hash)).map((mark) => ({ mark, via: mark }))];
  await walkTo(read, head, targets, found);
  const missed = known.filter(({ mark }) => !found.has(mark.hash)).map(({ mark }) => ({ mark, via: mark }));
  await walkTo(read, head, missed, found);
  for (const hash of found) memo?.set(hash, head);
  return found;
}

interface Target {
  readonly mark: CommitMark;
  /** Reaching this one is reaching the mark. */
  readonly via: CommitMark;
}

async function walkTo(
  read: LinkReader,
  head: CommitMark,
  targets: readonly Target[],
  found: Set<string>,
): Promise<void> {
  if (targets.length === 0) return;
  const byVia = new Map<string, string[]>();
  for (const { mark, via } of targets) byVia.set(via.hash, [...(byVia.get(via.hash) ?? []), mark.hash]);
  let open = byVia.size;
  for await (const { hash } of walkBack(read, head.hash, Math.min(...targets.map(({ via }) => via.gen)))) {
    const reached = byVia.get(hash);
    if (!reached) continue;
    for (const mark of reached) found.add(mark);
    open--;
    if (open === 0) return;
  }
}

/** Whether one of these heads is a commit, or descends from it. */
export async function isReached(read: LinkReader, heads: readonly string[], sought: CommitMark): Promise<boolean> {
  const open = heads.map((head) => [head, 1] as const);
  for await (const { links } of levels(read, open, sought.gen))
    if (links.some(({ link }) => link.hash === sought.hash)) return true;
  return false;
}

/** How many commits one head has that the other has not, and the other way round. */
export async function aheadBehind(
  read: LinkReader,
  ours: string,
  theirs: string,
): Promise<{ readonly ahead: number; readonly behind: number }> {
  const counts = { ahead: 0, behind: 0 };
  if (ours === theirs) return counts;
  for await (const { links, isShared } of levels(
    read,
    [
      [ours, 1],
      [theirs, 2],
    ],
    1,
  )) {
    for (const { sides } of links) {
      if (sides === 1) counts.ahead++;
      else if (sides === 2) counts.behind++;
    }
    // Once every open commit is reached from both heads, all that is older is shared.
    if (isShared) break;
  }
  return counts;
}

interface Level {
  readonly links: readonly { readonly link: CommitLink; readonly sides: number }[];
  readonly isShared: boolean;
}

/** Walks from several heads at once, one generation after another; a commit carries the heads it is reached from as bits. */
async function* levels(
  read: LinkReader,
  heads: readonly (readonly [string, number])[],
  until: number,
): AsyncGenerator<Level> {
  const sides = new Map<string, number>();
  const waiting = new Map<number, CommitLink[]>();
  const reach = async (found: readonly (readonly [string, number])[]): Promise<void> => {
    const fresh = [...new Set(found.map(([hash]) => hash))].filter((hash) => !sides.has(hash));
    const links = await read(fresh);
    for (const [hash, bits] of found) sides.set(hash, (sides.get(hash) ?? 0) | bits);
    for (const hash of fresh) {
      const link = links.get(hash);
      if (!link) continue;
      const level = waiting.get(link.gen);
      if (level) level.push(link);
      else waiting.set(link.gen, [link]);
    }
  };
  await reach(heads);
  while (waiting.size > 0) {
    const gen = Math.max(...waiting.keys());
    if (gen < until) return;
    const level = (waiting.get(gen) ?? []).sort(newestFirst);
    waiting.delete(gen);
    await reach(level.flatMap((link) => link.parents.map((parent) => [parent, sides.get(link.hash) ?? 0] as const)));
    const isShared = [...waiting.values()].flat().every((link) => sides.get(link.hash) === 3);
    yield { links: level.map((link) => ({ link, sides: sides.get(link.hash) ?? 0 })), isShared };
  }
}
