import type { ConsumerMessages } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { createBatcher, type BatchOptions } from './consume-batch.js';
import { lookAtDurables, openDurable } from './durables.js';
import { followCatchUp } from './follow-catch-up.js';
import type { Lease, Leases, Share } from './leases.js';
import { gauge } from './metrics.js';
import type { Nats } from './nats.js';
import { partitionOf, PARTITIONS } from './partitions.js';

export interface ConsumerOptions extends BatchOptions {
  readonly nats: Nats;
  readonly leases: Leases;
}

export interface EventConsumer {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** False while events of partitions held here come by the source's watermarks only, or not at all: the durable is lost, or the source does not answer. */
  isFollowing(): boolean;
}

const catchUpEveryMs = 5 * 60 * 1000;
/** While there is no stream to read. */
const catchUpWithoutStreamMs = 10_000;
const lookEveryMs = 2_000;
const reopenMs = 500;
const following = gauge('event_consumer_up', 'Whether events of a source come by the broker', ['source']);

/** A partition that this process holds. */
interface Feed {
  readonly lease: Lease;
  messages: ConsumerMessages | undefined;
  /** Messages that came since they were opened. */
  received: number;
}

/**
 * Takes all events of one source and hands them to the inbox in batches, each of the source's partitions at one replica at a time.
 * JetStream only brings them sooner: what it loses, the source's watermarks bring when a partition is taken over, whenever a durable was
 * lost (as by a restart of the server) and every 5 minutes.
 */
export function createConsumer(options: ConsumerOptions): EventConsumer {
  return new PartitionedConsumer(options);
}

class PartitionedConsumer implements EventConsumer {
  private readonly feeds = new Map<string, Feed>();
  private readonly batcher;
  private readonly catchUp;
  private share: Share | undefined;
  private timers: NodeJS.Timeout[] = [];
  private isLooking = false;
  private lastCatchUp = performance.now();
  private isComplaining = false;

  constructor(private readonly options: ConsumerOptions) {
    this.batcher = createBatcher(options);
    this.catchUp = followCatchUp({ ...options, isOurs: (courseId) => this.isOurs(courseId) });
  }

  async start(): Promise<void> {
    const { consumer, leases, nats, source } = this.options;
    this.note();
    this.timers = [
      setInterval(() => this.catchUpSoon(), catchUpEveryMs),
      setInterval(() => void this.look(), lookEveryMs),
    ];
    const names = PARTITIONS.map((partition) => `events ${source} ${consumer} ${partition}`);
    this.share = leases.share(
      names,
      (lease) => this.follow(lease.name.slice(-1), lease),
      () => nats.isAtHand(),
    );
    // A server that comes back after a restart has no durables.
    nats.onUp(() => void this.look());
  }

  async stop(): Promise<void> {
    this.timers.forEach(clearInterval);
    await this.share?.stop();
    await this.catchUp.stop();
  }

  isFollowing(): boolean {
    return this.isOpen() && (this.feeds.size === 0 || (this.options.nats.isUp() && this.catchUp.isWell()));
  }

  private isOpen(): boolean {
    return [...this.feeds.values()].every(({ messages }) => messages !== undefined);
  }

  private isOurs(courseId: string): boolean {
    return this.feeds.get(partitionOf(courseId))?.lease.isHeld() ?? false;
  }

  private note(): void {
    following.set({ source: this.options.source }, this.isOpen() ? 1 : 0);
  }

  private catchUpSoon(): void {
    if (this.feeds.size > 0) this.catchUp.soon();
  }

  /** Takes the events of a partition for as long as its lease is held. */
  private async follow(partition: string, lease: Lease): Promise<void> {
    const { logger, nats, source } = this.options;
    const feed: Feed = { lease, messages: undefined, received: 0 };
    this.feeds.set(partition, feed);
    this.note();
    // Also without NATS: a gRPC-only catch-up keeps projections right while the broker is away.
    this.catchUpSoon();
    const end = (): void => void feed.messages?.close();
    lease.signal.addEventListener('abort', end);
    let takeOver = lease.wasLost;
    while (lease.isHeld()) {
      try {
        const connection = await unlessEnded(lease.signal, nats.connected);
        if (connection === undefined) break;
        feed.messages = await openDurable(connection, { ...this.options, partition, takeOver });
        takeOver = false;
        this.isComplaining = false;
        await this.take(feed);
      } catch (error) {
        this.complain(lease, () => logger.warn({ source, reason: String(error) }, 'event stream not ready'));
      }
      feed.messages = undefined;
      this.note();
      if (lease.isHeld()) await new Promise((resolve) => setTimeout(resolve, reopenMs));
    }
    lease.signal.removeEventListener('abort', end);
    await this.batcher.idle(lease);
    this.feeds.delete(partition);
    this.note();
  }

  private async take(feed: Feed): Promise<void> {
    const { lease, messages } = feed;
    if (messages === undefined) return;
    // Not awaited: messages that nobody has begun to read never say that they are closed.
    if (lease.signal.aborted) return void messages.close();
    feed.received = 0;
    this.note();
    // Whatever came before the durable was there, or is on its way to somebody who is gone.
    this.catchUpSoon();
    void closeWhenLost(messages);
    for await (const message of messages) {
      feed.received += 1;
      this.batcher.push(message, lease);
    }
    // Whatever was lost with the durable is fetched now, not when the stream is back.
    if (lease.isHeld()) this.catchUpSoon();
  }

  private complain(lease: Lease, say: () => void): void {
    if (!this.isComplaining && lease.isHeld()) say();
    this.isComplaining = true;
    if (!this.options.nats.isUp() || performance.now() - this.lastCatchUp < catchUpWithoutStreamMs) return;
    this.lastCatchUp = performance.now();
    this.catchUpSoon();
  }

  /** Asks the server after the durables now and then, since not every loss is told. */
  private async look(): Promise<void> {
    const open = [...this.feeds].filter(([, { messages }]) => messages !== undefined);
    if (this.isLooking || open.length === 0 || !this.options.nats.isUp()) return;
    this.isLooking = true;
    try {
      const lost = await lookAtDurables(await this.options.nats.connected, this.options, new Map(open));
      for (const feed of lost) void feed.messages?.close();
    } catch (error) {
      this.options.logger.debug({ reason: String(error) }, 'durables cannot be looked after');
    } finally {
      this.isLooking = false;
    }
  }
}

/** consume() goes on for ever when its durable vanishes with the server's data; only its status tells. */
async function closeWhenLost(messages: ConsumerMessages): Promise<void> {
  for await (const status of messages.status()) {
    const lost =
      status.type === 'consumer_deleted' || status.type === 'consumer_not_found' || status.type === 'stream_not_found';
    if (lost || (status.type === 'heartbeats_missed' && status.count >= 2)) {
      await messages.close();
      return;
    }
  }
}

function unlessEnded(signal: AbortSignal, connected: Promise<NatsConnection>): Promise<NatsConnection | undefined> {
  return new Promise((resolve, reject) => {
    const end = (): void => resolve(undefined);
    if (signal.aborted) return end();
    signal.addEventListener('abort', end, { once: true });
    connected.then(resolve, reject).finally(() => signal.removeEventListener('abort', end));
  });
}
