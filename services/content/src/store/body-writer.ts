import type { Logger } from '@coursewright/platform/logger';
import { createPace } from '@coursewright/platform/pace';
import { inClientSpan } from '@coursewright/platform/telemetry';
import {
  MongoBulkWriteError,
  type AnyBulkWriteOperation,
  type BulkWriteResult,
  type Collection,
  type UpdateFilter,
} from 'mongodb';
import { ATTRIBUTES, asked, away, soundBytes, type BodyRow, type WeighedRow } from './body-rows.js';

const JOIN_MS = 2;
/** What one command holds: the driver makes its bytes in one go, some milliseconds for so much. */
const MAX_BATCH = { docs: 500, bytes: 4 * 1024 * 1024, values: 10_000 };
const READ_BATCH = 10;

interface Waiting {
  row: BodyRow;
  done: () => void;
  failed: (error: unknown) => void;
}

/** Collects rows for 2 ms, then writes them by one command; each caller waits for its own row only. */
export function createWriter(collection: Collection<BodyRow>, logger: Logger): (row: WeighedRow) => Promise<void> {
  let waiting: Waiting[] = [];
  let bytes = 0;
  let values = 0;
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const batch = waiting;
    waiting = [];
    bytes = 0;
    values = 0;
    void write(collection, batch, logger);
  };
  return (weighed) =>
    new Promise((resolve, reject) => {
      const { row } = weighed;
      if (bytes + row.size > MAX_BATCH.bytes || values + weighed.values > MAX_BATCH.values) flush();
      waiting.push({ row, done: resolve, failed: reject });
      bytes += row.size;
      values += weighed.values;
      if (waiting.length >= MAX_BATCH.docs) flush();
      else timer ??= setTimeout(flush, JOIN_MS);
    });
}

async function write(collection: Collection<BodyRow>, batch: readonly Waiting[], logger: Logger): Promise<void> {
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
    const rows = [...byId.values()].flatMap(([first]) => first?.row ?? []);
    try {
      const { inserted, failures } = await upsertAll(collection, rows);
      const present = rows.filter(({ _id }) => !inserted.has(_id) && !failures.has(_id));
      if (present.length > 0) await repair(collection, present, logger);
      for (const { _id } of rows) {
        const failure = failures.get(_id);
        if (failure === undefined) settle(_id);
        else if (failure.code !== DUPLICATE || round > 2) settle(_id, away(failure.error));
      }
    } catch (error) {
      for (const { _id } of rows) settle(_id, away(error));
    }
  }
}

const DUPLICATE = 11_000;

interface Upserted {
  /** Ids of the rows that were not there. */
  inserted: ReadonlySet<string>;
  failures: ReadonlyMap<string, { code: number; error: unknown }>;
}

async function upsertAll(collection: Collection<BodyRow>, rows: readonly BodyRow[]): Promise<Upserted> {
  const idsOf = (upserted: Readonly<Record<number, unknown>>) => new Set(Object.values(upserted).map(String));
  try {
    const result = await bulkWrite(collection, rows.map(upsert));
    return { inserted: idsOf(result.upsertedIds), failures: new Map() };
  } catch (error) {
    if (!(error instanceof MongoBulkWriteError)) throw error;
    const failed = [error.writeErrors].flat();
    if (failed.length === 0) throw error;
    const failures = new Map(failed.map(({ index, code }) => [rows[index]?._id ?? '', { code, error }] as const));
    return { inserted: idsOf(error.result.upsertedIds), failures };
  }
}

function bulkWrite(
  collection: Collection<BodyRow>,
  operations: AnyBulkWriteOperation<BodyRow>[],
): Promise<BulkWriteResult> {
  return inClientSpan('mongodb bulkWrite bodies', ATTRIBUTES, () =>
    collection.bulkWrite(operations, { ordered: false }),
  );
}

function upsert({ _id, touchedAt, ...fixed }: BodyRow): AnyBulkWriteOperation<BodyRow> {
  return { updateOne: { filter: { _id }, update: { $setOnInsert: fixed, $max: { touchedAt } }, upsert: true } };
}

/** Looks at rows that were there already, and writes those anew that do not hold what they should. */
async function repair(collection: Collection<BodyRow>, rows: readonly BodyRow[], logger: Logger): Promise<void> {
  const damaged = new Map(rows.map((row) => [row._id, row]));
  const cursor = collection.find({ _id: { $in: [...damaged.keys()] } }, { batchSize: READ_BATCH });
  const pace = createPace();
  try {
    for (
      let row = await asked('find', () => cursor.next());
      row !== null;
      row = await asked('find', () => cursor.next())
    ) {
      if (isWhole(row, damaged.get(row._id), logger)) damaged.delete(row._id);
      await pace();
    }
  } finally {
    await cursor.close().catch(() => undefined);
  }
  for (const row of damaged.values()) {
    await bulkWrite(collection, [replace(row)]);
    logger.warn({ body: row._id }, 'a damaged body was written anew');
  }
}

function isWhole(row: BodyRow, wanted: BodyRow | undefined, logger: Logger): boolean {
  const isSame = row.size === wanted?.size && Array.isArray(row.refs) && row.refs.join() === wanted.refs.join();
  return isSame && soundBytes(row, logger) !== undefined;
}

function replace({ _id, touchedAt, ...fixed }: BodyRow): AnyBulkWriteOperation<BodyRow> {
  const $unset: UpdateFilter<BodyRow>['$unset'] = fixed.text === undefined ? { text: '' } : { doc: '' };
  const update: UpdateFilter<BodyRow> = { $set: fixed, $unset, $max: { touchedAt } };
  return { updateOne: { filter: { _id }, update, upsert: true } };
}
