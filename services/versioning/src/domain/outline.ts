import { hasChildren } from './kinds.js';
import { listSize, readPage, readStarts } from './list.js';
import type { ObjectPool } from './object-pool.js';
import type { NodeHead, NodeKind } from './objects.js';

/** An outline lists at most this many children of a node. */
export const OUTLINE_CHILDREN = 1_000;

/** And at most this many nodes in all; below that, children are left to be asked for. */
export const OUTLINE_NODES = 10_000;

/** A node of an outline with as many of its children as the outline shows. */
export interface OutlineNode {
  readonly head: NodeHead;
  readonly childCount: number;
  readonly children: readonly OutlineNode[];
  /** Position of the first child that is not listed for want of room, or null. */
  readonly next: number | null;
}

/**
 * The outline below a node. `depth` is the number of levels below it; null stops at modules. Reads heads and lists, level by level,
 * never bodies.
 */
export async function outlineOf(pool: ObjectPool, head: NodeHead, depth: number | null): Promise<OutlineNode> {
  return (await outlines(pool, [head], { depth, room: OUTLINE_NODES }))[0] as OutlineNode;
}

/** `room` is how many nodes may still be listed; a node whose children do not fit lists none of them. */
async function outlines(
  pool: ObjectPool,
  heads: readonly NodeHead[],
  { depth, room }: { readonly depth: number | null; readonly room: number },
): Promise<OutlineNode[]> {
  const isOpen = heads.map(({ kind }) => (depth === null ? kind === 'course' || kind === 'unit' : depth > 0));
  const asks = heads.map(({ children }, i) => ({ list: children, limit: isOpen[i] ? OUTLINE_CHILDREN : 0 }));
  const lists = await readStarts(pool, asks);
  let left = room;
  const shown = lists.map(({ entries }) => {
    const listed = entries.slice(0, OUTLINE_CHILDREN);
    if (listed.length > left) return [];
    left -= listed.length;
    return listed;
  });
  const hashes = shown.flatMap((entries) => entries.map(({ hash }) => hash));
  const next = { depth: depth === null ? null : depth - 1, room: left };
  const below = hashes.length === 0 ? [] : await outlines(pool, await pool.heads(hashes), next);
  let at = 0;
  return heads.map((head, i) => {
    const size = lists[i]?.size ?? 0;
    const count = shown[i]?.length ?? 0;
    const children = below.slice(at, at + count);
    at += count;
    return { head, childCount: size, children, next: isOpen[i] && size > count ? count : null };
  });
}

/** A node with its place in its tree. */
export interface PlacedNode {
  readonly head: NodeHead;
  readonly hash: string;
  readonly parent: string | null;
  readonly position: number;
}

/** The children of a node at positions `from` to `from + limit`. */
export async function childrenOf(
  pool: ObjectPool,
  parent: NodeHead,
  from: number,
  limit: number,
): Promise<PlacedNode[]> {
  const entries = await readPage(pool, parent.children, from, limit);
  const heads = await pool.heads(entries.map(({ hash }) => hash));
  return entries.map(({ hash }, i) => ({ head: heads[i] as NodeHead, hash, parent: parent.id, position: from + i }));
}

/** Which nodes a walk over a tree is after. */
export interface NodeFilter {
  /** Empty means all. */
  readonly kinds: readonly NodeKind[];
  readonly submittableOnly: boolean;
}

/** A page of a walk: what it found, and the positions on the way to the node to go on with (null at the end). */
export interface WalkPage {
  readonly nodes: readonly PlacedNode[];
  readonly next: readonly number[] | null;
}

/** A walk looks at this many nodes for a page, so that a rare find cannot make one page cost the whole tree. */
const VISITS = 5_000;

/**
 * The nodes of a tree in document order from a path of positions on (empty: from the root), until `limit` are found or
 * 5,000 have been looked at.
 */
export async function walkNodes(
  pool: ObjectPool,
  root: PlacedNode,
  start: readonly number[],
  ask: NodeFilter & { readonly limit: number },
): Promise<WalkPage> {
  const found: PlacedNode[] = [];
  let visits = 0;
  const isWanted = ({ head }: PlacedNode): boolean =>
    (ask.kinds.length === 0 || ask.kinds.includes(head.kind)) &&
    (!ask.submittableOnly || head.fields.submittable === true);
  const isWorthOpening = (head: NodeHead): boolean =>
    hasChildren(head.kind) &&
    (head.kind !== 'module' ||
      ask.kinds.length === 0 ||
      ask.kinds.includes('lesson') ||
      ask.kinds.includes('assignment'));
  const isFull = (): boolean => found.length >= ask.limit || visits >= VISITS;

  /** Visits a node and what is below it; answers the path to go on with, or null when all was seen. */
  const visit = async (
    node: PlacedNode,
    from: readonly number[],
    path: readonly number[],
  ): Promise<readonly number[] | null> => {
    if (from.length === 0) {
      if (isFull()) return path;
      visits++;
      if (isWanted(node)) found.push(node);
    }
    if (!isWorthOpening(node.head)) return null;
    const size = await listSize(pool, node.head.children);
    for (let at = from[0] ?? 0; at < size;) {
      if (isFull()) return [...path, at];
      const page = await childrenOf(pool, node.head, at, Math.max(16, Math.min(ask.limit - found.length, 200)));
      for (const child of page) {
        const rest = await visit(child, at === from[0] ? from.slice(1) : [], [...path, at]);
        if (rest) return rest;
        at++;
      }
    }
    return null;
  };
  const next = await visit(root, start, []);
  return { nodes: found, next };
}
