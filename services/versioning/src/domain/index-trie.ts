import type { ObjectPool } from './object-pool.js';
import { idDigest, isIndexLeaf, type IndexObject, type Placement } from './objects.js';

/** A leaf of the index holds at most this many placements; a subtree with no more is a leaf. */
export const LEAF_MAX = 16;

/** So many ids are gone through before others may have their turn. */
const AT_ONCE = 64;

/** A placement with the digest it is filed under. */
interface Filed extends Placement {
  readonly digest: string;
}

interface Change {
  readonly id: string;
  readonly digest: string;
  /** The new parent; null takes the id out. */
  readonly parent: string | null;
}

/** What a subtree has become: few placements, or the hashes of its sixteen children. */
type Draft =
  { readonly entries: readonly Filed[] } | { readonly count: number; readonly children: readonly (string | null)[] };

/** Builds the index of all these placements (the root has none). The same placements give the same hash. */
export function buildIndex(pool: ObjectPool, placements: Iterable<Placement>): string {
  return seal(pool, build(pool, 0, [...placements].map(file)));
}

/** The parents of these ids at the version whose index this is; ids that are not there are left out. One round trip a level. */
export async function findParents(
  pool: ObjectPool,
  root: string,
  ids: Iterable<string>,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  let level = new Map([[root, await digested(pool, new Set(ids), (id) => ({ id }))]]);
  for (let depth = 0; level.size > 0; depth++) {
    const next = new Map<string, { id: string; digest: string }[]>();
    const nodes = await Promise.all(
      [...level].map(async ([hash, sought]) => ({ node: await pool.index(hash), sought })),
    );
    for (const { node, sought } of nodes) {
      await pool.turn();
      for (const key of sought) {
        if (isIndexLeaf(node)) {
          const hit = node.entries.find((entry) => entry.id === key.id);
          if (hit) found.set(key.id, hit.parent);
          continue;
        }
        const child = node.children[nibble(key.digest, depth)];
        const together = child ? next.get(child) : undefined;
        if (together) together.push(key);
        else if (child) next.set(child, [key]);
      }
    }
    level = next;
  }
  return found;
}

/** The index after these changes (id → new parent, null = gone). Equals `buildIndex` of the changed placements. */
export async function updateIndex(
  pool: ObjectPool,
  root: string,
  changes: ReadonlyMap<string, string | null>,
): Promise<string> {
  if (changes.size === 0) return root;
  const filed = await digested(pool, changes, ([id, parent]) => ({ id, parent }));
  return seal(pool, await update(pool, await pool.index(root), 0, filed));
}

/** Things with ids, each with the digest that its id is filed under; an import has very many. */
async function digested<T, R extends { readonly id: string }>(
  pool: ObjectPool,
  things: Iterable<T>,
  read: (thing: T) => R,
): Promise<(R & { readonly digest: string })[]> {
  const all: (R & { readonly digest: string })[] = [];
  for (const thing of things) {
    if (all.length % AT_ONCE === 0) await pool.turn();
    const known = read(thing);
    all.push({ ...known, digest: idDigest(known.id) });
  }
  return all;
}

async function update(
  pool: ObjectPool,
  node: IndexObject | null,
  depth: number,
  changes: readonly Change[],
): Promise<Draft> {
  await pool.turn();
  if (node === null || isIndexLeaf(node)) {
    const entries = new Map((node?.entries ?? []).map((entry) => [entry.id, file(entry)]));
    for (const { id, digest, parent } of changes) {
      if (parent === null) entries.delete(id);
      else entries.set(id, { id, parent, digest });
    }
    return entries.size <= LEAF_MAX ? { entries: [...entries.values()] } : split(pool, depth, [...entries.values()]);
  }
  const groups = groupBy(changes, depth);
  const children = [...node.children];
  let count = node.count;
  const drafts = new Map<number, Draft>();
  await Promise.all(
    [...groups].map(async ([slot, group]) => {
      const hash = node.children[slot] ?? null;
      const child = hash === null ? null : await pool.index(hash);
      const draft = await update(pool, child, depth + 1, group);
      count += sizeOf(draft) - (child === null ? 0 : sizeOf(child));
      drafts.set(slot, draft);
    }),
  );
  if (count <= LEAF_MAX) return { entries: await gather(pool, children, drafts) };
  for (const [slot, draft] of drafts) {
    await pool.turn();
    children[slot] = sizeOf(draft) === 0 ? null : seal(pool, draft);
  }
  return { count, children };
}

/** A leaf that has come to hold too many, as a branch. */
async function split(pool: ObjectPool, depth: number, entries: readonly Filed[]): Promise<Draft> {
  const children: (string | null)[] = new Array<string | null>(16).fill(null);
  for (const [slot, group] of groupBy(entries, depth))
    children[slot] = seal(pool, await update(pool, null, depth + 1, group));
  return { count: entries.length, children };
}

/** Folds a branch whose placements have become few; each of its children then is a leaf. */
async function gather(
  pool: ObjectPool,
  children: readonly (string | null)[],
  drafts: ReadonlyMap<number, Draft>,
): Promise<Filed[]> {
  const parts = await Promise.all(
    children.map(async (hash, slot): Promise<readonly Filed[]> => {
      const draft = drafts.get(slot);
      if (draft) return 'entries' in draft ? draft.entries : [];
      if (hash === null) return [];
      const leaf = await pool.index(hash);
      return isIndexLeaf(leaf) ? leaf.entries.map(file) : [];
    }),
  );
  return parts.flat();
}

function build(pool: ObjectPool, depth: number, entries: readonly Filed[]): Draft {
  if (entries.length <= LEAF_MAX) return { entries };
  const children: (string | null)[] = new Array<string | null>(16).fill(null);
  for (const [slot, group] of groupBy(entries, depth)) children[slot] = seal(pool, build(pool, depth + 1, group));
  return { count: entries.length, children };
}

function seal(pool: ObjectPool, draft: Draft): string {
  if (!('entries' in draft)) return pool.put({ type: 'index', count: draft.count, children: draft.children });
  const sorted = [...draft.entries].sort((a, b) => (a.digest < b.digest ? -1 : 1));
  return pool.put({ type: 'index', entries: sorted.map(({ id, parent }) => ({ id, parent })) });
}

function sizeOf(node: Draft | IndexObject): number {
  return 'entries' in node ? node.entries.length : node.count;
}

function file(placement: Placement): Filed {
  return { ...placement, digest: idDigest(placement.id) };
}

/** The nibble that an id is filed under at this depth; counted from the front, so independent of the chunk boundaries. */
function nibble(digest: string, depth: number): number {
  return parseInt(digest[depth] ?? '0', 16);
}

function groupBy<T extends { readonly digest: string }>(items: readonly T[], depth: number): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const slot = nibble(item.digest, depth);
    const group = groups.get(slot);
    if (group) group.push(item);
    else groups.set(slot, [item]);
  }
  return groups;
}

/** What differs between two indexes: id → its parent there, null where it is absent. */
export type IndexDiff = ReadonlyMap<string, { readonly from: string | null; readonly to: string | null }>;

/** Compares two indexes; reads only what differs, one round trip a level. Ids whose parent is the same are left out. */
export async function diffIndexes(pool: ObjectPool, from: string, to: string): Promise<IndexDiff> {
  const sides = new Map<string, { from: string | null; to: string | null }>();
  await compare(pool, from, to, sides);
  for (const [id, side] of sides) if (side.from === side.to) sides.delete(id);
  return sides;
}

type Sides = Map<string, { from: string | null; to: string | null }>;

async function compare(pool: ObjectPool, from: string | null, to: string | null, sides: Sides): Promise<void> {
  if (from === to) return;
  await pool.turn();
  const [a, b] = await Promise.all([from === null ? null : pool.index(from), to === null ? null : pool.index(to)]);
  if (a && b && !isIndexLeaf(a) && !isIndexLeaf(b)) {
    await Promise.all(a.children.map((child, slot) => compare(pool, child, b.children[slot] ?? null, sides)));
    return;
  }
  await Promise.all([collect(pool, a, 'from', sides), collect(pool, b, 'to', sides)]);
}

async function collect(pool: ObjectPool, node: IndexObject | null, side: 'from' | 'to', sides: Sides): Promise<void> {
  if (node === null) return;
  await pool.turn();
  if (isIndexLeaf(node)) {
    for (const { id, parent } of node.entries) {
      const known = sides.get(id) ?? { from: null, to: null };
      known[side] = parent;
      sides.set(id, known);
    }
    return;
  }
  await Promise.all(
    node.children.map(async (child) => child !== null && collect(pool, await pool.index(child), side, sides)),
  );
}

/** Every placement of an index; reads all of it, one round trip a level. */
export async function allPlacements(pool: ObjectPool, root: string): Promise<Map<string, string>> {
  const sides: Sides = new Map();
  await collect(pool, await pool.index(root), 'to', sides);
  const placements = new Map<string, string>();
  for (const [id, side] of sides) {
    if (placements.size % AT_ONCE === 0) await pool.turn();
    placements.set(id, side.to as string);
  }
  return placements;
}
