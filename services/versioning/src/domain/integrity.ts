import { AppError } from '@coursewright/platform/errors';
import { fromHash } from '@coursewright/platform/ids';
import { HashSet } from './hash-set.js';
import { linksOf } from './object-pool.js';
import { decodeObject, hashOfData, type StoredBytes, type TreeObject } from './objects.js';

/** What can be wrong with a stored course. */
export type ProblemKind =
  | 'missing_object'
  | 'wrong_hash'
  | 'bad_list'
  | 'bad_index'
  | 'two_parents'
  | 'bad_commit'
  | 'bad_ref_log'
  | 'bad_ref'
  | 'bad_home'
  | 'missing_body'
  | 'damaged_body';

/** Something that is wrong, and the object it is wrong with: a hash, an id of a node, a ref, a number of the log. */
export interface IntegrityProblem {
  readonly what: ProblemKind;
  readonly object: string;
  readonly message: string;
}

/** Takes in a problem. */
export type Report = (what: ProblemKind, object: string, message: string) => void;

/** The stored bytes of objects by hash; what is missing is left out. */
export type BytesReader = (hashes: readonly string[]) => Promise<ReadonlyMap<string, StoredBytes>>;

/** What a check of objects needs. */
export interface CheckPorts {
  readonly read: BytesReader;
  readonly report: Report;
  /** Hears of every body that a node names; the same one may come again. */
  readonly body: (hash: string) => void;
  /** Awaited between pieces of work: nothing holds the process for longer than one piece. */
  readonly pause: () => Promise<void>;
}

/** So many objects are read at once; a head has 64 KiB at most. */
const BATCH = 256;
/** So many bytes are hashed in one go: some milliseconds. */
const IN_ONE_GO = 1024 * 1024;

/** Reads the objects of a course as they are stored and checks each against its hash. Holds 27 bytes for each object it has seen. */
export class ObjectChecker {
  readonly #ports: CheckPorts;
  readonly #checked = new HashSet();
  readonly #bad = new Set<string>();
  #inOneGo = 0;

  constructor(ports: CheckPorts) {
    this.#ports = ports;
  }

  /** How many objects were read and re-hashed. */
  get objects(): number {
    return this.#checked.size;
  }

  /** The sound ones of these objects; each of the others has been reported, once. */
  async fetch(hashes: readonly string[]): Promise<ReadonlyMap<string, TreeObject>> {
    const sound = new Map<string, TreeObject>();
    for (let at = 0; at < hashes.length; at += BATCH) {
      await this.#ports.pause();
      const batch = [...new Set(hashes.slice(at, at + BATCH))].filter((hash) => !this.#bad.has(hash));
      const found = await this.#ports.read(batch);
      for (const hash of batch) {
        const object = await this.#take(hash, found.get(hash));
        if (object) sound.set(hash, object);
      }
    }
    return sound;
  }

  /** Checks that every object at and below these is there and is what its hash says. Costs little where most was checked before. */
  async close(roots: readonly string[]): Promise<void> {
    const open = [...roots];
    while (open.length > 0) {
      const batch = open.splice(-BATCH).filter((hash) => !this.#checked.has(fromHash(hash)));
      if (batch.length === 0) continue;
      for (const object of (await this.fetch(batch)).values()) open.push(...linksOf(object));
    }
  }

  async #take(hash: string, stored: StoredBytes | undefined): Promise<TreeObject | null> {
    this.#inOneGo += stored?.data.length ?? 0;
    if (this.#inOneGo > IN_ONE_GO) {
      this.#inOneGo = 0;
      await this.#ports.pause();
    }
    const isNew = this.#checked.add(fromHash(hash));
    const object = stored && this.#read(hash, stored);
    if (!stored) this.#report('missing_object', hash, 'the object is not there');
    if (!object) return null;
    if (isNew && object.type === 'node' && object.body !== null) this.#ports.body(object.body);
    return object;
  }

  #read(hash: string, stored: StoredBytes): TreeObject | null {
    if (hashOfData(stored) !== hash) {
      this.#report('wrong_hash', hash, `the bytes of this ${stored.type} are not what its hash says`);
      return null;
    }
    try {
      return decodeObject(stored);
    } catch (error) {
      if (!(error instanceof AppError || error instanceof SyntaxError)) throw error;
      this.#report('wrong_hash', hash, error.message);
      return null;
    }
  }

  #report(what: ProblemKind, hash: string, message: string): void {
    this.#bad.add(hash);
    this.#ports.report(what, hash, message);
  }
}
