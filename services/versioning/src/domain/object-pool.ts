import { AppError } from '@coursewright/platform/errors';
import {
  encodeObject,
  type IndexObject,
  type ListObject,
  type NodeHead,
  type ObjectReader,
  type Stored,
  type TreeObject,
} from './objects.js';

interface Waiter {
  resolve(object: TreeObject): void;
  reject(error: unknown): void;
}

/**
 * The objects that one piece of work has read and made. Requests made in one turn of the event loop share one call of the
 * reader, so code that walks a level with `Promise.all` costs one round trip for the level. Nothing is written: `created`
 * is what a store has to keep.
 */
export class ObjectPool {
  readonly #reader: ObjectReader;
  readonly #known = new Map<string, TreeObject>();
  readonly #created = new Map<string, Stored>();
  #waiting = new Map<string, Waiter[]>();

  constructor(reader: ObjectReader) {
    this.#reader = reader;
  }

  /** The object with this hash. Throws internal `OBJECT_MISSING` when the reader has it not. */
  get(hash: string): Promise<TreeObject> {
    const known = this.#known.get(hash);
    if (known) return Promise.resolve(known);
    return new Promise((resolve, reject) => {
      if (this.#waiting.size === 0)
        queueMicrotask(() => queueMicrotask(() => queueMicrotask(() => void this.#flush())));
      const waiters = this.#waiting.get(hash);
      if (waiters) waiters.push({ resolve, reject });
      else this.#waiting.set(hash, [{ resolve, reject }]);
    });
  }

  /** See `ObjectReader.turn`. */
  turn(): Promise<void> | undefined {
    return this.#reader.turn?.();
  }

  /** All of these objects in the order asked for, in one call of the reader. Throws internal `OBJECT_MISSING`. */
  async many(hashes: readonly string[]): Promise<TreeObject[]> {
    const objects = hashes.map((hash) => this.#known.get(hash));
    const unknown = hashes.filter((_, i) => objects[i] === undefined);
    if (unknown.length > 0) {
      const found = await this.#reader.getMany(unknown);
      for (let i = 0; i < hashes.length; i++) {
        if (objects[i] !== undefined) continue;
        const hash = hashes[i] as string;
        const object = found.get(hash);
        if (!object) throw new AppError('internal', 'OBJECT_MISSING', { hash });
        this.#known.set(hash, object);
        objects[i] = object;
      }
    }
    return objects as TreeObject[];
  }

  /** As `many`, for the heads of nodes. */
  async heads(hashes: readonly string[]): Promise<NodeHead[]> {
    const objects = await this.many(hashes);
    const stray = objects.findIndex(({ type }) => type !== 'node');
    if (stray >= 0) throw wrongKind(hashes[stray] as string);
    return objects as NodeHead[];
  }

  /** As `get`, for a node's head. Throws internal `OBJECT_KIND` when the object is of another kind. */
  async head(hash: string): Promise<NodeHead> {
    const object = await this.get(hash);
    if (object.type !== 'node') throw wrongKind(hash);
    return object;
  }

  /** As `get`, for a list. */
  async list(hash: string): Promise<ListObject> {
    const object = await this.get(hash);
    if (object.type !== 'list') throw wrongKind(hash);
    return object;
  }

  /** As `get`, for a part of the find-by-id index. */
  async index(hash: string): Promise<IndexObject> {
    const object = await this.get(hash);
    if (object.type !== 'index') throw wrongKind(hash);
    return object;
  }

  /** Takes in a new object and answers its hash. An object that was read before is not counted as created. */
  put(object: TreeObject): string {
    const stored = encodeObject(object);
    if (!this.#known.has(stored.hash)) {
      this.#known.set(stored.hash, object);
      this.#created.set(stored.hash, stored);
    }
    return stored.hash;
  }

  /** The objects made here and not read from the reader. */
  created(): readonly Stored[] {
    return [...this.#created.values()];
  }

  /** Those of the created objects that can be reached from these hashes: what intermediate states left over is dropped. */
  reachable(...roots: readonly string[]): readonly Stored[] {
    const kept = new Map<string, Stored>();
    const todo = [...roots];
    for (let hash = todo.pop(); hash !== undefined; hash = todo.pop()) {
      const stored = this.#created.get(hash);
      const object = this.#known.get(hash);
      if (!stored || !object || kept.has(hash)) continue;
      kept.set(hash, stored);
      for (const next of linksOf(object)) todo.push(next);
    }
    return [...kept.values()];
  }

  async #flush(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = new Map();
    try {
      const objects = await this.#reader.getMany([...waiting.keys()]);
      for (const [hash, waiters] of waiting) {
        const object = objects.get(hash);
        if (object) this.#known.set(hash, object);
        for (const waiter of waiters) {
          if (object) waiter.resolve(object);
          else waiter.reject(new AppError('internal', 'OBJECT_MISSING', { hash }));
        }
      }
    } catch (error) {
      for (const waiters of waiting.values()) for (const waiter of waiters) waiter.reject(error);
    }
  }
}

/** The hashes of the tree objects that an object names: what closure means. */
export function linksOf(object: TreeObject): readonly string[] {
  if (object.type === 'node') return object.children === null ? [] : [object.children];
  if (object.type === 'list')
    return 'entries' in object ? object.entries.map((e) => e.hash) : object.refs.map((r) => r.hash);
  return 'entries' in object ? [] : object.children.filter((child) => child !== null);
}

function wrongKind(hash: string): AppError {
  return new AppError('internal', 'OBJECT_KIND', { hash });
}
