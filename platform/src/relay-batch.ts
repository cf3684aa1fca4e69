import { headers, type NatsConnection } from '@nats-io/transport-node';
import type { JetStreamClient } from '@nats-io/jetstream';
import type pg from 'pg';
import { counter, latency } from './metrics.js';
import { jetStreamOf, subjectOf } from './nats.js';
import type { OutboxRow } from './outbox.js';
import { contextFrom, currentTraceparent, inSpan, SpanKind } from './telemetry.js';

type Row = OutboxRow & {
  readonly id: number;
  readonly epoch: string;
  /** Bytes of the events up to this one. */
  readonly upto: number;
};

const batchSize = 500;
const batchBytes = 4 * 1024 * 1024;
const coursesAtOnce = 64;
/** A server that says nothing for so long is asked again over another connection: events wait meanwhile. */
const patience = { query_timeout: 5_000 };
const published = counter('outbox_published_total', 'Events published from the outbox', ['type']);
const publishDelay = latency('outbox_publish_delay_seconds', 'Time from an event to its publication', []);

/** From row to row, so that of large events none is read that the batch does not take. */
export const unsentText = `
  WITH RECURSIVE taken AS (
    (SELECT o AS event, octet_length(o.data::text) AS upto, 1 AS n FROM outbox AS o WHERE o.sent_at IS NULL ORDER BY o.id LIMIT 1)
    UNION ALL
    SELECT next.event, taken.upto + next.bytes, taken.n + 1
    FROM taken CROSS JOIN LATERAL (
      SELECT o AS event, octet_length(o.data::text) AS bytes FROM outbox AS o
      WHERE o.sent_at IS NULL AND o.id > (taken.event).id ORDER BY o.id LIMIT 1) AS next
    WHERE taken.n < ${batchSize} AND taken.upto < ${batchBytes})
  SELECT (event).id, (event).event_id, (event).course_id, (event).seq, (event).type, (event).data, (event).traceparent,
    (event).occurred_at, upto, coalesce((SELECT value FROM meta WHERE name = 'epoch'), '') AS epoch
  FROM taken ORDER BY (event).id`;

/** The oldest events that wait: at most 500, and at most 4 MiB unless the first alone is larger. */
export async function takeBatch(client: pg.Pool): Promise<Row[]> {
  const { rows } = await client.query<Row>({ ...patience, name: 'relay_unsent', text: unsentText });
  return rows;
}

/** Whether more may wait than a batch took. */
export function isFull(batch: readonly Row[]): boolean {
  return batch.length === batchSize || (batch.at(-1)?.upto ?? 0) >= batchBytes;
}

/** Where a batch goes, and whether it is still this process that sends it. */
interface Sending {
  readonly connection: NatsConnection;
  readonly source: string;
  readonly isHeld: () => boolean;
}

/** Publishes a batch, never two events of one course at once, and marks what arrived. Stops as soon as the lease is another's. */
export async function publishBatch(
  client: pg.Pool,
  rows: readonly Row[],
  to: Sending,
): Promise<{ sent: number; failure?: unknown }> {
  if (rows.length === 0) return { sent: 0 };
  const js = jetStreamOf(to.connection);
  const courses = [...Map.groupBy(rows, (row) => row.course_id).values()];
  const sent: number[] = [];
  let failure: unknown;
  const worker = async (): Promise<void> => {
    for (let own = courses.pop(); own !== undefined; own = courses.pop()) {
      for (const row of own) {
        // After a pause the events may stand in the stream already, before newer ones.
        if (!to.isHeld()) return;
        try {
          await publishOne(js, row, to.source);
          sent.push(row.id);
        } catch (error) {
          failure = error;
          break; // The rest of this course waits, so that its order holds.
        }
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(coursesAtOnce, courses.length) }, worker));
  if (sent.length > 0) {
    await client.query({
      ...patience,
      name: 'relay_mark',
      text: 'UPDATE outbox SET sent_at = now() WHERE id = ANY($1::bigint[]) AND sent_at IS NULL',
      values: [sent],
    });
  }
  return failure === undefined ? { sent: sent.length } : { sent: sent.length, failure };
}

/** CloudEvents 1.0 in binary mode: attributes as headers, the message as proto3 JSON in the body. */
async function publishOne(js: JetStreamClient, row: Row, source: string): Promise<void> {
  const subject = subjectOf(source, row.type, row.course_id);
  await inSpan(
    `publish ${source}.${row.type}`,
    {
      kind: SpanKind.PRODUCER,
      attributes: {
        'messaging.system.name': 'nats',
        'messaging.operation.type': 'send',
        'messaging.message.id': row.event_id,
      },
    },
    async () => {
      const head = headers();
      head.set('ce-specversion', '1.0');
      head.set('ce-id', row.event_id);
      head.set('ce-source', `/coursewright/${source}`);
      head.set('ce-type', `coursewright.${source}.${row.type}.v1`);
      head.set('ce-subject', row.course_id);
      head.set('ce-time', row.occurred_at.toISOString());
      head.set('ce-courseseq', String(row.seq));
      head.set('ce-epoch', row.epoch);
      head.set('content-type', 'application/json');
      const traceparent = currentTraceparent() ?? row.traceparent;
      if (traceparent) head.set('traceparent', traceparent);
      await js.publish(subject, JSON.stringify(row.data), { msgID: row.event_id, headers: head, timeout: 1_000 });
    },
    contextFrom(row.traceparent ?? undefined),
  );
  published.inc({ type: row.type });
  publishDelay.observe((Date.now() - row.occurred_at.getTime()) / 1000);
}
