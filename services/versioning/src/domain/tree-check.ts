import type { ObjectChecker, Report } from './integrity.js';
import { LEAF_MAX } from './index-trie.js';
import { mayHold, NO_COUNTS, withKind, type Counts } from './kinds.js';
import { countOf, endsChunk, firstId, INLINE, itemsOf } from './list.js';
import {
  idDigest,
  isIndexLeaf,
  isLeafList,
  type Entry,
  type IndexObject,
  type ListObject,
  type NodeKind,
} from './objects.js';
import type { TreeRef } from './tree-draft.js';

/** What a walk over a whole version found. */
export interface CheckedTree {
  /** The parent of every node but the root. */
  readonly placements: ReadonlyMap<string, string>;
  readonly counts: Counts;
  /** False when something could not be read: then nothing follows from what was not found. */
  readonly isWhole: boolean;
}

interface Parent {
  readonly id: string;
  readonly kind: NodeKind;
  readonly children: string;
}

/**
 * Checks one version whole: hashes and closure of its objects, shape of its lists, kinds, one parent for each id, and the index.
 * Reads heads in pieces and keeps none of them, only the placements: some 100 bytes a node.
 */
export async function checkTree(objects: ObjectChecker, tree: TreeRef, report: Report): Promise<CheckedTree> {
  const walk = new Walk(objects, report);
  await walk.run(tree.root);
  const { placements, counts } = walk;
  if (!walk.isWhole) return { placements, counts, isWhole: false };
  const size = await indexSize(objects, report, { placements, hash: tree.index, prefix: '' });
  if (size !== null && size !== placements.size)
    report('bad_index', tree.index, `the index has ${size} nodes, the tree ${placements.size}`);
  return { placements, counts, isWhole: size !== null };
}

class Walk {
  readonly placements = new Map<string, string>();
  counts = NO_COUNTS;
  isWhole = true;
  readonly #objects: ObjectChecker;
  readonly #report: Report;
  #rootId = '';

  constructor(objects: ObjectChecker, report: Report) {
    this.#objects = objects;
    this.#report = report;
  }

  async run(root: string): Promise<void> {
    const open = await this.#heads([{ id: '', hash: root }], null);
    for (let parent = open.pop(); parent; parent = open.pop()) {
      const list = new ListWalk(this.#objects, this.#report);
      for await (const entries of list.entries(parent.children)) open.push(...(await this.#heads(entries, parent)));
      if (!list.isWhole) this.isWhole = false;
    }
  }

  /** Checks the nodes of a piece of a list; answers those that have children of their own. */
  async #heads(entries: readonly Entry[], parent: Parent | null): Promise<Parent[]> {
    const heads = await this.#objects.fetch(entries.map(({ hash }) => hash));
    const open: Parent[] = [];
    for (const { id: named, hash } of entries) {
      const head = heads.get(hash);
      if (head?.type !== 'node') {
        if (head) this.#report('bad_list', hash, 'a list names what is no node');
        this.isWhole = false;
        continue;
      }
      const { id, kind, children } = head;
      if (parent) this.#place(parent, { named, id, kind, hash });
      else this.#rootId = id;
      if (children !== null) open.push({ id, kind, children });
    }
    return open;
  }

  #place(parent: Parent, node: { named: string; id: string; kind: NodeKind; hash: string }): void {
    const { named, id, kind, hash } = node;
    if (named !== id) this.#report('bad_list', hash, 'an entry names another node than it points to');
    if (this.placements.has(id) || id === this.#rootId)
      this.#report('two_parents', hash, `node ${id} is in the tree twice`);
    if (!mayHold(parent.kind, kind)) this.#report('bad_list', hash, `a ${kind} is under a ${parent.kind}`);
    this.placements.set(id, parent.id);
    this.counts = withKind(this.counts, kind, 1);
  }
}

/** The chunks of one level of a list, as far as they have come. */
interface Level {
  items: number;
  /** The last chunk did not end where the rule ends one: right only for the last of all. */
  isOpen: boolean;
}

/** Goes through a list from left to right, a few chunks at a time, and checks its shape. */
class ListWalk {
  isWhole = true;
  readonly #objects: ObjectChecker;
  readonly #report: Report;
  readonly #levels = new Map<number, Level>();

  constructor(objects: ObjectChecker, report: Report) {
    this.#objects = objects;
    this.#report = report;
  }

  async *entries(hash: string): AsyncGenerator<readonly Entry[]> {
    const top = (await this.#objects.fetch([hash])).get(hash);
    if (top?.type !== 'list') {
      if (top) this.#report('bad_list', hash, 'the children of a node are no list');
      this.isWhole = false;
      return;
    }
    if (itemsOf(top).length > INLINE) this.#report('bad_list', hash, 'the top of a list has at most 16 items');
    yield* this.#below(hash, top);
    for (const { items } of this.#levels.values())
      if (items <= INLINE) this.#report('bad_list', hash, 'a list of so few items has no chunks');
  }

  async *#below(hash: string, list: ListObject): AsyncGenerator<readonly Entry[]> {
    if (itemsOf(list).length === 0) this.#report('bad_list', hash, 'a list object is empty');
    if (isLeafList(list)) {
      yield list.entries;
      return;
    }
    const chunks = await this.#objects.fetch(list.refs.map((ref) => ref.hash));
    for (const ref of list.refs) {
      const chunk = chunks.get(ref.hash);
      if (chunk?.type !== 'list' || chunk.level !== list.level - 1) {
        if (chunk) this.#report('bad_list', ref.hash, 'a chunk is not of the level below');
        this.isWhole = false;
        continue;
      }
      const items = itemsOf(chunk);
      const count = items.reduce((sum, item) => sum + countOf(item), 0);
      if (count !== ref.count || (items[0] && firstId(items[0]) !== ref.first))
        this.#report('bad_list', hash, 'a chunk is not as it is described');
      this.#checkEnd(ref.hash, chunk);
      yield* this.#below(ref.hash, chunk);
    }
  }

  /** Whether a chunk ends where the rule says, and nowhere else. */
  #checkEnd(hash: string, chunk: ListObject): void {
    const level = this.#levels.get(chunk.level) ?? { items: 0, isOpen: false };
    this.#levels.set(chunk.level, level);
    const items = itemsOf(chunk);
    const end = items.findIndex((item, i) => endsChunk(chunk.level, i + 1, item));
    if (level.isOpen || (end >= 0 && end !== items.length - 1))
      this.#report('bad_list', hash, `a chunk of level ${chunk.level} ends where it should not`);
    level.isOpen = end < 0;
    level.items += items.length;
  }
}

/** How many nodes a part of the index has, after checking it against the tree; null when it cannot be read. */
async function indexSize(
  objects: ObjectChecker,
  report: Report,
  at: { readonly placements: ReadonlyMap<string, string>; readonly hash: string; readonly prefix: string },
): Promise<number | null> {
  const { hash, prefix } = at;
  const object = (await objects.fetch([hash])).get(hash);
  if (object && object.type !== 'index') report('bad_index', hash, 'the index names what is no part of it');
  return object?.type === 'index' ? partSize(object) : null;

  async function partSize(part: IndexObject): Promise<number | null> {
    if (isIndexLeaf(part)) return leafSize(part, { ...at, report });
    let sum = 0;
    for (const [slot, child] of part.children.entries()) {
      if (child === null) continue;
      const size = await indexSize(objects, report, { ...at, hash: child, prefix: prefix + slot.toString(16) });
      if (size === null) return null;
      if (size === 0) report('bad_index', child, 'a part of the index is empty');
      sum += size;
    }
    if (sum !== part.count || sum <= LEAF_MAX)
      report('bad_index', hash, 'a part of the index is not of the size it says');
    return sum;
  }
}

function leafSize(
  leaf: IndexObject & { readonly entries: readonly { readonly id: string; readonly parent: string }[] },
  at: {
    readonly placements: ReadonlyMap<string, string>;
    readonly hash: string;
    readonly prefix: string;
    readonly report: Report;
  },
): number {
  const { hash, prefix, placements, report } = at;
  let last = '';
  if (leaf.entries.length > LEAF_MAX) report('bad_index', hash, 'a leaf of the index is too large');
  for (const { id, parent } of leaf.entries) {
    const digest = idDigest(id);
    if (!digest.startsWith(prefix) || digest <= last)
      report('bad_index', hash, `node ${id} is filed at the wrong place`);
    if (placements.get(id) !== parent)
      report('bad_index', hash, `node ${id} has another parent in the tree, or is not in it`);
    last = digest;
  }
  return leaf.entries.length;
}
