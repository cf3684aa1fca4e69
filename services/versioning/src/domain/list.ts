import type { ObjectPool } from './object-pool.js';
import { idDigest, isLeafList, type Entry, type ListObject, type Ref } from './objects.js';

/** A list with at most this many entries (or chunks, at the upper levels) is one object. */
export const INLINE = 16;
/** A chunk has at least this many entries, the last of its list excepted. */
export const CHUNK_MIN = 8;
/** A chunk ends after this many entries whatever their ids. */
export const CHUNK_MAX = 32;

/** Something a chunk is made of: a child, or a chunk of the level below. */
export type Item = Entry | Ref;

/** The first id at or below an item of a list. */
export function firstId(item: Item): string {
  return 'first' in item ? item.first : item.id;
}

/** How many children an item of a list stands for. */
export function countOf(item: Item): number {
  return 'first' in item ? item.count : 1;
}

/**
 * Whether a chunk may end after the item with this first id: nibble 63 - level of sha-256 of the id is 0. It goes by ids alone,
 * so an edit of a child never moves a boundary; by another nibble on each level, so the levels are independent.
 */
export function isBoundary(level: number, id: string): boolean {
  return idDigest(id)[63 - level] === '0';
}

/** Where chunks end: after which of the items, given as exclusive end positions. The last one is the end of the list. */
export function chunkEnds(level: number, items: readonly Item[]): number[] {
  const ends: number[] = [];
  let start = 0;
  for (let at = 0; at < items.length; at++) {
    if (endsChunk(level, at + 1 - start, items[at] as Item)) {
      ends.push(at + 1);
      start = at + 1;
    }
  }
  if (start < items.length) ends.push(items.length);
  return ends;
}

/** The rule: whether a chunk that has this many items ends after this one. */
export function endsChunk(level: number, size: number, item: Item): boolean {
  return size >= CHUNK_MAX || (size >= CHUNK_MIN && isBoundary(level, firstId(item)));
}

/** Puts one list object and answers how the level above refers to it. */
export function putChunk(pool: ObjectPool, level: number, items: readonly Item[]): Ref {
  const hash =
    level === 0
      ? pool.put({ type: 'list', level: 0, entries: items as readonly Entry[] })
      : pool.put({ type: 'list', level, refs: items as readonly Ref[] });
  return { first: firstId(items[0] as Item), hash, count: items.reduce((sum, item) => sum + countOf(item), 0) };
}

/** Builds a list from all of its entries; null for an empty one. The same entries give the same hash. */
export function buildList(pool: ObjectPool, entries: readonly Entry[]): string | null {
  if (entries.length === 0) return null;
  let level = 0;
  let items: readonly Item[] = entries;
  while (items.length > INLINE) {
    const refs: Ref[] = [];
    let start = 0;
    for (const end of chunkEnds(level, items)) {
      refs.push(putChunk(pool, level, items.slice(start, end)));
      start = end;
    }
    items = refs;
    level++;
  }
  return putChunk(pool, level, items).hash;
}

/** All entries of a list in order; one round trip a level. */
export async function readEntries(pool: ObjectPool, hash: string | null): Promise<readonly Entry[]> {
  if (hash === null) return [];
  const list = await pool.list(hash);
  if (isLeafList(list)) return list.entries;
  return (await Promise.all(list.refs.map((ref) => readEntries(pool, ref.hash)))).flat();
}

/** How many children a list has, read from its top object alone. */
export async function listSize(pool: ObjectPool, hash: string | null): Promise<number> {
  if (hash === null) return 0;
  const list = await pool.list(hash);
  return isLeafList(list) ? list.entries.length : list.refs.reduce((sum, ref) => sum + ref.count, 0);
}

/** The entries at positions `from` to `from + limit` of a list; reads only the chunks that hold them. */
export async function readPage(
  pool: ObjectPool,
  hash: string | null,
  from: number,
  limit: number,
): Promise<readonly Entry[]> {
  if (hash === null || limit <= 0) return [];
  const list = await pool.list(hash);
  if (isLeafList(list)) return list.entries.slice(Math.max(from, 0), Math.max(from + limit, 0));
  const parts: Promise<readonly Entry[]>[] = [];
  let start = 0;
  for (const ref of list.refs) {
    if (start + ref.count > from && start < from + limit) parts.push(readPage(pool, ref.hash, from - start, limit));
    start += ref.count;
  }
  return (await Promise.all(parts)).flat();
}

/** The beginning of a list, and how many children it has in all. */
export interface ListStart {
  readonly size: number;
  readonly entries: readonly Entry[];
}

/** A list to read the beginning of; null is an empty one. */
export interface StartAsk {
  readonly list: string | null;
  /** How many entries are wanted; with 0 only the size is. */
  readonly limit: number;
}

/** The beginnings of many lists at once; one round trip a level for all of them. */
export async function readStarts(pool: ObjectPool, asks: readonly StartAsk[]): Promise<ListStart[]> {
  const tops = await pool.many(asks.flatMap(({ list }) => list ?? []));
  let next = 0;
  const starts = asks.map(({ list, limit }) => {
    const top = list === null ? undefined : tops[next++];
    if (top?.type !== 'list') return { size: 0, limit, items: [] as readonly Item[] };
    const items = itemsOf(top);
    return { size: items.reduce((sum, item) => sum + countOf(item), 0), limit, items };
  });
  for (;;) {
    for (const start of starts) start.items = firstItems(start.items, start.limit);
    const refs = starts.flatMap(({ items }) => items.flatMap((item) => ('first' in item ? item.hash : [])));
    if (refs.length === 0) break;
    const below = await pool.many(refs);
    let at = 0;
    for (const start of starts) {
      start.items = start.items.flatMap((item): readonly Item[] => {
        const list = 'first' in item ? below[at++] : undefined;
        return list?.type === 'list' ? itemsOf(list) : [item];
      });
    }
  }
  return starts.map(({ size, items }) => ({ size, entries: items as readonly Entry[] }));
}

/** What a list object holds: children, or chunks. */
export function itemsOf(list: ListObject): readonly Item[] {
  return isLeafList(list) ? list.entries : list.refs;
}

/** As many items as are needed for so many children. */
function firstItems(items: readonly Item[], limit: number): readonly Item[] {
  if (limit <= 0) return [];
  let count = 0;
  const end = items.findIndex((item) => {
    const isFull = count >= limit;
    count += countOf(item);
    return isFull;
  });
  return end < 0 ? items : items.slice(0, end);
}
