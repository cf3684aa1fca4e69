import type { Fields, NodeKind } from '../../src/domain/objects.js';
import type { Op } from '../../src/domain/ops.js';
import { bodyHash, flatten, testId, type ModelNode } from './model.js';

/** Draws a whole number below `below`. */
export type Draw = (below: number) => number;

/** A generator of draws from a seed; the same seed gives the same draws. */
export function drawFrom(seed: number): Draw {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

/** What random ops have done so far: ids come back, as they were or as another kind, in the same change or in a later one. */
export class Past {
  /** Ids that were removed and may be added anew. */
  readonly #gone = new Set<string>();
  /** An id is added once in a change; what is removed after that waits for the next change. */
  readonly #added = new Set<string>();
  readonly #later = new Set<string>();
  /** Just removed, to be put back at once as another kind. */
  changing: { readonly id: string; readonly kind: NodeKind; readonly parent: string } | null = null;

  /** The next ops belong to another change. */
  nextChange(): void {
    for (const id of this.#later) this.#gone.add(id);
    this.#later.clear();
    this.#added.clear();
    this.changing = null;
  }

  /** An id for a node to be added: often one that was there before. */
  idFor(draw: Draw): string {
    const gone = [...this.#gone];
    const id = gone.length > 0 && draw(2) ? (gone[draw(gone.length)] as string) : testId();
    return this.added(id);
  }

  added(id: string): string {
    this.#gone.delete(id);
    this.#added.add(id);
    return id;
  }

  removed(ids: Iterable<string>): void {
    for (const id of ids) (this.#added.has(id) ? this.#later : this.#gone).add(id);
  }

  mayAdd(id: string): boolean {
    return !this.#added.has(id);
  }
}

const BELOW: Partial<Record<NodeKind, NodeKind[]>> = {
  course: ['unit', 'module'],
  unit: ['module'],
  module: ['lesson', 'assignment'],
};

/** A legal op on a model, of every kind; favours nodes with many children, where chunks are. */
export function randomOp(root: ModelNode, draw: Draw, past = new Past()): Op {
  const all = [...flatten(root).values()];
  const pick = <T>(items: readonly T[]): T => items[draw(items.length)] as T;
  const holders = all.filter(({ node }) => BELOW[node.kind]);
  const others = all.filter(({ parent }) => parent);
  const { changing } = past;
  past.changing = null;
  if (changing && all.some(({ node }) => node.id === changing.parent)) {
    const siblings = all.find(({ node }) => node.id === changing.parent)?.node as ModelNode;
    const others = (BELOW[siblings.kind] ?? []).filter((kind) => kind !== changing.kind);
    if (others.length > 0) return addOp(past.added(changing.id), siblings, pick(others), draw);
  }
  const what = draw(11);
  if (what === 10 && others.length > 0) {
    const { node, parent } = pick(others);
    past.removed(flatten(node).keys());
    if (parent && past.mayAdd(node.id)) past.changing = { id: node.id, kind: node.kind, parent: parent.id };
    return { op: 'remove', node: node.id };
  }
  if (what < 3 || others.length === 0) {
    const parent = pick(holders).node;
    return addOp(past.idFor(draw), parent, pick(BELOW[parent.kind] as NodeKind[]), draw);
  }
  const { node, parent } = pick(others);
  if (what < 5) {
    const fields: Fields = draw(2)
      ? { title: `Edited ${draw(1000)}` }
      : { topic: `t${draw(5)}`, durationMinutes: draw(2) ? draw(60) : null };
    return { op: 'setFields', node: pick(all).node.id, fields };
  }
  if (what === 5 && node.kind === 'lesson')
    return { op: 'setBody', node: node.id, body: draw(4) ? bodyHash(draw(256)) : null };
  if (what < 8) {
    const target = pick(holders.filter((holder) => BELOW[holder.node.kind]?.includes(node.kind))).node;
    const count = target.children.length - (target === parent ? 1 : 0);
    return { op: 'move', node: node.id, parent: target.id, position: draw(4) ? draw(count + 1) : null };
  }
  if (what === 8) {
    const holder = pick(holders).node;
    const shuffled = holder.children
      .map((child) => ({ id: child.id, key: draw(1 << 20) }))
      .sort((x, y) => x.key - y.key)
      .slice(0, draw(holder.children.length + 1));
    return { op: 'reorder', node: holder.id, children: shuffled.map(({ id }) => id) };
  }
  // Big removals would soon leave nothing to test on.
  const removed = (others.find((other) => other.node.children.length === 0 && draw(3) === 0) ?? pick(others)).node;
  past.removed(flatten(removed).keys());
  return { op: 'remove', node: removed.id };
}

function addOp(id: string, parent: ModelNode, kind: NodeKind, draw: Draw): Op {
  const body = kind === 'lesson' && draw(2) ? bodyHash(draw(256)) : null;
  const position = draw(3) ? draw(parent.children.length + 1) : null;
  const fields = { title: `New ${draw(1000)}` };
  return { op: 'add', id, parent: parent.id, position, kind, fields, body, source: null };
}
