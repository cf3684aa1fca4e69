import { AppError } from '@coursewright/platform/errors';
import { endsChunk, firstId, INLINE, itemsOf } from './list.js';
import { buildIndex } from './index-trie.js';
import { mayHold } from './kinds.js';
import { linksOf, ObjectPool } from './object-pool.js';
import {
  decodeObject,
  hashOfData,
  isLeafList,
  type ListObject,
  type NodeHead,
  type Placement,
  type StoredBytes,
  type TreeObject,
} from './objects.js';
import type { TreeRef } from './tree-draft.js';

/** What can be wrong with a stored course. */
export type ProblemKind =
  'missing_object' | 'wrong_hash' | 'bad_list' | 'bad_index' | 'two_parents' | 'bad_commit' | 'bad_ref_log';

/** Something that is wrong, and the object it is wrong with. */
export interface IntegrityProblem {
  readonly what: ProblemKind;
  readonly object: string;
  readonly message: string;
}

/** The stored bytes of objects by hash; what is missing is left out. */
export type BytesReader = (hashes: readonly string[]) => Promise<ReadonlyMap<string, StoredBytes>>;

const BATCH = 5_000;

/** Checks the trees of a course; objects and trees that were found sound once are not read again. */
export class TreeChecker {
  readonly problems: IntegrityProblem[] = [];
  readonly bodies = new Set<string>();
  readonly #read: BytesReader;
  readonly #objects = new Map<string, TreeObject>();
  readonly #bad = new Set<string>();

  constructor(read: BytesReader) {
    this.#read = read;
  }

  /** How many objects were read and re-hashed. */
  get objects(): number {
    return this.#objects.size + this.#bad.size;
  }

  /** Checks that every object of a version is there and is what its hash says; cheap for versions that share most of their objects. */
  async close(tree: TreeRef): Promise<void> {
    await this.#close([tree.root, tree.index]);
  }

  /** Checks one version whole: closure and hashes of its objects, shape of its lists, kinds, one parent for each id, and the index. */
  async check(tree: TreeRef): Promise<void> {
    const before = this.problems.length;
    await this.#close([tree.root, tree.index]);
    if (this.problems.length > before) return;
    const placements = new Map<string, string>();
    this.#walk(tree.root, null, placements);
    const wanted = buildIndex(
      new ObjectPool(NO_OBJECTS),
      [...placements].map(([id, parent]): Placement => ({ id, parent })),
    );
    if (wanted !== tree.index) this.#report('bad_index', tree.index, 'the index is not that of the tree');
  }

  /** Reads and re-hashes everything below these hashes, in batches. */
  async #close(roots: readonly string[]): Promise<void> {
    let level = [...new Set(roots)];
    while (level.length > 0) {
      const next = new Set<string>();
      const fresh = level.filter((hash) => !this.#objects.has(hash) && !this.#bad.has(hash));
      for (let at = 0; at < fresh.length; at += BATCH) {
        const batch = fresh.slice(at, at + BATCH);
        const found = await this.#read(batch);
        for (const hash of batch) this.#take(hash, found.get(hash), next);
      }
      for (const hash of level)
        if (this.#bad.has(hash) && !fresh.includes(hash))
          this.#report('missing_object', hash, 'a version needs a bad object');
      level = [...next];
    }
  }

  #take(hash: string, stored: StoredBytes | undefined, next: Set<string>): void {
    if (!stored) {
      this.#bad.add(hash);
      this.#report('missing_object', hash, 'the object is not there');
      return;
    }
    const object = hashOfData(stored) === hash ? tryDecode(stored) : null;
    if (!object) {
      this.#bad.add(hash);
      this.#report('wrong_hash', hash, `the bytes of this ${stored.type} are not what its hash says`);
      return;
    }
    this.#objects.set(hash, object);
    if (object.type === 'node' && object.body !== null) this.bodies.add(object.body);
    for (const link of linksOf(object)) if (!this.#objects.has(link)) next.add(link);
  }

  #walk(hash: string, parent: NodeHead | null, placements: Map<string, string>): void {
    const head = this.#objects.get(hash);
    if (head?.type !== 'node') return this.#report('bad_list', hash, 'a list names what is no node');
    if (parent) {
      if (placements.has(head.id)) this.#report('two_parents', hash, `node ${head.id} is in the tree twice`);
      if (!mayHold(parent.kind, head.kind)) this.#report('bad_list', hash, `a ${head.kind} is under a ${parent.kind}`);
      placements.set(head.id, parent.id);
    }
    if (head.children === null) return;
    const list = this.#objects.get(head.children);
    if (list?.type !== 'list') return this.#report('bad_list', head.children, 'the children of a node are no list');
    if (itemsOf(list).length > INLINE)
      this.#report('bad_list', head.children, 'the top of a list has at most 16 items');
    if (!isLeafList(list)) this.#checkChunks(head.children, list);
    this.#walkList(head.children, list, { parent: head, placements });
  }

  #walkList(
    hash: string,
    list: ListObject,
    below: { readonly parent: NodeHead; readonly placements: Map<string, string> },
  ): number {
    if (itemsOf(list).length === 0) this.#report('bad_list', hash, 'a list object is empty');
    if (isLeafList(list)) {
      for (const entry of list.entries) {
        const child = this.#objects.get(entry.hash);
        if (child?.type === 'node' && child.id !== entry.id)
          this.#report('bad_list', hash, 'an entry names another node than it points to');
        this.#walk(entry.hash, below.parent, below.placements);
      }
      return list.entries.length;
    }
    let sum = 0;
    for (const ref of list.refs) {
      const chunk = this.#objects.get(ref.hash);
      if (chunk?.type !== 'list' || chunk.level !== list.level - 1) {
        this.#report('bad_list', ref.hash, 'a chunk is not of the level below');
        continue;
      }
      const count = this.#walkList(ref.hash, chunk, below);
      const first = itemsOf(chunk)[0];
      if (count !== ref.count || (first && firstId(first) !== ref.first))
        this.#report('bad_list', hash, 'a chunk is not as it is described');
      sum += count;
    }
    return sum;
  }

  /** Whether the chunks of each level end where the rule says, and nowhere else. */
  #checkChunks(hash: string, top: ListObject): void {
    let above = [top];
    while (above.length > 0 && above.every((list) => !isLeafList(list))) {
      const chunks = above.flatMap((list) =>
        isLeafList(list) ? [] : list.refs.map((ref) => this.#objects.get(ref.hash)),
      );
      const lists = chunks.filter((chunk) => chunk?.type === 'list');
      const total = lists.reduce((sum, list) => sum + itemsOf(list).length, 0);
      if (total <= INLINE) this.#report('bad_list', hash, 'a list of so few items has no chunks');
      lists.forEach((list, n) => {
        const items = itemsOf(list);
        const isLast = n === lists.length - 1;
        const end = items.findIndex((item, i) => endsChunk(list.level, i + 1, item));
        if (end < 0 ? !isLast : end !== items.length - 1)
          this.#report('bad_list', hash, `a chunk of level ${list.level} ends where it should not`);
      });
      above = lists;
    }
  }

  #report(what: ProblemKind, object: string, message: string): void {
    this.problems.push({ what, object, message });
  }
}

const NO_OBJECTS = { getMany: async () => new Map<string, TreeObject>() };

function tryDecode(stored: StoredBytes): TreeObject | null {
  try {
    return decodeObject(stored);
  } catch (error) {
    if (error instanceof AppError || error instanceof SyntaxError) return null;
    throw error;
  }
}
