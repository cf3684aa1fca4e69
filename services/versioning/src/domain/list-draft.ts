import { endsChunk, firstId, INLINE, putChunk, type Item } from './list.js';
import type { ObjectPool } from './object-pool.js';
import { isLeafList, type Entry, type Ref } from './objects.js';

/** A run of neighbours on one level: an old chunk as it was, or items that have to be cut into chunks anew. */
interface Run<T extends Item> {
  /** The old chunk; null once its items changed. */
  intact: Ref | null;
  /** Whether it ended because its list did; such a chunk must be cut anew when something follows it. */
  last: boolean;
  /** Its items, when they have been read. */
  items: T[] | null;
}

type Chunk = Run<Entry>;

/** A run that grows beyond this is halved, so that a place in it is found quickly however much is put there. */
const RUN_MAX = 64;

/**
 * A list of children while it is being changed. Reads the upper levels and only those chunks of children that are asked for; `seal`
 * cuts anew from the first changed chunk until an old boundary is met again, and equals `buildList` of all entries.
 */
export class ListDraft {
  readonly #pool: ObjectPool;
  readonly #original: string | null;
  #chunks: Chunk[] = [];
  /** Old chunks of the levels above the children, by level and by their first item. */
  #uppers: Map<Item, { ref: Ref; refs: readonly Ref[]; last: boolean }>[] = [];
  readonly #where = new Map<string, Chunk>();
  #size = 0;
  #changed = false;

  private constructor(pool: ObjectPool, original: string | null) {
    this.#pool = pool;
    this.#original = original;
  }

  /** Opens the list with this hash (null: an empty one); one round trip for each level above the children. */
  static async open(pool: ObjectPool, hash: string | null): Promise<ListDraft> {
    const draft = new ListDraft(pool, hash);
    if (hash !== null) await draft.#open(hash);
    return draft;
  }

  async #open(hash: string): Promise<void> {
    const top = await this.#pool.list(hash);
    if (isLeafList(top)) {
      this.#addChunk({ intact: null, last: true, items: [...top.entries] });
      this.#size = top.entries.length;
      return;
    }
    let refs: readonly Ref[] = top.refs;
    for (let level = top.level; level > 1; level--) {
      const below = await Promise.all(refs.map((ref) => this.#pool.list(ref.hash)));
      const old = new Map<Item, { ref: Ref; refs: readonly Ref[]; last: boolean }>();
      const next: Ref[] = [];
      below.forEach((list, i) => {
        const inner = isLeafList(list) ? [] : list.refs;
        old.set(inner[0] as Ref, { ref: refs[i] as Ref, refs: inner, last: i === below.length - 1 });
        next.push(...inner);
      });
      this.#uppers[level - 1] = old;
      refs = next;
    }
    this.#chunks = refs.map((ref, i) => ({ intact: ref, last: i === refs.length - 1, items: null }));
    this.#size = refs.reduce((sum, ref) => sum + ref.count, 0);
  }

  /** How many children there are. */
  get size(): number {
    return this.#size;
  }

  /** The entry of a child, or undefined. Cheap when ids and order agree, as they do in lists that grew at their end. */
  async find(id: string): Promise<Entry | undefined> {
    return (await this.#locate(id))?.items?.find((entry) => entry.id === id);
  }

  /** The index of a child, or -1. */
  async positionOf(id: string): Promise<number> {
    const chunk = await this.#locate(id);
    if (!chunk?.items) return -1;
    let before = 0;
    for (const other of this.#chunks) {
      if (other === chunk) return before + chunk.items.findIndex((entry) => entry.id === id);
      before += sizeOf(other);
    }
    return -1;
  }

  /** The id at an index, or null beyond the ends. */
  async idAt(position: number): Promise<string | null> {
    const last = this.#chunks.at(-1);
    if (last && position === this.#size - 1) return (await this.#items(last)).at(-1)?.id ?? null;
    let before = 0;
    for (const chunk of this.#chunks) {
      const size = sizeOf(chunk);
      if (position >= before && position < before + size)
        return (await this.#items(chunk))[position - before]?.id ?? null;
      before += size;
    }
    return null;
  }

  /** All ids in order; reads the whole list. */
  async ids(): Promise<string[]> {
    await Promise.all(this.#chunks.map((chunk) => this.#items(chunk)));
    return this.#chunks.flatMap((chunk) => (chunk.items ?? []).map((entry) => entry.id));
  }

  /** All entries in order; reads the whole list. */
  async entries(): Promise<Entry[]> {
    await this.ids();
    return this.#chunks.flatMap((chunk) => chunk.items ?? []);
  }

  /** Puts an entry after a child that is in the list; after null means first. */
  async insertAfter(anchor: string | null, entry: Entry): Promise<void> {
    const chunk = anchor === null ? this.#chunks[0] : await this.#locate(anchor);
    if (!chunk) {
      this.#addChunk({ intact: null, last: true, items: [entry] });
    } else {
      const items = await this.#items(chunk);
      const at = anchor === null ? 0 : items.findIndex((item) => item.id === anchor) + 1;
      this.#touch(chunk).splice(at, 0, entry);
      this.#where.set(entry.id, chunk);
      if (items.length > RUN_MAX) this.#halve(chunk);
    }
    this.#size++;
    this.#changed = true;
  }

  /** Puts an entry at the end. */
  async append(entry: Entry): Promise<void> {
    await this.insertAfter(await this.idAt(this.#size - 1), entry);
  }

  /** Takes a child out; false when it is not there. */
  async remove(id: string): Promise<boolean> {
    const chunk = await this.#locate(id);
    if (!chunk?.items) return false;
    const items = this.#touch(chunk);
    items.splice(
      items.findIndex((entry) => entry.id === id),
      1,
    );
    this.#where.delete(id);
    if (items.length === 0) this.#chunks.splice(this.#chunks.indexOf(chunk), 1);
    this.#size--;
    this.#changed = true;
    return true;
  }

  /** Gives a child another hash. */
  async replace(id: string, hash: string): Promise<void> {
    const chunk = await this.#locate(id);
    const at = chunk?.items?.findIndex((entry) => entry.id === id) ?? -1;
    if (!chunk?.items || chunk.items[at]?.hash === hash) return;
    this.#touch(chunk)[at] = { id, hash };
    this.#changed = true;
  }

  /** Puts the children in this order; `ids` must be a permutation of them. */
  async reorder(ids: readonly string[]): Promise<void> {
    const byId = new Map((await this.entries()).map((entry) => [entry.id, entry]));
    this.#chunks = [];
    this.#where.clear();
    for (let at = 0; at < ids.length; at += RUN_MAX) {
      const items = ids.slice(at, at + RUN_MAX).map((id) => byId.get(id) as Entry);
      this.#addChunk({ intact: null, last: false, items });
    }
    this.#changed = true;
  }

  /** Puts the objects of the list into the pool and answers its hash; null when it is empty. */
  async seal(): Promise<string | null> {
    if (!this.#changed) return this.#original;
    if (this.#size === 0) return null;
    if (this.#size <= INLINE) return putChunk(this.#pool, 0, await this.entries()).hash;
    let refs = await this.#cut(0, this.#chunks, (run) => this.#items(run));
    let level = 1;
    while (refs.length > INLINE) {
      refs = await this.#cut(level, this.#upperRuns(level, refs), (run) => run.items ?? []);
      level++;
    }
    return putChunk(this.#pool, level, refs).hash;
  }

  #upperRuns(level: number, refs: readonly Ref[]): Run<Ref>[] {
    const old = this.#uppers[level];
    const runs: Run<Ref>[] = [];
    for (let at = 0; at < refs.length;) {
      const known = old?.get(refs[at] as Ref);
      if (known && known.refs.every((ref, i) => refs[at + i] === ref)) {
        runs.push({ intact: known.ref, last: known.last, items: [...known.refs] });
        at += known.refs.length;
      } else {
        runs.push({ intact: null, last: false, items: [refs[at] as Ref] });
        at++;
      }
    }
    return runs;
  }

  async #cut<T extends Item>(
    level: number,
    runs: readonly Run<T>[],
    itemsOf: (run: Run<T>) => T[] | Promise<T[]>,
  ): Promise<Ref[]> {
    const out: Ref[] = [];
    let open: T[] = [];
    for (const [i, run] of runs.entries()) {
      if (open.length === 0 && run.intact && (!run.last || i === runs.length - 1)) {
        out.push(run.intact);
        continue;
      }
      await this.#pool.turn();
      for (const item of await itemsOf(run)) {
        open.push(item);
        if (endsChunk(level, open.length, item)) {
          out.push(putChunk(this.#pool, level, open));
          open = [];
        }
      }
    }
    if (open.length > 0) out.push(putChunk(this.#pool, level, open));
    return out;
  }

  #addChunk(chunk: Chunk): void {
    this.#chunks.push(chunk);
    for (const entry of chunk.items ?? []) this.#where.set(entry.id, chunk);
  }

  /** Cuts a run that was changed into two; where chunks will end has nothing to do with it. */
  #halve(run: Chunk): void {
    const items = (run.items ?? []).splice(RUN_MAX / 2);
    const half: Chunk = { intact: null, last: false, items };
    this.#chunks.splice(this.#chunks.indexOf(run) + 1, 0, half);
    for (const entry of items) this.#where.set(entry.id, half);
  }

  /** The items of a chunk that is about to change. */
  #touch(chunk: Chunk): Entry[] {
    chunk.intact = null;
    chunk.items ??= [];
    return chunk.items;
  }

  async #items(chunk: Chunk): Promise<Entry[]> {
    if (chunk.items) return chunk.items;
    const list = await this.#pool.list((chunk.intact as Ref).hash);
    // Another reader of the same chunk may have come first; its copy may have changed since.
    if (!chunk.items) {
      chunk.items = isLeafList(list) ? [...list.entries] : [];
      for (const entry of chunk.items) this.#where.set(entry.id, chunk);
    }
    return chunk.items;
  }

  async #locate(id: string): Promise<Chunk | undefined> {
    const known = this.#where.get(id);
    if (known) return known;
    // Ids are UUIDv7: in a list that grew at its end, the chunk with the greatest first id up to this one has it.
    const guess = this.#guess(id);
    if (guess) await this.#items(guess);
    if (!this.#where.has(id) && this.#chunks.some((chunk) => chunk.items === null)) await this.ids();
    return this.#where.get(id);
  }

  #guess(id: string): Chunk | undefined {
    let best: Chunk | undefined;
    let bestFirst = '';
    for (const chunk of this.#chunks) {
      const first = chunk.intact?.first ?? (chunk.items?.[0] && firstId(chunk.items[0]));
      if (first !== undefined && first <= id && first >= bestFirst) {
        best = chunk;
        bestFirst = first;
      }
    }
    return best;
  }
}

function sizeOf(chunk: Chunk): number {
  return chunk.items?.length ?? (chunk.intact as Ref).count;
}
