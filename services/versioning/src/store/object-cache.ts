import { AppError } from '@coursewright/platform/errors';
import { fromHash, toHash } from '@coursewright/platform/ids';
import type { Sql } from '@coursewright/platform/sql';
import { LRUCache } from 'lru-cache';
import { decodeObject, hashOfData, type ObjectReader, type Stored, type TreeObject } from '../domain/objects.js';
import { memoryOf } from '../domain/sizes.js';
import { turn } from '../turns.js';
import { toBytes, type ObjectRow } from './rows.js';
import { reads } from './statements.js';

interface Cached {
  readonly object: TreeObject;
  readonly size: number;
}

/** What an entry costs beside its object: key, hash and the cache's own books. */
const ENTRY = 300;

/**
 * The objects of all courses by hash; they never change, so nothing is ever dropped for being old. The hash alone is the key: a reader
 * comes to it from a root of its own course, and equal hashes are equal bytes.
 */
export class ObjectCache {
  readonly #cache: LRUCache<string, Cached>;

  constructor(maxBytes: number) {
    this.#cache = new LRUCache({ maxSize: maxBytes, sizeCalculation: ({ size }) => size });
  }

  /** Reads a course's objects from memory, and the others in one statement; every object read is checked against its hash. */
  reader(sql: Sql, courseId: string): ObjectReader {
    return {
      turn,
      getMany: async (hashes) => {
        await turn();
        const found = new Map<string, TreeObject>();
        const missing: string[] = [];
        for (const hash of hashes) {
          const cached = this.#cache.get(hash);
          if (cached) found.set(hash, cached.object);
          else missing.push(hash);
        }
        if (missing.length === 0) return found;
        for (const row of await sql.rows<ObjectRow>(reads.objects, [courseId, missing.map(fromHash)])) {
          await turn();
          const hash = toHash(row.hash);
          const stored = { ...toBytes(row), hash };
          if (hashOfData(stored) !== hash) throw new AppError('internal', 'OBJECT_CORRUPT', { courseId, hash });
          const object = decodeObject(stored);
          found.set(hash, object);
          this.#put(stored, object);
        }
        return found;
      },
    };
  }

  /** Bytes of all that is kept. */
  get size(): number {
    return this.#cache.calculatedSize;
  }

  /** Takes in objects that have just been committed; few are at hand at once, many come in by and by. */
  async remember(objects: readonly Stored[]): Promise<void> {
    for (const [i, stored] of objects.entries()) {
      if (i >= 64) await turn();
      this.#put(stored, decodeObject(stored));
    }
  }

  #put(stored: Stored, object: TreeObject): void {
    this.#cache.set(stored.hash, { object, size: ENTRY + memoryOf(object) });
  }
}
