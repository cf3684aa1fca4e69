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

const BELOW: Partial<Record<NodeKind, NodeKind[]>> = {
  course: ['unit', 'module'],
  unit: ['module'],
  module: ['lesson', 'assignment'],
};

/** A legal op on a model, of every kind; favours nodes with many children, where chunks are. */
export function randomOp(root: ModelNode, draw: Draw): Op {
  const all = [...flatten(root).values()];
  const pick = <T>(items: readonly T[]): T => items[draw(items.length)] as T;
  const holders = all.filter(({ node }) => BELOW[node.kind]);
  const others = all.filter(({ parent }) => parent);
  const what = draw(10);
  if (what < 3 || others.length === 0) {
    const parent = pick(holders).node;
    const kind = pick(BELOW[parent.kind] as NodeKind[]);
    const body = kind === 'lesson' && draw(2) ? bodyHash(draw(256)) : null;
    const position = draw(3) ? draw(parent.children.length + 1) : null;
    return {
      op: 'add',
      id: testId(),
      parent: parent.id,
      position,
      kind,
      fields: { title: `New ${draw(1000)}` },
      body,
      source: null,
    };
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
  return {
    op: 'remove',
    node: (others.find((other) => other.node.children.length === 0 && draw(3) === 0) ?? pick(others)).node.id,
  };
}
