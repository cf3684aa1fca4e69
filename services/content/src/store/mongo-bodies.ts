import { bodyOf, type Body } from '@coursewright/course-model/body';
import type { LessonDocument } from '@coursewright/course-model/lesson';
import { referencesOf } from '@coursewright/course-model/references';
import { AppError } from '@coursewright/platform/errors';
import { toHash } from '@coursewright/platform/ids';
import type { Logger } from '@coursewright/platform/logger';
import { inClientSpan } from '@coursewright/platform/telemetry';
import { LRUCache } from 'lru-cache';
import { MongoBulkWriteError, MongoClient, MongoError, type AnyBulkWriteOperation, type Collection } from 'mongodb';
import type { Bodies } from '../operations/ports.js';

/** A body as it lies in MongoDB. */
interface BodyRow {
  /** `<courseId>:<hash in base64url>`. */
  _id: string;
  doc: LessonDocument;
  /** Bytes of the canonical JSON. */
  size: number;
  /** `asset:<hash>`, `node:<id>`, `static:<name>`. */
  refs: string[];
  touchedAt: Date;
}

/** The store of bodies with its connection. */
export interface BodyStore extends Bodies {
  /** Whether the server takes writes now: one that has closed its files to them still answers reads. Tried at most once a second. */
  isUp(): Promise<boolean>;
  close(): Promise<void>;
}

const JOIN_MS = 2;
const PROBE_MS = 1_000;
const MAX_BATCH_DOCS = 500;
const MAX_BATCH_BYTES = 8 * 1024 * 1024;
const CACHE_BYTES = 48 * 1024 * 1024;
const ATTRIBUTES = { 'db.system.name': 'mongodb', 'db.collection.name': 'bodies' };

interface Waiting {
  row: BodyRow;
  done: () => void;
  failed: (error: unknown) => void;
}

/**
 * Opens the bodies in MongoDB. Connects at the first use and reconnects by itself. Only upserts and reads by key are used, so
 * any server that speaks the protocol of MongoDB 4.4 serves. Puts that come within 2 ms of each other share one command.
 */
export function openBodyStore(url: string, logger: Logger, now: () => Date = () => new Date()): BodyStore {
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
  const known = new LRUCache<string, LessonDocument>({ maxSize: CACHE_BYTES, maxEntrySize: CACHE_BYTES / 8 });
  const put = createWriter(collection);
  let probing: Promise<boolean> | undefined;
  const probe = async (): Promise<boolean> => {
    const health = client.db(database).collection<{ _id: string; at: Date }>('health');
    await health.updateOne({ _id: 'content' }, { $set: { at: now() } }, { upsert: true });
    return true;
  };

  return {
    async putMany(courseId, bodies) {
      await Promise.all(
        bodies.map(async (body) => {
          const id = `${courseId}:${toHash(body.hash)}`;
          await put(rowOf(id, body, now()));
          known.set(id, body.doc, { size: body.size + 1 });
        }),
      );
    },

    async get(courseId, hash) {
      const id = `${courseId}:${hash}`;
      const cached = known.get(id);
      if (cached) return cached;
      const row = await asked(() => collection.findOne({ _id: id }, { projection: { doc: 1 } }));
      if (row === null)
        throw new AppError('internal', 'STORED_BODY_MISSING', { courseId, hash }, { message: 'a body is missing' });
      const doc = checked(row, logger);
      if (!doc)
        throw new AppError(
          'internal',
          'STORED_BODY_CORRUPT',
          { courseId, hash },
          { message: 'a body does not have its hash' },
        );
      known.set(id, doc.doc, { size: doc.size + 1 });
      return doc.doc;
    },

    async getMany(courseId, hashes) {
      const found = new Map<string, LessonDocument>();
      const missing: string[] = [];
      for (const hash of new Set(hashes)) {
        const cached = known.get(`${courseId}:${hash}`);
        if (cached) found.set(hash, cached);
        else missing.push(hash);
      }
      if (missing.length === 0) return found;
      const ids = missing.map((hash) => `${courseId}:${hash}`);
      const rows = await asked(() => collection.find({ _id: { $in: ids } }, { projection: { doc: 1 } }).toArray());
      for (const row of rows) {
        const doc = checked(row, logger);
        if (doc) found.set(row._id.slice(courseId.length + 1), doc.doc);
      }
      return found;
    },

    isUp() {
      probing ??= probe().finally(() => setTimeout(() => (probing = undefined), PROBE_MS).unref());
      return probing;
    },

    close: () => client.close(),
  };
}

function rowOf(id: string, body: Body, touchedAt: Date): BodyRow {
  const refs = referencesOf(body.doc).map((reference) => `${reference.kind}:${reference.target}`);
  return { _id: id, doc: body.doc, size: body.size, refs: [...new Set(refs)], touchedAt };
}

/** The document with its size, when it has the hash that its key says. */
function checked(row: Pick<BodyRow, '_id' | 'doc'>, logger: Logger): { doc: LessonDocument; size: number } | undefined {
  try {
    const body = bodyOf(row.doc);
    if (row._id.endsWith(`:${toHash(body.hash)}`)) return body;
  } catch (error) {
    logger.error({ err: error, body: row._id }, 'a body cannot be read');
    return undefined;
  }
  logger.error({ body: row._id }, 'a body does not have its hash');
  return undefined;
}

/** Collects rows for 2 ms, then writes them by one command; each caller waits for its own row only. */
function createWriter(collection: Collection<BodyRow>): (row: BodyRow) => Promise<void> {
  let waiting: Waiting[] = [];
  let bytes = 0;
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const batch = waiting;
    waiting = [];
    bytes = 0;
    void write(collection, batch);
  };
  return (row) =>
    new Promise((resolve, reject) => {
      waiting.push({ row, done: resolve, failed: reject });
      bytes += row.size;
      if (waiting.length >= MAX_BATCH_DOCS || bytes >= MAX_BATCH_BYTES) flush();
      else timer ??= setTimeout(flush, JOIN_MS);
    });
}

async function write(collection: Collection<BodyRow>, batch: readonly Waiting[]): Promise<void> {
  const byId = new Map<string, Waiting[]>();
  for (const one of batch) byId.set(one.row._id, [...(byId.get(one.row._id) ?? []), one]);
  const settle = (id: string, error?: unknown): void => {
    for (const one of byId.get(id) ?? []) {
      if (error === undefined) one.done();
      else one.failed(error);
    }
    byId.delete(id);
  };
  // A second round for rows that another process was inserting at the same moment: by then they are there to be touched.
  for (let round = 1; byId.size > 0; round++) {
    const ids = [...byId.keys()];
    const operations = ids.flatMap((id) => byId.get(id)?.[0] ?? []).map(({ row }) => upsert(row));
    try {
      await inClientSpan('mongodb bulkWrite bodies', ATTRIBUTES, () =>
        collection.bulkWrite(operations, { ordered: false }),
      );
      for (const id of ids) settle(id);
    } catch (error) {
      const failures = new Map(
        error instanceof MongoBulkWriteError
          ? [error.writeErrors].flat().map((one) => [one.index, one.code] as const)
          : [],
      );
      if (failures.size === 0) for (const id of ids) settle(id, away(error));
      ids.forEach((id, i) => {
        if (!failures.has(i)) settle(id);
        else if (failures.get(i) !== 11_000 || round > 2) settle(id, away(error));
      });
    }
  }
}

function upsert({ _id, touchedAt, ...fixed }: BodyRow): AnyBulkWriteOperation<BodyRow> {
  return { updateOne: { filter: { _id }, update: { $setOnInsert: fixed, $max: { touchedAt } }, upsert: true } };
}

async function asked<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await inClientSpan('mongodb find bodies', ATTRIBUTES, work);
  } catch (error) {
    throw away(error);
  }
}

/** Whatever the driver says, no body was stored or read: the caller may try again. */
function away(error: unknown): unknown {
  if (!(error instanceof MongoError)) return error;
  return new AppError('unavailable', 'BODY_STORE_UNAVAILABLE', { retryAfterSeconds: 2 }, { cause: error });
}
