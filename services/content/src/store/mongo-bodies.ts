import type { LessonDocument } from '@coursewright/course-model/lesson';
import { AppError } from '@coursewright/platform/errors';
import { toHash } from '@coursewright/platform/ids';
import type { Logger } from '@coursewright/platform/logger';
import { createPace } from '@coursewright/platform/pace';
import { LRUCache } from 'lru-cache';
import { MongoClient, type Collection } from 'mongodb';
import { packBody } from '../domain/body-tasks.js';
import type { BodyProblem, StoredBodies } from '../operations/ports.js';
import { createWriter } from './body-writer.js';
import { asked, rowOf, soundBytes, type BodyRow } from './body-rows.js';

/** The store of bodies with its connection. */
export interface BodyStore extends StoredBodies {
  /** Whether the server takes writes now: one that has closed its files to them still answers reads. Tried at most once a second. */
  isUp(): Promise<boolean>;
  close(): Promise<void>;
}

const PROBE_MS = 1_000;
/** Bytes of documents that are remembered; they are kept as bytes, since objects take many times as much and nobody knows how much. */
const CACHE_BYTES = 32 * 1024 * 1024;
/** What the memory of one document takes beside its bytes. */
const ENTRY_BYTES = 500;
/** Rows of one message of the server: each may have a mebibyte. */
const READ_BATCH = 10;
const CONTENT = { doc: 1, text: 1, v: 1 } as const;

/**
 * Opens the bodies in MongoDB. Connects at the first use and reconnects by itself. Only upserts and reads by key are used, so
 * any server that speaks the protocol of MongoDB 4.4 serves. Puts that come within 2 ms of each other share one command.
 */
export function openBodyStore(url: string, logger: Logger, now: () => Date = () => new Date()): BodyStore {
  const { client, collection } = connect(url);
  const known = new LRUCache<string, Uint8Array>({
    maxSize: CACHE_BYTES,
    maxEntrySize: CACHE_BYTES / 8,
    sizeCalculation: (bytes) => bytes.length + ENTRY_BYTES,
  });
  const put = createWriter(collection, logger);

  const readMany: BodyStore['readMany'] = async (courseId, hashes) => {
    const found = new Map<string, Uint8Array>();
    const missing: string[] = [];
    for (const hash of new Set(hashes)) {
      const cached = known.get(`${courseId}:${hash}`);
      if (cached) found.set(hash, cached);
      else missing.push(hash);
    }
    if (missing.length === 0) return found;
    for await (const [hash, bytes] of stored(collection, courseId, missing, logger)) {
      if (bytes === undefined) continue;
      found.set(hash, bytes);
      known.set(`${courseId}:${hash}`, bytes);
    }
    return found;
  };
  const read: BodyStore['read'] = async (courseId, hash) => {
    const cached = known.get(`${courseId}:${hash}`);
    if (cached) return cached;
    for await (const [, bytes] of stored(collection, courseId, [hash], logger)) {
      if (bytes === undefined) throw broken('STORED_BODY_CORRUPT', 'a body does not have its hash', { courseId, hash });
      known.set(`${courseId}:${hash}`, bytes);
      return bytes;
    }
    throw broken('STORED_BODY_MISSING', 'a body is missing', { courseId, hash });
  };

  return {
    readMany,
    read,

    async putMany(courseId, bodies) {
      const pace = createPace();
      const written: Promise<void>[] = [];
      for (const body of bodies) {
        const packed = 'bytes' in body ? body : packBody(body);
        await pace();
        const id = `${courseId}:${toHash(packed.hash)}`;
        const row = rowOf(id, packed, now(), 'doc' in body ? body : undefined);
        await pace();
        const writing = put(row).then(() => void known.set(id, packed.bytes));
        // A failure is met below; until then it must not count as unhandled.
        writing.catch(() => undefined);
        written.push(writing);
      }
      await Promise.all(written);
    },

    get: async (courseId, hash) => documentOf(await read(courseId, hash)),

    async getMany(courseId, hashes) {
      const found = await readMany(courseId, hashes);
      return new Map([...found].map(([hash, bytes]) => [hash, documentOf(bytes)]));
    },

    async sizes(courseId, hashes) {
      const ids = [...new Set(hashes)].map((hash) => `${courseId}:${hash}`);
      if (ids.length === 0) return new Map();
      const rows = await asked('find', () =>
        collection.find({ _id: { $in: ids } }, { projection: { size: 1 } }).toArray(),
      );
      return new Map(rows.map(({ _id, size }) => [_id.slice(courseId.length + 1), size]));
    },

    async check(courseId, hashes) {
      const left = new Set(hashes);
      const problems: BodyProblem[] = [];
      for await (const [hash, bytes] of stored(collection, courseId, hashes, logger)) {
        left.delete(hash);
        if (bytes === undefined) problems.push({ hash, what: 'damaged' });
      }
      return [...problems, ...[...left].map((hash) => ({ hash, what: 'missing' as const }))];
    },

    isUp: prober(collection, now),

    close: () => client.close(),
  };
}

/** Tries a write, at most once a second. */
function prober(collection: Collection<BodyRow>, now: () => Date): () => Promise<boolean> {
  let probing: Promise<boolean> | undefined;
  const probe = async (): Promise<boolean> => {
    const health = collection.db.collection<{ _id: string; at: Date }>('health');
    await health.updateOne({ _id: 'content' }, { $set: { at: now() } }, { upsert: true });
    return true;
  };
  return () => {
    probing ??= probe().finally(() => setTimeout(() => (probing = undefined), PROBE_MS).unref());
    return probing;
  };
}

function connect(url: string): { client: MongoClient; collection: Collection<BodyRow> } {
  const client = new MongoClient(url, {
    appName: 'coursewright-content',
    // Retries need sessions, which not every server has; an upsert by key can be repeated by whoever asked for it.
    retryWrites: false,
    retryReads: true,
    serverSelectionTimeoutMS: 2_000,
    connectTimeoutMS: 2_000,
    socketTimeoutMS: 15_000,
    maxPoolSize: 20,
    // The driver looks field names up in an ordinary object, where "constructor" is always found: such a field's arrays came back raw.
    fieldsAsRaw: Object.create(null) as Record<string, boolean>,
  });
  const database = new URL(url).pathname.slice(1) || 'coursewright';
  const collection = client
    .db(database)
    .collection<BodyRow>('bodies', { writeConcern: { w: 'majority', journal: true } });
  return { client, collection };
}

function documentOf(bytes: Uint8Array): LessonDocument {
  return JSON.parse(new TextDecoder().decode(bytes)) as LessonDocument;
}

function broken(reason: string, message: string, details: { courseId: string; hash: string }): AppError {
  return new AppError('internal', reason, details, { message });
}

/** Reads rows one by one past every cache, each with its bytes, or undefined where they do not have their hash. */
async function* stored(
  collection: Collection<BodyRow>,
  courseId: string,
  hashes: readonly string[],
  logger: Logger,
): AsyncGenerator<[hash: string, bytes: Uint8Array | undefined]> {
  if (hashes.length === 0) return;
  const ids = hashes.map((hash) => `${courseId}:${hash}`);
  const pace = createPace();
  const cursor = collection.find({ _id: { $in: ids } }, { projection: CONTENT, batchSize: READ_BATCH });
  try {
    for (
      let row = await asked('find', () => cursor.next());
      row !== null;
      row = await asked('find', () => cursor.next())
    ) {
      yield [row._id.slice(courseId.length + 1), soundBytes(row, logger)];
      await pace();
    }
  } finally {
    await cursor.close().catch(() => undefined);
  }
}
