import type { Audience } from '@coursewright/course-model/lesson';
import { hasChildren } from './kinds.js';
import { readPage } from './list.js';
import type { ObjectPool } from './object-pool.js';
import type { NodeHead, NodeKind } from './objects.js';
import { seenChildren } from './outline.js';
import { ANSWER_BYTES, Pace, weightOf } from './sizes.js';
import { audienceOf, EVERYTHING, isSeen, type SeenList, type Viewer } from './viewer.js';

/** A node with its place in its tree. */
export interface PlacedNode {
  readonly head: NodeHead;
  readonly hash: string;
  readonly parent: string | null;
  /** Among the siblings that the viewer sees. */
  readonly position: number;
  /** Whom it is for, its ancestors counted in. */
  readonly audience: Audience;
}

/** What a node weighs in an answer. */
export function weightOfNode({ fields, source }: NodeHead): number {
  return 640 + weightOf(fields) + (source ? 3 * (source.format.length + source.key.length) : 0);
}

/** The children of a node from a stored place on, `limit` of them at most; those that the viewer does not see are null. */
export async function childrenFrom(
  pool: ObjectPool,
  parent: Pick<PlacedNode, 'head' | 'audience'> & { readonly list: SeenList },
  { place, limit, viewer }: { readonly place: number; readonly limit: number; readonly viewer: Viewer },
): Promise<(PlacedNode | null)[]> {
  const entries = await readPage(pool, parent.head.children, place, limit);
  const seen = entries.map((entry, i) => (parent.list.has(place + i) ? entry.hash : null));
  const heads = await pool.heads(seen.filter((hash) => hash !== null));
  let at = 0;
  return seen.map((hash, i) => {
    const head = hash === null ? undefined : heads[at++];
    if (hash === null || !head || !isSeen(viewer, head)) return null;
    return {
      head,
      hash,
      parent: parent.head.id,
      position: parent.list.positionOf(place + i),
      audience: audienceOf(head, parent.audience),
    };
  });
}

/** Which nodes a walk over a tree is after. */
export interface NodeFilter {
  /** Empty means all. */
  readonly kinds: readonly NodeKind[];
  readonly submittableOnly: boolean;
}

/** A page of a walk: what it found, and the places on the way to the node to go on with (null at the end). */
export interface WalkPage {
  readonly nodes: readonly PlacedNode[];
  readonly next: readonly number[] | null;
}

/** A walk looks at this many nodes for a page, so that a rare find cannot make one page cost the whole tree; */
const VISITS = 5_000;
/** and at so many bytes of them. */
const LOOKED = 4 * ANSWER_BYTES;

/**
 * The nodes of a tree in document order from a path of places on (empty: from the root), until `limit` are found, they fill an
 * answer, or enough has been looked at.
 */
export async function walkNodes(
  pool: ObjectPool,
  root: PlacedNode,
  start: readonly number[],
  ask: NodeFilter & { readonly limit: number; readonly viewer?: Viewer },
): Promise<WalkPage> {
  const walk = new Walk(pool, ask);
  const next = await walk.visit(root, start, []);
  return { nodes: walk.found, next };
}

class Walk {
  readonly found: PlacedNode[] = [];
  readonly #pool: ObjectPool;
  readonly #ask: NodeFilter & { readonly limit: number };
  readonly #viewer: Viewer;
  readonly #pace = new Pace();
  #visits = 0;
  #bytes = 0;
  #looked = 0;

  constructor(pool: ObjectPool, ask: NodeFilter & { readonly limit: number; readonly viewer?: Viewer }) {
    this.#pool = pool;
    this.#ask = ask;
    this.#viewer = ask.viewer ?? EVERYTHING;
  }

  /** Visits a node and what is below it; answers the path to go on with, or null when all was seen. */
  async visit(node: PlacedNode, from: readonly number[], path: readonly number[]): Promise<readonly number[] | null> {
    if (from.length === 0 && !this.#look(node)) return path;
    if (!this.#isWorthOpening(node.head)) return null;
    const list = await seenChildren(this.#pool, this.#viewer, node.head);
    for (let at = from[0] ?? 0; list.restFrom(at) !== null;) {
      if (this.#isFull()) return [...path, at];
      const limit = Math.min(this.#pace.next(LOOKED - this.#looked), Math.max(16, this.#ask.limit - this.found.length));
      const page = await childrenFrom(this.#pool, { ...node, list }, { place: at, limit, viewer: this.#viewer });
      for (const child of page) {
        const rest = child && (await this.visit(child, at === from[0] ? from.slice(1) : [], [...path, at]));
        if (rest) return rest;
        at++;
      }
    }
    return null;
  }

  /** Takes a node in; false when there is no room for it. The first one of a page is always taken. */
  #look(node: PlacedNode): boolean {
    const weight = weightOfNode(node.head);
    if (this.#visits > 0 && (this.#isFull() || this.#looked + weight > LOOKED)) return false;
    if (this.#isWanted(node.head)) {
      if (this.found.length > 0 && this.#bytes + weight > ANSWER_BYTES) return false;
      this.found.push(node);
      this.#bytes += weight;
    }
    this.#visits++;
    this.#looked += this.#pace.took(weight);
    return true;
  }

  #isFull(): boolean {
    return this.found.length >= this.#ask.limit || this.#visits >= VISITS;
  }

  #isWanted({ kind, fields }: NodeHead): boolean {
    const { kinds, submittableOnly } = this.#ask;
    return (kinds.length === 0 || kinds.includes(kind)) && (!submittableOnly || fields.submittable === true);
  }

  #isWorthOpening({ kind }: NodeHead): boolean {
    const { kinds } = this.#ask;
    if (!hasChildren(kind)) return false;
    return kind !== 'module' || kinds.length === 0 || kinds.includes('lesson') || kinds.includes('assignment');
  }
}
