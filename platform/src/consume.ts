import { AckPolicy, DeliverPolicy, type ConsumerMessages } from '@nats-io/jetstream';
import { nanos, type NatsConnection } from '@nats-io/transport-node';
import { pump, type BatchOptions } from './consume-batch.js';
import { followCatchUp } from './follow-catch-up.js';
import { gauge } from './metrics.js';
import { isNotThere, jetStreamOf, managerOf, streamOf, type Nats } from './nats.js';

export interface ConsumerOptions extends BatchOptions {
  readonly nats: Nats;
}

export interface EventConsumer {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** False while events come by the source's watermarks only, or not at all: the durable is lost, or the source does not answer. */
  isFollowing(): boolean;
}

const catchUpEveryMs = 5 * 60 * 1000;
/** While there is no stream to read. */
const catchUpWithoutStreamMs = 10_000;
const lookEveryMs = 2_000;
const looksWithoutProgress = 3;
const following = gauge('event_consumer_up', 'Whether events of a source come by the broker', ['source']);

/**
 * Takes all events of one source and hands them to the inbox in batches.
 * JetStream only brings them sooner: what it loses, the source's watermarks bring at start, whenever the durable was lost, after each
 * reconnect and every 5 minutes.
 */
export function createConsumer(options: ConsumerOptions): EventConsumer {
  const { logger, nats, source } = options;
  const catchUp = followCatchUp(options);
  let stopping = false;
  let isOpen = false;
  let messages: ConsumerMessages | undefined;
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  const note = (open: boolean): void => {
    isOpen = open;
    following.set({ source }, open ? 1 : 0);
  };

  const run = async (): Promise<void> => {
    let complained = false;
    let lastCatchUp = performance.now();
    while (!stopping) {
      try {
        const connection = await nats.connected;
        messages = await openMessages(connection, options);
        complained = false;
        if (stopping) break;
        note(true);
        catchUp.soon();
        void stopWhenLost(messages);
        const watch = watchDurable(messages, connection, options);
        await pump(messages, { ...options, onMessage: watch.onMessage }).finally(watch.stop);
        // Whatever was lost with the durable is fetched now, not when the stream is back.
        if (!stopping) catchUp.soon();
      } catch (error) {
        if (!stopping && !complained) logger.warn({ source, reason: String(error) }, 'event stream not ready');
        complained = true;
        if (nats.isUp() && performance.now() - lastCatchUp > catchUpWithoutStreamMs) {
          lastCatchUp = performance.now();
          catchUp.soon();
        }
      }
      note(false);
      if (!stopping) await new Promise((resolve) => setTimeout(resolve, 500));
    }
  };
  return {
    async start() {
      note(false);
      // Also without NATS: a gRPC-only catch-up keeps projections right while the broker is away.
      catchUp.soon();
      timer = setInterval(() => catchUp.soon(), catchUpEveryMs);
      running = run();
    },
    async stop() {
      stopping = true;
      clearInterval(timer);
      await messages?.close();
      if (nats.isUp()) await running;
      await catchUp.stop();
    },
    isFollowing: () => isOpen && nats.isUp() && catchUp.isWell(),
  };
}

const durableOf = (options: ConsumerOptions): string => `${options.consumer}--${options.source}`;

/** Opens the durable, making it when it is not there (first start, wiped server). Throws while the stream does not exist yet. */
async function openMessages(connection: NatsConnection, options: ConsumerOptions): Promise<ConsumerMessages> {
  const stream = streamOf(options.source);
  const durable = durableOf(options);
  const manager = await managerOf(connection);
  await manager.consumers.add(stream, {
    durable_name: durable,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: nanos(30_000),
    max_ack_pending: 1_000,
    max_deliver: -1,
  });
  const consumer = await jetStreamOf(connection).consumers.get(stream, durable);
  return consumer.consume({ max_messages: 500, expires: 10_000, idle_heartbeat: 2_000 });
}

/** consume() goes on for ever when its durable vanishes with the server's data; only its status tells. */
async function stopWhenLost(messages: ConsumerMessages): Promise<void> {
  for await (const status of messages.status()) {
    const lost =
      status.type === 'consumer_deleted' || status.type === 'consumer_not_found' || status.type === 'stream_not_found';
    if (lost || (status.type === 'heartbeats_missed' && status.count >= 2)) {
      await messages.close();
      return;
    }
  }
}

/**
 * Asks the server after the durable now and then, since not every loss is told: closes the messages when it is gone, when it is another
 * one than before, or when it holds messages and brings none.
 */
function watchDurable(
  messages: ConsumerMessages,
  connection: NatsConnection,
  options: ConsumerOptions,
): { readonly onMessage: () => void; readonly stop: () => void } {
  let made: string | undefined;
  let received = 0;
  let stuck = { received, looks: 0 };
  let looking = false;
  const look = async (): Promise<void> => {
    const manager = await managerOf(connection);
    const info = await manager.consumers.info(streamOf(options.source), durableOf(options));
    const rests = info.num_pending > 0 && info.num_ack_pending === 0 && received === stuck.received;
    stuck = { received, looks: rests ? stuck.looks + 1 : 0 };
    if ((made !== undefined && made !== info.created) || stuck.looks >= looksWithoutProgress) await messages.close();
    made = info.created;
  };
  const timer = setInterval(() => {
    if (looking || !options.nats.isUp()) return;
    looking = true;
    look()
      .catch((error: unknown) => (isNotThere(error) ? messages.close() : undefined))
      .finally(() => (looking = false));
  }, lookEveryMs);
  return {
    onMessage: () => void (received += 1),
    stop: () => clearInterval(timer),
  };
}
