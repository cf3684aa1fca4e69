import { AppError } from '@coursewright/platform/errors';
import { findParents, updateIndex } from './index-trie.js';
import { hasChildren } from './kinds.js';
import { readEntries } from './list.js';
import { ListDraft } from './list-draft.js';
import type { ObjectPool } from './object-pool.js';
import type { Entry, Fields, NodeHead, NodeKind, Source } from './objects.js';

/** A version of a tree: hash of the root node and of the find-by-id index. */
export interface TreeRef {
  readonly root: string;
  readonly index: string;
}

/** A node while its tree is being changed. */
export interface DraftNode {
  readonly id: string;
  readonly kind: NodeKind;
  readonly source: Source | null;
  parent: string | null;
  fields: Fields;
  body: string | null;
  /** The list it had when it was read. */
  readonly children: string | null;
  /** Hash it had when it was read; empty for a new one. */
  readonly hash: string;
}

/** A node as it was before the change. */
export interface Origin {
  readonly head: NodeHead;
  readonly parent: string | null;
}

/**
 * A tree while it is being changed. Nodes and lists are read when they are asked for (ask for many at once: what is asked for
 * in one turn is read together); `seal` makes the objects that changed, from the leaves up.
 */
export class TreeDraft {
  readonly pool: ObjectPool;
  readonly before: TreeRef;
  readonly #nodes = new Map<string, DraftNode | null>();
  readonly #loading = new Map<string, Promise<DraftNode | null>>();
  readonly #lists = new Map<string, Promise<ListDraft>>();
  readonly #origins = new Map<string, Origin>();
  readonly #dirty = new Set<string>();
  readonly #placements = new Map<string, string | null>();
  readonly #reordered = new Set<string>();
  /** Parents to which a child came back that had left it: its place may be another one. */
  readonly #returnedTo = new Set<string>();
  #rootId = '';

  private constructor(pool: ObjectPool, before: TreeRef) {
    this.pool = pool;
    this.before = before;
  }

  /** Opens a version of a tree for changes. Throws internal `OBJECT_MISSING` when its root is not there. */
  static async open(pool: ObjectPool, tree: TreeRef): Promise<TreeDraft> {
    const draft = new TreeDraft(pool, tree);
    draft.#rootId = (await draft.#adopt({ id: '', hash: tree.root }, null)).id;
    return draft;
  }

  /** The id of the root, which is the course's. */
  get rootId(): string {
    return this.#rootId;
  }

  /** The node with this id, or null when the tree has none (any more). */
  node(id: string): Promise<DraftNode | null> {
    return this.#nodeUnder(id, async () => (await findParents(this.pool, this.before.index, [id])).get(id));
  }

  /** As `node`, for many at once: the index is searched for all of them together. */
  async nodes(ids: Iterable<string>): Promise<(DraftNode | null)[]> {
    const asked = [...ids];
    const unknown = asked.filter((id) => !this.#nodes.has(id) && !this.#loading.has(id));
    const parents = unknown.length === 0 ? null : await findParents(this.pool, this.before.index, unknown);
    return Promise.all(asked.map((id) => this.#nodeUnder(id, () => Promise.resolve(parents?.get(id)))));
  }

  #nodeUnder(id: string, findParent: () => Promise<string | undefined>): Promise<DraftNode | null> {
    const known = this.#nodes.get(id);
    if (known !== undefined) return Promise.resolve(known);
    let loading = this.#loading.get(id);
    if (!loading) {
      loading = this.#load(id, findParent);
      this.#loading.set(id, loading);
    }
    return loading;
  }

  async #load(id: string, findParent: () => Promise<string | undefined>): Promise<DraftNode | null> {
    const parentId = await findParent();
    const parent = parentId === undefined ? null : await this.node(parentId);
    const known = this.#nodes.get(id);
    if (known !== undefined) return known;
    if (!parent) {
      this.#nodes.set(id, null);
      return null;
    }
    const entry = await (await this.list(parent)).find(id);
    if (!entry) throw new AppError('internal', 'INDEX_BROKEN', { node: id, parent: parent.id });
    return this.#adopt(entry, parent.id);
  }

  async #adopt(entry: Entry, parent: string | null): Promise<DraftNode> {
    const known = this.#nodes.get(entry.id);
    if (known) return known;
    const head = await this.pool.head(entry.hash);
    const again = this.#nodes.get(head.id);
    if (again) return again;
    const { id, kind, source, fields, body, children } = head;
    const node: DraftNode = { id, kind, source, parent, fields, body, children, hash: entry.hash };
    this.#nodes.set(id, node);
    this.#origins.set(id, { head, parent });
    return node;
  }

  /** The list of a node's children. */
  list(node: DraftNode): Promise<ListDraft> {
    let list = this.#lists.get(node.id);
    if (!list) {
      list = ListDraft.open(this.pool, node.children);
      this.#lists.set(node.id, list);
    }
    return list;
  }

  /** The ids of a node's children in order; reads the whole list. */
  async childIds(node: DraftNode): Promise<string[]> {
    return (await this.list(node)).ids();
  }

  /** Puts a new node after a child of its parent (null: first). The id must be free in this tree. */
  async add(
    node: Omit<DraftNode, 'children' | 'hash' | 'parent'>,
    parent: DraftNode,
    after: string | null,
  ): Promise<void> {
    await (await this.list(parent)).insertAfter(after, { id: node.id, hash: '' });
    this.#nodes.set(node.id, { ...node, parent: parent.id, children: null, hash: '' });
    this.#lists.delete(node.id);
    this.#placements.set(node.id, parent.id);
    this.#noteReturn(node.id, parent.id);
    this.#dirty.add(node.id).add(parent.id);
  }

  #noteReturn(id: string, parent: string): void {
    if (this.#origins.get(id)?.parent === parent) this.#returnedTo.add(parent);
  }

  /** Changes the node's own fields or body. */
  set(node: DraftNode, change: { readonly fields?: Fields; readonly body?: string | null }): void {
    if (change.fields !== undefined) node.fields = change.fields;
    if (change.body !== undefined) node.body = change.body;
    this.#dirty.add(node.id);
  }

  /** Takes a node out of its list and puts it after a child of a parent (null: first). */
  async move(node: DraftNode, parent: DraftNode, after: string | null): Promise<void> {
    const old = await this.#parentOf(node);
    const from = await this.list(old);
    const entry = (await from.find(node.id)) ?? { id: node.id, hash: node.hash };
    await from.remove(node.id);
    await (await this.list(parent)).insertAfter(after, entry);
    if (old.id === parent.id) this.#reordered.add(parent.id);
    else {
      this.#placements.set(node.id, parent.id);
      this.#noteReturn(node.id, parent.id);
    }
    node.parent = parent.id;
    this.#dirty.add(old.id).add(parent.id);
  }

  /** Puts all children of a node in this order. */
  async reorder(node: DraftNode, ids: readonly string[]): Promise<void> {
    await (await this.list(node)).reorder(ids);
    this.#reordered.add(node.id);
    this.#dirty.add(node.id);
  }

  /** Removes a node and everything below it; reads the heads of the whole subtree, since each is told of. */
  async remove(node: DraftNode): Promise<void> {
    const parent = await this.#parentOf(node);
    const below = await this.#below(node);
    await (await this.list(parent)).remove(node.id);
    for (const { id } of [node, ...below]) {
      this.#nodes.set(id, null);
      this.#loading.delete(id);
      this.#lists.delete(id);
      this.#dirty.delete(id);
      this.#reordered.delete(id);
      this.#placements.set(id, null);
    }
    this.#dirty.add(parent.id);
  }

  async #below(node: DraftNode): Promise<DraftNode[]> {
    if (!hasChildren(node.kind)) return [];
    await this.pool.turn();
    const opened = this.#lists.get(node.id);
    const entries = opened ? await (await opened).entries() : await readEntries(this.pool, node.children);
    const children = await Promise.all(entries.map((entry) => this.#adopt(entry, node.id)));
    return [...children, ...(await Promise.all(children.map((child) => this.#below(child)))).flat()];
  }

  async #parentOf(node: DraftNode): Promise<DraftNode> {
    const parent = node.parent === null ? null : await this.node(node.parent);
    if (!parent) throw new AppError('internal', 'INDEX_BROKEN', { node: node.id, parent: node.parent });
    return parent;
  }

  /** Puts foreign subtrees under a parent by their hashes, with the placements of every node in them. */
  async graft(
    parent: DraftNode,
    after: string | null,
    tops: readonly Entry[],
    placements: ReadonlyMap<string, string>,
  ): Promise<void> {
    const list = await this.list(parent);
    let anchor = after;
    for (const top of tops) {
      await this.pool.turn();
      await list.insertAfter(anchor, top);
      anchor = top.id;
    }
    for (const [id, at] of placements) {
      await this.pool.turn();
      this.#placements.set(id, at);
    }
    this.#dirty.add(parent.id);
  }

  /** Makes every object that changed and answers the new version. Equal contents give equal hashes, whatever the way there. */
  async seal(): Promise<TreeRef> {
    const byParent = new Map<string, DraftNode[]>();
    const seen = new Set<string>();
    for (const id of this.#dirty) {
      for (let node = this.#nodes.get(id); node && !seen.has(node.id); node = this.#nodes.get(node.parent ?? '')) {
        seen.add(node.id);
        if (node.parent === null) continue;
        const siblings = byParent.get(node.parent);
        if (siblings) siblings.push(node);
        else byParent.set(node.parent, [node]);
      }
    }
    for (const id of this.#returnedTo) if (await this.#isReordered(id)) this.#reordered.add(id);
    const root = this.#nodes.get(this.#rootId) as DraftNode;
    if (!seen.has(root.id)) return this.before;
    const [hash, index] = await Promise.all([
      this.#sealNode(root, byParent),
      updateIndex(this.pool, this.before.index, this.#placements),
    ]);
    return { root: hash, index };
  }

  /** Whether children that a node had and still has are in another order. */
  async #isReordered(id: string): Promise<boolean> {
    const [node, origin] = [this.#nodes.get(id), this.#origins.get(id)];
    if (!node || !origin) return false;
    const [before, after] = [await readEntries(this.pool, origin.head.children), await this.childIds(node)];
    const [had, has] = [new Set(before.map((entry) => entry.id)), new Set(after)];
    const stayed = before.filter((entry) => has.has(entry.id));
    return after.filter((child) => had.has(child)).some((child, i) => child !== stayed[i]?.id);
  }

  async #sealNode(node: DraftNode, byParent: ReadonlyMap<string, readonly DraftNode[]>): Promise<string> {
    await this.pool.turn();
    const changed = byParent.get(node.id) ?? [];
    // One by one: begun together, a thousand of them would all find that it is nobody else's turn yet. What they need was read before.
    const hashes: string[] = [];
    for (const child of changed) hashes.push(await this.#sealNode(child, byParent));
    const list = changed.length > 0 ? await this.list(node) : await this.#lists.get(node.id);
    for (const [i, child] of changed.entries()) await list?.replace(child.id, hashes[i] as string);
    const children = list ? await list.seal() : node.children;
    const { kind, id, fields, body, source } = node;
    return this.pool.put({ type: 'node', kind, id, fields, body, source, children });
  }

  /** What became of each node that was asked for or changed: as it was, and as it is (null: not there). */
  *outcomes(): Iterable<{ id: string; before: Origin | null; after: DraftNode | null; reordered: boolean }> {
    for (const [id, after] of this.#nodes) {
      const before = this.#origins.get(id) ?? null;
      if (!before && !after) continue;
      yield { id, before, after, reordered: this.#reordered.has(id) };
    }
  }
}
