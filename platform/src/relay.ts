import { headers, type NatsConnection } from '@nats-io/transport-node';
import type { JetStreamClient } from '@nats-io/jetstream';
import type pg from 'pg';
import type { Logger } from './logger.js';
import { counter, gauge, latency } from './metrics.js';
import { ensureStream, hasStream, isDamaged, jetStreamOf, remakeStream, subjectOf, type Nats } from './nats.js';
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
  /** False while this process publishes and events wait longer than some seconds, or their stream is not there. */
  isWell(): boolean;
}

type Row = OutboxRow & { readonly id: number };

const batchSize = 500;
const batchBytes = 4 * 1024 * 1024;
const pollMs = 200;
const coursesAtOnce = 64;
const lookEveryMs = 2_000;
const lagMs = 5_000;
const damagedForMs = 1_000;
const published = counter('outbox_published_total', 'Events published from the outbox', ['type']);
const waiting = gauge('outbox_oldest_age_seconds', 'Age of the oldest event that waits in the outbox', []);
const publishDelay = latency('outbox_publish_delay_seconds', 'Time from an event to its publication', []);

/**
 * Publishes what is unsent, oldest first, never two events of one course at once.
 * One relay per service at a time, by an advisory lock; a crash between publication and mark publishes again, which consumers absorb.
 */
export function createRelay(options: RelayOptions): Relay {
  return new PgRelay(options);
}

class PgRelay implements Relay {
  private stopping = false;
  private loop: Promise<void> = Promise.resolve();
  /** Something was enqueued since the last look into the outbox. */
  private isAsked = false;
  private endPause: () => void = () => undefined;
  private isLeader = false;
  private isStreamThere = true;
  private oldestAgeMs = 0;
  private lastLook = 0;
  private damagedSince: number | undefined;

  constructor(private readonly options: RelayOptions) {
    options.outbox.onEnqueued(() => this.wake());
    options.nats.onUp(() => {
      options.nats.connected
        .then((connection) => ensureStream(connection, options.source))
        .then(() => this.wake())
        .catch((error: unknown) => options.logger.warn({ err: error }, 'stream not ready yet'));
    });
  }

  async start(): Promise<void> {
    this.loop = this.run();
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.wake();
    await this.loop;
  }

  isWell(): boolean {
    if (!this.isLeader) return true;
    return this.options.nats.isUp() && this.isStreamThere && this.oldestAgeMs < lagMs;
  }

  private wake(): void {
    this.isAsked = true;
    this.endPause();
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      try {
        await this.lead();
      } catch (error) {
        this.options.logger.warn({ err: error }, 'relay paused');
        if (!this.stopping) await this.pause(1_000);
      }
    }
  }

  /** Holds the lock on one connection for as long as that lives, and publishes meanwhile. */
  private async lead(): Promise<void> {
    const client = await this.options.pool.connect();
    let broken: Error | undefined;
    client.on('error', (error) => (broken = error));
    try {
      const lock = await client.query<{ locked: boolean }>(
        `SELECT pg_try_advisory_lock(hashtext('coursewright-relay')) AS locked`,
      );
      if (!lock.rows[0]?.locked) return await this.pause(1_000);
      this.isLeader = true;
      while (!this.stopping && broken === undefined) await this.turn(client);
      await client.query('SELECT pg_advisory_unlock_all()');
    } catch (error) {
      broken ??= error as Error;
      throw error;
    } finally {
      this.isLeader = false;
      client.removeAllListeners('error');
      client.release(broken);
    }
  }

  /** One batch, and a pause unless more waits already: what is enqueued from here on is either in the batch or wakes the pause. */
  private async turn(client: pg.PoolClient): Promise<void> {
    this.isAsked = false;
    const batch = await takeBatch(client);
    this.oldestAgeMs = batch[0] ? Date.now() - batch[0].occurred_at.getTime() : 0;
    waiting.set(this.oldestAgeMs / 1000);
    if (!this.options.nats.isUp()) return this.pauseUnless(false);
    const connection = await this.options.nats.connected;
    if (performance.now() - this.lastLook > lookEveryMs) await this.lookAfterStream(connection);
    const { sent, failure } = await publishBatch(client, batch, { connection, source: this.options.source });
    if (failure === undefined) {
      this.damagedSince = undefined;
      if (sent === batch.length) this.oldestAgeMs = 0;
      return this.pauseUnless(sent > 0 || this.isAsked);
    }
    this.options.logger.warn({ err: failure }, 'event not published; it stays in the outbox');
    await this.mend(connection, failure);
    // What failed now would fail again at once: being woken is no reason to try earlier.
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }

  private async pauseUnless(more: boolean): Promise<void> {
    if (!more && !this.stopping) await this.pause(pollMs);
  }

  /** A stream that was deleted says so only to who publishes; on a quiet day that may be hours later. */
  private async lookAfterStream(connection: NatsConnection): Promise<void> {
    this.lastLook = performance.now();
    try {
      this.isStreamThere = await hasStream(connection, this.options.source);
      if (this.isStreamThere) return;
      this.options.logger.warn('the stream of events is gone; it is made anew');
      await ensureStream(connection, this.options.source);
      this.isStreamThere = true;
    } catch (error) {
      this.isStreamThere = false;
      this.options.logger.warn({ reason: String(error) }, 'the stream of events cannot be looked after');
    }
  }

  private async mend(connection: NatsConnection, failure: unknown): Promise<void> {
    const { source, logger } = this.options;
    if (!isDamaged(failure)) {
      this.damagedSince = undefined;
      await ensureStream(connection, source).catch(() => undefined);
      return;
    }
    this.damagedSince ??= performance.now();
    if (performance.now() - this.damagedSince < damagedForMs) return;
    logger.warn('the stream of events cannot be written to; an empty one takes its place');
    await remakeStream(connection, source).catch((error: unknown) =>
      logger.warn({ reason: String(error) }, 'the stream of events could not be replaced'),
    );
  }
}

async function takeBatch(client: pg.PoolClient): Promise<Row[]> {
  const { rows } = await client.query<Row>({
    name: 'relay_unsent',
    text: `SELECT id, event_id, course_id, seq, type, data, traceparent, occurred_at
           FROM (SELECT *, sum(octet_length(data::text)) OVER (ORDER BY id) - octet_length(data::text) AS before
                 FROM (SELECT * FROM outbox WHERE sent_at IS NULL ORDER BY id LIMIT ${batchSize}) AS unsent) AS sized
           WHERE before < ${batchBytes} ORDER BY id`,
  });
  return rows;
}

/** Publishes a batch and marks what arrived. */
async function publishBatch(
  client: pg.PoolClient,
  rows: readonly Row[],
  to: { readonly connection: NatsConnection; readonly source: string },
): Promise<{ sent: number; failure?: unknown }> {
  if (rows.length === 0) return { sent: 0 };
  const { rows: meta } = await client.query<{ value: string }>({
    name: 'relay_epoch',
    text: `SELECT value FROM meta WHERE name = 'epoch'`,
  });
  const js = jetStreamOf(to.connection);
  const courses = [...Map.groupBy(rows, (row) => row.course_id).values()];
  const sent: number[] = [];
  let failure: unknown;
  const worker = async (): Promise<void> => {
    for (let own = courses.pop(); own !== undefined; own = courses.pop()) {
      for (const row of own) {
        try {
          await publishOne(js, row, { source: to.source, epoch: meta[0]?.value ?? '' });
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
  return failure === undefined ? { sent: sent.length } : { sent: sent.length, failure };
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
