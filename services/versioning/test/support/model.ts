import { buildTree } from '../../src/domain/build-tree.js';
import { ObjectPool } from '../../src/domain/object-pool.js';
import {
  decodeObject,
  type Fields,
  type NodeKind,
  type ObjectReader,
  type TreeObject,
} from '../../src/domain/objects.js';
import type { Op } from '../../src/domain/ops.js';
import type { TreeRef } from '../../src/domain/tree-draft.js';

/** An object store in memory that counts its round trips. */
export class MemoryObjects implements ObjectReader {
  readonly objects = new Map<string, TreeObject>();
  calls = 0;
  asked = 0;

  async getMany(hashes: readonly string[]): Promise<ReadonlyMap<string, TreeObject>> {
    this.calls++;
    this.asked += hashes.length;
    await new Promise((resolve) => setImmediate(resolve));
    return new Map(
      hashes.flatMap((hash) => (this.objects.has(hash) ? [[hash, this.objects.get(hash) as TreeObject]] : [])),
    );
  }

  /** Keeps what a pool made; through the stored form, so that a test sees what a database would give back. */
  keep(pool: ObjectPool): number {
    let bytes = 0;
    for (const stored of pool.created()) {
      this.objects.set(stored.hash, decodeObject(stored));
      bytes += stored.data.length;
    }
    return bytes;
  }
}

let serial = 0;

/** Ids of the right shape in the order they are asked for; the last digits are scattered as random ones would be. */
export function testId(): string {
  serial++;
  const time = (0x0190_0000_0000 + serial).toString(16).padStart(12, '0');
  const noise = ((serial * 2_654_435_761) % 2 ** 32).toString(16).padStart(8, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${noise.slice(0, 3)}-8${noise.slice(3, 6)}-${noise}${noise.slice(4)}`;
}

export interface ModelNode {
  id: string;
  kind: NodeKind;
  fields: Fields;
  body: string | null;
  children: ModelNode[];
}

/** A hash that stands for some body. */
export function bodyHash(n: number): string {
  return Buffer.alloc(32, n).toString('base64url');
}

/** A course written out: so many units, modules in each, lessons in each. */
export function course(units: number, modules: number, lessons: number, id = testId()): ModelNode {
  const make = (kind: NodeKind, title: string, children: ModelNode[]): ModelNode => ({
    id: testId(),
    kind,
    fields: { title },
    body: null,
    children,
  });
  const list = (n: number, each: (i: number) => ModelNode): ModelNode[] => Array.from({ length: n }, (_, i) => each(i));
  return {
    ...make(
      'course',
      'Course',
      list(units, (u) =>
        make(
          'unit',
          `Unit ${u}`,
          list(modules, (m) =>
            make(
              'module',
              `Module ${m}`,
              list(lessons, (l) => make('lesson', `Lesson ${l}`, [])),
            ),
          ),
        ),
      ),
    ),
    id,
  };
}

/** All nodes of a model with their parents, by id. */
export function flatten(root: ModelNode): Map<string, { node: ModelNode; parent: ModelNode | null; position: number }> {
  const all = new Map<string, { node: ModelNode; parent: ModelNode | null; position: number }>();
  const walk = (node: ModelNode, parent: ModelNode | null, position: number): void => {
    all.set(node.id, { node, parent, position });
    node.children.forEach((child, i) => walk(child, node, i));
  };
  walk(root, null, 0);
  return all;
}

/** The version of a model, built from nothing. */
export function build(objects: MemoryObjects, root: ModelNode): TreeRef {
  const pool = new ObjectPool(objects);
  const tree = buildTree(pool, root);
  objects.keep(pool);
  return tree;
}

/** Applies an op to the model in place; as plain as can be. Positions count the other children. */
export function applyToModel(root: ModelNode, op: Op): void {
  const all = flatten(root);
  const at = (id: string): ModelNode => (all.get(id) as { node: ModelNode }).node;
  const take = (id: string): ModelNode => {
    const { node, parent } = all.get(id) as { node: ModelNode; parent: ModelNode };
    parent.children.splice(parent.children.indexOf(node), 1);
    return node;
  };
  const put = (parent: ModelNode, node: ModelNode, position: number | null): void => {
    parent.children.splice(position ?? parent.children.length, 0, node);
  };
  switch (op.op) {
    case 'add':
      return put(
        at(op.parent),
        { id: op.id, kind: op.kind, fields: op.fields, body: op.body, children: [] },
        op.position,
      );
    case 'setFields': {
      const merged = { ...at(op.node).fields, ...op.fields };
      at(op.node).fields = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
      return;
    }
    case 'setBody':
      at(op.node).body = op.body;
      return;
    case 'move': {
      const from = all.get(op.node)?.parent;
      if (from?.id === op.parent && op.position === null) return;
      return put(at(op.parent), take(op.node), op.position);
    }
    case 'remove':
      if (all.has(op.node)) take(op.node);
      return;
    case 'reorder': {
      const node = at(op.node);
      const byId = new Map(node.children.map((child) => [child.id, child]));
      const named = op.children.flatMap((id) => byId.get(id) ?? []);
      const result: ModelNode[] = [];
      for (const child of node.children) {
        if (named.includes(child)) continue;
        const before = node.children[node.children.indexOf(child) - 1];
        if (!before) result.unshift(child);
        else if (result.includes(before)) result.splice(result.indexOf(before) + 1, 0, child);
      }
      const leading = result;
      const out = [...leading];
      for (const one of named) {
        out.push(one);
        for (
          let i = node.children.indexOf(one) + 1;
          i < node.children.length && !named.includes(node.children[i] as ModelNode);
          i++
        ) {
          out.push(node.children[i] as ModelNode);
        }
      }
      node.children = out;
    }
  }
}
