import type { NatsConnection } from '@nats-io/transport-node';
import type pg from 'pg';
import type { Lease, Leases, Share } from './leases.js';
import type { Logger } from './logger.js';
import { gauge } from './metrics.js';
import { ensureStream, hasStream, isDamaged, remakeStream, wakeSubject, type Nats } from './nats.js';
import type { Outbox } from './outbox.js';
import { isFull, publishBatch, takeBatch } from './relay-batch.js';

export interface RelayOptions {
  /** The service whose events these are. */
  readonly source: string;
  readonly pool: pg.Pool;
  readonly outbox: Outbox;
  readonly nats: Nats;
  readonly leases: Leases;
  readonly logger: Logger;
}

export interface Relay {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** False while this process publishes and events wait longer than some seconds, or their stream is not there. */
  isWell(): boolean;
}

const retryMs = 200;
/** Alone, an event is published at once; in a stream of them a little patience makes one batch of many, here and at those who listen. */
const lingerMs = 10;
const lookEveryMs = 2_000;
const lagMs = 5_000;
const damagedForMs = 1_000;
/** Other replicas are told together of what was enqueued within so many milliseconds. */
const togetherMs = 2;
const waiting = gauge('outbox_oldest_age_seconds', 'Age of the oldest event that waits in the outbox', []);

/**
 * Publishes what is unsent, oldest first, never two events of one course at once. One replica does so at a time, under a lease; a crash
 * between publication and mark publishes again, which consumers absorb. The replica that writes an event wakes the one that publishes: in
 * the process, or by a message without a stream; whatever is lost of these, the heartbeat of the leases finds within a second.
 */
export function createRelay(options: RelayOptions): Relay {
  return new PgRelay(options);
}

class PgRelay implements Relay {
  private share: Share | undefined;
  private lease: Lease | undefined;
  /** Something may wait in the outbox since the last look. */
  private isAsked = false;
  private endPause: () => void = () => undefined;
  private telling: NodeJS.Timeout | undefined;
  private isStreamThere = true;
  private oldestAgeMs = 0;
  private lastLook = 0;
  private lastBatch = -Infinity;
  private damagedSince: number | undefined;

  constructor(private readonly options: RelayOptions) {
    const { outbox, nats, leases, source, logger } = options;
    outbox.onEnqueued(() => (this.lease === undefined ? this.tell() : this.wake()));
    leases.ask({
      name: 'unsent',
      sql: 'EXISTS (SELECT FROM outbox WHERE sent_at IS NULL)',
      onAnswer: (isTrue) => isTrue && this.wake(),
    });
    nats.connected
      .then((connection) => connection.subscribe(wakeSubject(source), { callback: () => this.wake() }))
      .catch(() => undefined);
    nats.onUp(() => {
      nats.connected
        .then((connection) => ensureStream(connection, source))
        .then(() => this.wake())
        .catch((error: unknown) => logger.warn({ err: error }, 'stream not ready yet'));
    });
  }

  async start(): Promise<void> {
    const { leases, nats, source } = this.options;
    this.share = leases.share(
      [`relay ${source}`],
      (lease) => this.lead(lease),
      () => nats.isAtHand(),
    );
  }

  async stop(): Promise<void> {
    clearTimeout(this.telling);
    await this.share?.stop();
  }

  isWell(): boolean {
    if (this.lease === undefined) return true;
    return this.options.nats.isUp() && this.isStreamThere && this.oldestAgeMs < lagMs;
  }

  private wake(): void {
    this.isAsked = true;
    this.endPause();
  }

  /** Wakes the replica that publishes. Without NATS there is nothing that it could do. */
  private tell(): void {
    if (!this.options.nats.isUp()) return;
    this.telling ??= setTimeout(() => {
      this.telling = undefined;
      this.options.nats.connected
        .then((connection) => connection.publish(wakeSubject(this.options.source)))
        .catch(() => undefined);
    }, togetherMs);
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

  private async lead(lease: Lease): Promise<void> {
    const end = (): void => this.endPause();
    lease.signal.addEventListener('abort', end);
    this.lease = lease;
    this.isAsked = true;
    // What an earlier lease saw of the stream another process may have mended since.
    this.damagedSince = undefined;
    try {
      while (lease.isHeld()) await this.turn(lease);
    } catch (error) {
      this.options.logger.warn({ err: error }, 'relay paused');
    } finally {
      this.lease = undefined;
      lease.signal.removeEventListener('abort', end);
    }
  }

  /** One batch, if there may be any, else a pause: what is enqueued from here on is either in the batch or ends the pause. */
  private async turn(lease: Lease): Promise<void> {
    const { nats, pool, source, logger } = this.options;
    const isHeld = (): boolean => lease.isHeld();
    if (nats.isUp() && performance.now() - this.lastLook > lookEveryMs) await this.lookAfterStream();
    if (!this.isAsked) return this.pause(lookEveryMs);
    const rest = lingerMs - (performance.now() - this.lastBatch);
    if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
    this.isAsked = false;
    this.lastBatch = performance.now();
    const batch = await takeBatch(pool);
    this.noteAge(batch[0] ? Date.now() - batch[0].occurred_at.getTime() : 0);
    if (batch.length === 0) return;
    if (!nats.isUp()) return this.again();
    const { sent, failure } = await publishBatch(pool, batch, { connection: await nats.connected, source, isHeld });
    if (!isHeld()) return;
    if (failure === undefined) {
      this.damagedSince = undefined;
      if (sent === batch.length) this.noteAge(0);
      this.isAsked ||= isFull(batch);
      return;
    }
    logger.warn({ err: failure }, 'event not published; it stays in the outbox');
    await this.mend(await nats.connected, failure);
    await this.again();
  }

  private noteAge(ms: number): void {
    this.oldestAgeMs = ms;
    waiting.set(ms / 1000);
  }

  /** What failed now would fail again at once: being woken is no reason to try earlier. */
  private async again(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, retryMs));
    this.isAsked = true;
  }

  /** A stream that was deleted says so only to who publishes; on a quiet day that may be hours later. */
  private async lookAfterStream(): Promise<void> {
    this.lastLook = performance.now();
    const connection = await this.options.nats.connected;
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
