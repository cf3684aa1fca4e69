import { own } from '@coursewright/platform/own';
import { AppError } from '@coursewright/platform/errors';
import { diffLists } from './diff-list.js';
import { sameValue } from './etag.js';
import { diffIndexes, type IndexDiff } from './index-trie.js';
import { readEntries } from './list.js';
import type { ObjectPool } from './object-pool.js';
import type { Fields, FieldValue, NodeHead } from './objects.js';
import type { TreeRef } from './tree-draft.js';

/** How a node differs between two versions. `reordered` is said of the child that changed its place among its siblings. */
export type Change = 'added' | 'removed' | 'moved' | 'renamed' | 'reordered' | 'edited' | 'kind_changed';

/** A field with its two values; undefined where it is absent. The pointer is into the node as the API shows it. */
export interface FieldChange {
  readonly pointer: string;
  readonly from: FieldValue | undefined;
  readonly to: FieldValue | undefined;
}

/** A node's place in a version; the root has no parent. */
export interface NodePlace {
  readonly parent: string | null;
  readonly position: number;
}

/** A node that is not the same in two versions. */
export interface NodeDiff {
  readonly id: string;
  readonly changes: readonly Change[];
  readonly fields: readonly FieldChange[];
  readonly before: NodeHead | null;
  readonly after: NodeHead | null;
  /** Where it was and is, when that is part of the change. */
  readonly from: NodePlace | null;
  readonly to: NodePlace | null;
  /** Titles from the course down to its parent; of the older version when it was removed. */
  readonly path: readonly string[];
}

interface Side {
  head: NodeHead;
  hash: string;
  place: NodePlace;
}

/** A node as both versions have it, as far as the walk has come. */
interface Pair {
  from: Side | null;
  to: Side | null;
  isReordered: boolean;
}

/**
 * Compares two versions of a course by the ids of its nodes. Goes down only where hashes differ, reads only chunks of lists that are
 * not in both, one round trip a level; a subtree that moved untouched is not read. Nodes come in no particular order.
 */
export async function diffTrees(pool: ObjectPool, from: TreeRef, to: TreeRef): Promise<NodeDiff[]> {
  if (from.root === to.root) return [];
  const walk = new Walk(pool, await diffIndexes(pool, from.index, to.index));
  const [a, b] = await Promise.all([pool.head(from.root), pool.head(to.root)]);
  await walk.pair(a.id, {
    from: { head: a, hash: from.root, place: ROOT },
    to: { head: b, hash: to.root, place: ROOT },
  });
  return walk.results();
}

const ROOT: NodePlace = { parent: null, position: 0 };

class Walk {
  readonly #pool: ObjectPool;
  readonly #placements: IndexDiff;
  readonly #pairs = new Map<string, Pair>();

  constructor(pool: ObjectPool, placements: IndexDiff) {
    this.#pool = pool;
    this.#placements = placements;
  }

  /** Takes in what is known of a node; once both sides are, goes on below it. */
  async pair(id: string, sides: { from?: Side; to?: Side; isReordered?: boolean }): Promise<void> {
    const turn = this.#pool.turn();
    if (turn) await turn;
    const pair = this.#pairs.get(id) ?? { from: null, to: null, isReordered: false };
    this.#pairs.set(id, pair);
    if (sides.from) pair.from = sides.from;
    if (sides.to) pair.to = sides.to;
    if (sides.isReordered) pair.isReordered = true;
    const moved = this.#placements.get(id);
    if (moved?.from === null && pair.to) await this.#whole(id, pair.to, 'to');
    else if (moved?.to === null && pair.from) await this.#whole(id, pair.from, 'from');
    else if (pair.from && pair.to && pair.from.hash !== pair.to.hash) await this.#below(id, pair.from, pair.to);
  }

  /** All children of a node that only one version has: each is added (or removed), or moved in (or out). */
  async #whole(id: string, side: Side, which: 'from' | 'to'): Promise<void> {
    const entries = await readEntries(this.#pool, side.head.children);
    await Promise.all(
      entries.map(async (entry, position) => {
        const head = await this.#pool.head(entry.hash);
        await this.pair(entry.id, { [which]: { head, hash: entry.hash, place: { parent: id, position } } });
      }),
    );
  }

  async #below(id: string, from: Side, to: Side): Promise<void> {
    if (from.head.children === to.head.children) return;
    const lists = await diffLists(this.#pool, from.head.children, to.head.children);
    const ids = new Set([...lists.from.keys(), ...lists.to.keys(), ...lists.reordered.keys()]);
    const differing = [...ids].filter(
      (child) => lists.from.get(child)?.hash !== lists.to.get(child)?.hash || lists.reordered.has(child),
    );
    await this.#pool.many(
      differing.flatMap((child) => [lists.from.get(child)?.hash ?? [], lists.to.get(child)?.hash ?? []].flat()),
    );
    await Promise.all(
      differing.map(async (child) => {
        const [a, b] = [lists.from.get(child), lists.to.get(child)];
        const order = lists.reordered.get(child);
        const [before, after] = await Promise.all([
          a && this.#side(a.hash, { parent: id, position: order?.from ?? a.position }),
          b && this.#side(b.hash, { parent: id, position: order?.to ?? b.position }),
        ]);
        if (!before && !after && order) await this.#sharedChunk(child, id, order, from.head.children);
        else
          await this.pair(child, {
            ...(before && { from: before }),
            ...(after && { to: after }),
            isReordered: order !== undefined,
          });
      }),
    );
  }

  /** A child in a chunk that both lists have, but at another place. */
  async #sharedChunk(
    child: string,
    parent: string,
    order: { from: number; to: number },
    list: string | null,
  ): Promise<void> {
    const entry = (await readEntries(this.#pool, list)).find((one) => one.id === child);
    if (!entry) throw new AppError('internal', 'OBJECT_MISSING', { node: child });
    const [from, to] = await Promise.all([
      this.#side(entry.hash, { parent, position: order.from }),
      this.#side(entry.hash, { parent, position: order.to }),
    ]);
    await this.pair(child, { from, to, isReordered: true });
  }

  async #side(hash: string, place: NodePlace): Promise<Side> {
    return { head: await this.#pool.head(hash), hash, place };
  }

  async results(): Promise<NodeDiff[]> {
    const diffs: NodeDiff[] = [];
    for (const [id, pair] of this.#pairs) {
      const turn = this.#pool.turn();
      if (turn) await turn;
      const diff = nodeDiff(id, pair);
      if (diff) diffs.push({ ...diff, path: this.#path(pair) });
    }
    return diffs;
  }

  /** Whatever differs was reached through its parents, so their heads are at hand. */
  #path({ from, to }: Pair): string[] {
    const which = to ? 'to' : 'from';
    const titles: string[] = [];
    for (let side = to ?? from; side?.place.parent != null;) {
      side = this.#pairs.get(side.place.parent)?.[which] ?? null;
      titles.unshift(typeof side?.head.fields.title === 'string' ? side.head.fields.title : '');
    }
    return titles;
  }
}

/** The changes that are told with the places where the node was and is. */
const PLACES: ReadonlySet<Change> = new Set<Change>(['added', 'removed', 'moved', 'reordered']);

function nodeDiff(id: string, { from, to, isReordered }: Pair): Omit<NodeDiff, 'path'> | null {
  const fields = from && to ? diffHeads(from.head, to.head) : [];
  const changes: Change[] = [];
  if (!from) changes.push('added');
  else if (!to) changes.push('removed');
  else {
    if (from.place.parent !== to.place.parent) changes.push('moved');
    if (fields.some((field) => field.pointer === '/title')) changes.push('renamed');
    if (isReordered) changes.push('reordered');
    if (fields.some((field) => field.pointer !== '/title')) changes.push('edited');
    if (from.head.kind !== to.head.kind) changes.push('kind_changed');
  }
  if (changes.length === 0) return null;
  const isPlaced = changes.some((change) => PLACES.has(change));
  return {
    id,
    changes,
    fields,
    before: from?.head ?? null,
    after: to?.head ?? null,
    from: isPlaced ? (from?.place ?? null) : null,
    to: isPlaced ? (to?.place ?? null) : null,
  };
}

/** The fields, body and source that differ between two versions of a node, by pointer. */
export function diffHeads(from: NodeHead, to: NodeHead): FieldChange[] {
  const changes = diffFields(from.fields, to.fields);
  if (from.body !== to.body) changes.push({ pointer: '/body', from: from.body ?? undefined, to: to.body ?? undefined });
  if (from.source?.key !== to.source?.key || from.source?.format !== to.source?.format) {
    changes.push({ pointer: '/source', from: from.source?.key, to: to.source?.key });
  }
  return changes;
}

function diffFields(from: Fields, to: Fields): FieldChange[] {
  const names = [...new Set([...Object.keys(from), ...Object.keys(to)])].sort();
  return names
    .map((name) => ({
      pointer: name === 'title' ? '/title' : `/fields/${name}`,
      from: own(from, name),
      to: own(to, name),
    }))
    .filter((change) => !sameValue(change.from, change.to));
}
