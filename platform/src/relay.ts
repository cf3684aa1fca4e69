import { headers, type NatsConnection } from '@nats-io/transport-node';
import type { JetStreamClient } from '@nats-io/jetstream';
import type pg from 'pg';
import type { Logger } from './logger.js';
import { counter, gauge, latency } from './metrics.js';
import { ensureStream, jetStreamOf, subjectOf, type Nats } from './nats.js';
import type { Outbox, OutboxRow } from './outbox.js';
import { contextFrom, inSpan, SpanKind, currentTraceparent } from './telemetry.js';

export interface RelayOptions {
  /** The service whose events these are. */
  readonly source: string;
  readonly pool: pg.Pool;
  readonly outbox: Outbox;
  readonly nats: Nats;
  readonly logger: Logger;
}

export interface Relay {
  start(): Promise<void>;
  stop(): Promise<void>;
}

type Row = OutboxRow & { readonly id: number };

const batchSize = 500;
const pollMs = 200;
const coursesAtOnce = 64;
const published = counter('outbox_published_total', 'Events published from the outbox', ['type']);
const waiting = gauge('outbox_oldest_age_seconds', 'Age of the oldest event that waits in the outbox', []);
const publishDelay = latency('outbox_publish_delay_seconds', 'Time from an event to its publication', []);

/**
 * Publishes what is unsent, oldest first, never two events of one course at once.
 * One relay per service at a time, by an advisory lock; a crash between publication and mark publishes again, which consumers absorb.
 */
export function createRelay(options: RelayOptions): Relay {
  let stopping = false;
  let wake: () => void = () => undefined;
  let loop: Promise<void> = Promise.resolve();
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  options.outbox.onEnqueued(() => wake());
  options.nats.onUp(() => {
    options.nats.connected
      .then((connection) => ensureStream(connection, options.source))
      .then(() => wake())
      .catch((error: unknown) => options.logger.warn({ err: error }, 'stream not ready yet'));
  });

  async function run(): Promise<void> {
    while (!stopping) {
      try {
        await lead();
      } catch (error) {
        options.logger.warn({ err: error }, 'relay paused');
        if (!stopping) await pause(1_000);
      }
    }
  }

  /** Holds the lock on one connection for as long as that lives, and publishes meanwhile. */
  async function lead(): Promise<void> {
    const client = await options.pool.connect();
    let broken: Error | undefined;
    client.on('error', (error) => (broken = error));
    try {
      const lock = await client.query<{ locked: boolean }>(
        `SELECT pg_try_advisory_lock(hashtext('coursewright-relay')) AS locked`,
      );
      if (!lock.rows[0]?.locked) return await pause(1_000);
      while (!stopping && broken === undefined) {
        const moved = options.nats.isUp() ? await publishBatch(client, await options.nats.connected, options) : 0;
        if (moved < batchSize && !stopping) await pause(pollMs);
      }
      await client.query('SELECT pg_advisory_unlock_all()');
    } catch (error) {
      broken ??= error as Error;
      throw error;
    } finally {
      client.removeAllListeners('error');
      client.release(broken);
    }
  }

  return {
    async start() {
      loop = run();
    },
    async stop() {
      stopping = true;
      wake();
      await loop;
    },
  };
}

/** Publishes one batch and marks what arrived. Resolves to how many did. */
async function publishBatch(client: pg.PoolClient, connection: NatsConnection, options: RelayOptions): Promise<number> {
  const { rows } = await client.query<Row>({
    name: 'relay_unsent',
    text: `SELECT id, event_id, course_id, seq, type, data, traceparent, occurred_at FROM outbox WHERE sent_at IS NULL ORDER BY id LIMIT ${batchSize}`,
  });
  waiting.set(rows[0] ? (Date.now() - rows[0].occurred_at.getTime()) / 1000 : 0);
  if (rows.length === 0) return 0;
  const { rows: meta } = await client.query<{ value: string }>({
    name: 'relay_epoch',
    text: `SELECT value FROM meta WHERE name = 'epoch'`,
  });
  const js = jetStreamOf(connection);
  const courses = [...Map.groupBy(rows, (row) => row.course_id).values()];
  const sent: number[] = [];
  let failure: unknown;
  const worker = async (): Promise<void> => {
    for (let own = courses.pop(); own !== undefined; own = courses.pop()) {
      for (const row of own) {
        try {
          await publishOne(js, row, { source: options.source, epoch: meta[0]?.value ?? '' });
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
      name: 'relay_mark',
      text: 'UPDATE outbox SET sent_at = now() WHERE id = ANY($1::bigint[])',
      values: [sent],
    });
  }
  if (failure !== undefined) {
    options.logger.warn({ err: failure }, 'event not published; it stays in the outbox');
    await ensureStream(connection, options.source).catch(() => undefined);
    return 0;
  }
  return sent.length;
}

/** CloudEvents 1.0 in binary mode: attributes as headers, the message as proto3 JSON in the body. */
async function publishOne(js: JetStreamClient, row: Row, origin: { source: string; epoch: string }): Promise<void> {
  const subject = subjectOf(origin.source, row.type, row.course_id);
  await inSpan(
    `publish ${origin.source}.${row.type}`,
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
      head.set('ce-source', `/coursewright/${origin.source}`);
      head.set('ce-type', `coursewright.${origin.source}.${row.type}.v1`);
      head.set('ce-subject', row.course_id);
      head.set('ce-time', row.occurred_at.toISOString());
      head.set('ce-courseseq', String(row.seq));
      head.set('ce-epoch', origin.epoch);
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

/** Removes events that were published more than 30 days ago. */
export async function pruneOutbox(pool: pg.Pool): Promise<void> {
  await pool.query(
    `DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE sent_at < now() - interval '30 days' ORDER BY id LIMIT 10000)`,
  );
}
