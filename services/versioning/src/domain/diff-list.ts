import { stayingIndexes } from './lis.js';
import { readEntries } from './list.js';
import type { ObjectPool } from './object-pool.js';
import { isLeafList, type Entry, type ListObject, type Ref } from './objects.js';

/** A child with its index in its list. */
export interface Positioned extends Entry {
  readonly position: number;
}

/** What differs between two lists of children. */
export interface ListDiff {
  /** Children of the old list in chunks that the new one has not; the others are in both, unchanged. */
  readonly from: ReadonlyMap<string, Positioned>;
  readonly to: ReadonlyMap<string, Positioned>;
  /** Children of both lists that changed their place among them: all but the longest common subsequence. */
  readonly reordered: ReadonlyMap<string, { readonly from: number; readonly to: number }>;
}

/** A stretch of a list: one child, or a chunk that both lists have. */
interface Stretch {
  readonly key: string;
  readonly entry: Entry | null;
  readonly chunk: Ref | null;
  readonly position: number;
  readonly count: number;
}

/** Compares two lists, reading only chunks that are not in both; one round trip a level. */
export async function diffLists(pool: ObjectPool, from: string | null, to: string | null): Promise<ListDiff> {
  const [a, b] = await unshared(pool, from, to);
  const entriesOf = (side: readonly Stretch[]): Map<string, Positioned> =>
    new Map(side.flatMap(({ entry, position }) => (entry ? [[entry.id, { ...entry, position }]] : [])));
  return { from: entriesOf(a), to: entriesOf(b), reordered: await reorderedOf(pool, a, b) };
}

/** Both lists as stretches: chunks whose hash both have stay closed. */
async function unshared(pool: ObjectPool, from: string | null, to: string | null): Promise<[Stretch[], Stretch[]]> {
  let a = await top(pool, from);
  let b = await top(pool, to);
  for (;;) {
    const height = Math.max(...[...a, ...b].map((item) => item.level), -1);
    if (height < 0) break;
    const shared = intersect(a, b);
    const isOpening = ({ level, ref }: Item): boolean => level === height && ref !== null && !shared.has(ref.hash);
    const hashes = [...a, ...b].flatMap((item) => (isOpening(item) && item.ref ? item.ref.hash : []));
    const lists = new Map((await pool.many(hashes)).map((list, i) => [hashes[i], list]));
    const open = (item: Item): Item[] => {
      const list = isOpening(item) ? lists.get(item.ref?.hash) : undefined;
      return list?.type === 'list' ? partsOf(list) : [closed(item, shared)];
    };
    a = a.flatMap(open);
    b = b.flatMap(open);
  }
  return [stretches(a), stretches(b)];
}

/** An unopened part of a list: a chunk whose object is of `level`, or a child (-1), or a chunk to stay closed (-1 too). */
interface Item {
  readonly level: number;
  readonly ref: Ref | null;
  readonly entry: Entry | null;
}

async function top(pool: ObjectPool, hash: string | null): Promise<Item[]> {
  return hash === null ? [] : partsOf(await pool.list(hash));
}

function partsOf(list: ListObject): Item[] {
  return isLeafList(list)
    ? list.entries.map(child)
    : list.refs.map((ref) => ({ level: list.level - 1, ref, entry: null }));
}

function child(entry: Entry): Item {
  return { level: -1, ref: null, entry };
}

function closed(item: Item, shared: ReadonlySet<string>): Item {
  return item.ref && shared.has(item.ref.hash) ? { ...item, level: -1 } : item;
}

function intersect(a: readonly Item[], b: readonly Item[]): Set<string> {
  const ours = new Set(a.flatMap((item) => (item.ref ? [item.ref.hash] : [])));
  return new Set(b.flatMap((item) => (item.ref && ours.has(item.ref.hash) ? [item.ref.hash] : [])));
}

function stretches(items: readonly Item[]): Stretch[] {
  let position = 0;
  return items.map(({ ref, entry }) => {
    const count = ref?.count ?? 1;
    const stretch = { key: ref?.hash ?? entry?.id ?? '', entry, chunk: ref, position, count };
    position += count;
    return stretch;
  });
}

async function reorderedOf(
  pool: ObjectPool,
  a: readonly Stretch[],
  b: readonly Stretch[],
): Promise<Map<string, { from: number; to: number }>> {
  const old = new Map(a.map((stretch) => [stretch.key, stretch]));
  const common = b.flatMap((stretch) => {
    const before = old.get(stretch.key);
    return before ? [{ before, stretch, from: before.position, weight: stretch.count }] : [];
  });
  const moved = new Map<string, { from: number; to: number }>();
  const isInOrder = common.every((item, i) => i === 0 || (common[i - 1]?.from ?? 0) < item.from);
  if (isInOrder) return moved;
  const staying = stayingIndexes(common);
  await Promise.all(
    common.map(async ({ before, stretch }, i) => {
      if (staying.has(i)) return;
      const entries = stretch.chunk ? await readEntries(pool, stretch.chunk.hash) : [stretch.entry as Entry];
      entries.forEach(({ id }, n) => moved.set(id, { from: before.position + n, to: stretch.position + n }));
    }),
  );
  return moved;
}
