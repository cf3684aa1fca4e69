import { EventSourceServiceDefinition } from '@coursewright/proto/coursewright/common/v1/event_source';
import { AppError } from './errors.js';
import type { NewEvent } from './event.js';
import { newId } from './ids.js';
import { only } from './rpc-access.js';
import { serve, type Served } from './rpc-server.js';
import type { Database, Sql, TxSql } from './sql.js';
import { currentTraceparent } from './telemetry.js';

const statements = {
  oneMoment: { name: 'outbox_one_moment', text: 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ' },
  enqueue: {
    name: 'outbox_enqueue',
    text: `WITH taken AS (
             INSERT INTO course_seq (course_id, n) VALUES ($1::uuid, $2::bigint)
             ON CONFLICT (course_id) DO UPDATE SET n = course_seq.n + excluded.n RETURNING n)
           INSERT INTO outbox (event_id, course_id, seq, type, data, traceparent, occurred_at)
           SELECT e.event_id, $1::uuid, taken.n - $2::bigint + e.nth, e.type, e.data, e.traceparent, e.occurred_at
           FROM taken, jsonb_to_recordset($3::jsonb)
             AS e(event_id uuid, nth bigint, type text, data jsonb, traceparent text, occurred_at timestamptz)
           ORDER BY e.nth`,
  },
  since: {
    name: 'outbox_since',
    text: `SELECT event_id, course_id, seq, type, data, traceparent, occurred_at
           FROM (SELECT *, sum(octet_length(data::text)) OVER (ORDER BY seq) AS bytes
                 FROM (SELECT * FROM outbox WHERE course_id = $1::uuid AND seq > $2::bigint
                       ORDER BY seq LIMIT $3::int) AS next) AS sized
           WHERE bytes <= $4::bigint OR seq = $2::bigint + 1 ORDER BY seq`,
  },
  watermark: { name: 'outbox_watermark', text: 'SELECT n FROM course_seq WHERE course_id = $1::uuid' },
  watermarks: {
    name: 'outbox_watermarks',
    text: 'SELECT course_id, n FROM course_seq WHERE course_id > $1::uuid ORDER BY course_id LIMIT $2::int',
  },
  epoch: { name: 'meta_epoch', text: `SELECT value FROM meta WHERE name = 'epoch'` },
};

/**
 * An answer holds events up to so many bytes of JSON, and at least one. A list of small numbers takes up to four times as much on the wire,
 * so an answer stays below 3 MiB; the largest event by itself too. Pages of watermarks, 50 bytes a course, are bounded by their count.
 */
const mostJsonBytes = 768 * 1024;

export interface OutboxRow {
  readonly event_id: string;
  readonly course_id: string;
  readonly seq: number;
  readonly type: string;
  readonly data: Record<string, unknown>;
  readonly traceparent: string | null;
  readonly occurred_at: Date;
}

/** Where events wait, in the transaction of what they tell, until the relay has published them. */
export interface Outbox {
  /**
   * Writes events with the next sequence numbers of their courses.
   * Takes the row lock of each course's counter, so call it last in the transaction.
   */
  enqueue(sql: TxSql, events: readonly NewEvent[]): Promise<void>;
  /** Calls back after a transaction with events has committed. */
  onEnqueued(listener: () => void): void;
}

export function createOutbox(): Outbox {
  const listeners: (() => void)[] = [];
  return {
    async enqueue(sql, events) {
      if (events.length === 0) return;
      const traceparent = currentTraceparent() ?? null;
      // Counters are locked in order of their id, so that two transactions cannot wait for each other.
      for (const courseId of [...new Set(events.map((event) => event.courseId))].sort()) {
        const own = events.filter((event) => event.courseId === courseId);
        const rows = own.map((event, index) => ({
          event_id: newId(),
          nth: index + 1,
          type: event.type,
          data: event.data,
          traceparent: event.traceparent ?? traceparent,
          occurred_at: event.at,
        }));
        await sql.rows(statements.enqueue, [courseId, own.length, JSON.stringify(rows)]);
      }
      sql.afterCommit(() => {
        for (const listener of listeners) listener();
      });
    },
    onEnqueued: (listener) => void listeners.push(listener),
  };
}

/** The epoch of this database: part of every event, renewed by a restore. */
export async function readEpoch(sql: Sql): Promise<string> {
  const [row] = await sql.rows<{ value: string }>(statements.epoch);
  if (row === undefined) throw new AppError('internal', 'INTERNAL', {}, { message: 'the database has no epoch' });
  return row.value;
}

/** The present state of a course, read in the transaction that also reads its watermark. */
export type StateReader = (sql: Sql, courseId: string) => Promise<Record<string, unknown> | undefined>;

/** The service that answers for past events: what a consumer asks when it has a gap, is new, or rebuilds. `consumers` names who may. */
export function eventSourceService(database: Database, readState: StateReader, consumers: readonly string[]): Served {
  const callers = only(...consumers);
  return serve(
    EventSourceServiceDefinition,
    { eventsSince: callers, watermarks: callers, getState: callers },
    {
      async eventsSince(request) {
        const limit = Math.min(request.limit || 200, 500);
        const epoch = await readEpoch(database);
        const [mark] = await database.rows<{ n: number }>(statements.watermark, [request.courseId]);
        const { courseId, afterSeq } = request;
        const rows = await database.rows<OutboxRow>(statements.since, [courseId, afterSeq, limit, mostJsonBytes]);
        const watermark = mark?.n ?? 0;
        const expired = watermark > request.afterSeq && rows[0]?.seq !== request.afterSeq + 1;
        return { events: expired ? [] : rows.map((row) => toStored(row, epoch)), expired, watermark };
      },
      async watermarks(request) {
        const limit = Math.min(request.limit || 500, 1000);
        const after = request.cursor || '00000000-0000-0000-0000-000000000000';
        const rows = await database.rows<{ course_id: string; n: number }>(statements.watermarks, [after, limit]);
        return {
          watermarks: rows.map((row) => ({ courseId: row.course_id, seq: row.n })),
          next: rows.length === limit ? rows.at(-1)!.course_id : '',
          epoch: await readEpoch(database),
        };
      },
      async getState(request) {
        return database.tx(async (sql) => {
          // As of one moment: a state newer than its number would be taken back by the events between them.
          await sql.rows(statements.oneMoment);
          const [mark] = await sql.rows<{ n: number }>(statements.watermark, [request.courseId]);
          const state = await readState(sql, request.courseId);
          if (state === undefined) throw new AppError('not_found', 'COURSE_NOT_FOUND', { courseId: request.courseId });
          return { seq: mark?.n ?? 0, epoch: await readEpoch(sql), state };
        });
      },
    },
  );
}

function toStored(row: OutboxRow, epoch: string) {
  return {
    id: row.event_id,
    type: row.type,
    courseId: row.course_id,
    seq: row.seq,
    epoch,
    time: row.occurred_at,
    traceparent: row.traceparent ?? '',
    data: row.data,
  };
}
