import { INLINE, listSize, readStarts, type ListStart } from './list.js';
import type { ObjectPool } from './object-pool.js';
import type { Entry, NodeHead } from './objects.js';
import { ANSWER_BYTES, Pace, weightOf } from './sizes.js';
import { EVERYTHING, isSeen, SeenList, type Viewer } from './viewer.js';

/** An outline lists at most this many children of a node. */
export const OUTLINE_CHILDREN = 1_000;

/** And at most this many nodes in all, of at most `ANSWER_BYTES`; below that, children are left to be asked for. */
export const OUTLINE_NODES = 10_000;

/** What a node of an outline weighs besides its fields: ids, hashes, a cursor. */
const NODE = 320;

/** A node of an outline with as many of its children as the outline shows. */
export interface OutlineNode {
  readonly head: NodeHead;
  readonly childCount: number;
  readonly children: readonly OutlineNode[];
  /** Place of the first child that is not listed for want of room, or null. */
  readonly next: number | null;
}

interface Draft extends OutlineNode {
  childCount: number;
  readonly children: Draft[];
  next: number | null;
}

/** What an outline may still list. */
interface Room {
  nodes: number;
  bytes: number;
}

/**
 * The outline below a node. `depth` is the number of levels below it; null stops at modules. Reads heads and lists, level by level,
 * never bodies. What there is no room for is left out from the end of a level on: each node then says where its children go on.
 */
export async function outlineOf(
  pool: ObjectPool,
  head: NodeHead,
  depth: number | null,
  viewer: Viewer = EVERYTHING,
): Promise<OutlineNode> {
  const root: Draft = { head, childCount: 0, children: [], next: null };
  const room: Room = { nodes: OUTLINE_NODES, bytes: ANSWER_BYTES - NODE - weightOf(head.fields) };
  const reading = { pool, viewer, room, pace: new Pace() };
  let levels = depth;
  for (let level = [root]; level.length > 0; level = level.flatMap(({ children }) => children)) {
    await fillLevel(reading, level, levels);
    if (levels !== null) levels--;
  }
  return root;
}

interface Reading {
  readonly pool: ObjectPool;
  readonly viewer: Viewer;
  readonly room: Room;
  readonly pace: Pace;
}

/** Counts the children of a level's nodes, and lists those of the nodes that are open. */
async function fillLevel(reading: Reading, level: readonly Draft[], depth: number | null): Promise<void> {
  const { pool, viewer, room } = reading;
  // Of the thousand leaves of a page nothing is asked.
  const parents = level.filter(({ head }) => head.children !== null);
  if (parents.length === 0) return;
  const isOpen = ({ head: { kind } }: Draft): boolean =>
    depth === null ? kind === 'course' || kind === 'unit' : depth > 0;
  // A short list is one object, which also says how long it is.
  const starts = await readStarts(
    pool,
    parents.map((node) => ({ list: node.head.children, limit: isOpen(node) ? INLINE : 0 })),
  );
  let left = room.nodes;
  const open: Open[] = [];
  for (let i = 0; i < parents.length; i++) {
    const [node, { size, entries }] = [parents[i] as Draft, starts[i] as ListStart];
    const list = new SeenList(viewer, node.head.id, size);
    node.childCount = list.size;
    if (!isOpen(node) || list.size === 0) continue;
    node.next = list.restFrom(0);
    const count = Math.min(list.size, OUTLINE_CHILDREN, left);
    left -= count;
    if (count > 0) open.push({ node, list, count, entries });
  }
  if (open.length > 0 && room.bytes > 0) await listChildren(reading, await childrenOf(pool, open));
}

/** A node whose children are listed, with the first of them. */
interface Open {
  readonly node: Draft;
  readonly list: SeenList;
  readonly count: number;
  entries: readonly Entry[];
}

/** The children that are to be listed, those of long lists read together. */
async function childrenOf(pool: ObjectPool, open: readonly Open[]): Promise<Wanted[]> {
  const needs = ({ list, count }: Open): number => count + list.stored - list.size;
  const long = open.filter((one) => one.entries.length < needs(one));
  const asks = long.map((one) => ({ list: one.node.head.children, limit: needs(one) }));
  const starts = asks.length === 0 ? [] : await readStarts(pool, asks);
  for (const [i, one] of long.entries()) one.entries = starts[i]?.entries ?? [];
  const wanted: Wanted[] = [];
  for (const { node, list, count, entries } of open) {
    for (let place = 0, taken = 0; place < entries.length && taken < count; place++) {
      if (!list.has(place)) continue;
      wanted.push({ node, list, place, hash: (entries[place] as Entry).hash });
      taken++;
    }
  }
  return wanted;
}

interface Wanted {
  readonly node: Draft;
  readonly list: SeenList;
  readonly place: number;
  readonly hash: string;
}

/** Puts children under their nodes in this order while there is room. */
async function listChildren({ pool, viewer, room, pace }: Reading, wanted: readonly Wanted[]): Promise<void> {
  for (let at = 0; at < wanted.length;) {
    const part = wanted.slice(at, at + pace.next(room.bytes));
    await pool.turn();
    const heads = await pool.heads(part.map(({ hash }) => hash));
    for (let i = 0; i < part.length; i++) {
      const { node, list, place } = part[i] as Wanted;
      const head = heads[i] as NodeHead;
      const weight = pace.took(NODE + weightOf(head.fields));
      if (weight > room.bytes) {
        room.bytes = 0;
        return;
      }
      if (isSeen(viewer, head)) {
        node.children.push({ head, childCount: 0, children: [], next: null });
        room.bytes -= weight;
        room.nodes--;
      }
      node.next = list.restFrom(place + 1);
    }
    at += part.length;
  }
}

/** How many children of a node a viewer sees. */
export async function seenChildren(pool: ObjectPool, viewer: Viewer, head: NodeHead): Promise<SeenList> {
  return new SeenList(viewer, head.id, await listSize(pool, head.children));
}
