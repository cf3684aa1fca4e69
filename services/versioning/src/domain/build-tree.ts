import { buildIndex } from './index-trie.js';
import { buildList } from './list.js';
import type { ObjectPool } from './object-pool.js';
import type { Fields, NodeKind, Placement, Source } from './objects.js';
import type { TreeRef } from './tree-draft.js';

/** A tree written out. */
export interface TreeSpec {
  readonly id: string;
  readonly kind: NodeKind;
  readonly fields: Fields;
  readonly body?: string | null;
  readonly source?: Source | null;
  readonly children?: readonly TreeSpec[];
}

/** Puts all objects of a tree into the pool. Whatever way leads to the same tree, its hashes are these. */
export function buildTree(pool: ObjectPool, root: TreeSpec): TreeRef {
  const placements: Placement[] = [];
  const put = (node: TreeSpec, parent: string | null): string => {
    if (parent !== null) placements.push({ id: node.id, parent });
    const entries = (node.children ?? []).map((child) => ({ id: child.id, hash: put(child, node.id) }));
    const { kind, id, fields, body = null, source = null } = node;
    return pool.put({ type: 'node', kind, id, fields, body, source, children: buildList(pool, entries) });
  };
  return { root: put(root, null), index: buildIndex(pool, placements) };
}
