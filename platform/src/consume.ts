import { AckPolicy, DeliverPolicy, type ConsumerMessages, type JsMsg } from '@nats-io/jetstream';
import { nanos, type NatsConnection } from '@nats-io/transport-node';
import type { Event } from './event.js';
import { isPoison, type Inbox } from './inbox.js';
import type { Logger } from './logger.js';
import { counter, latency } from './metrics.js';
import { jetStreamOf, managerOf, streamOf, type Nats } from './nats.js';
import { contextFrom, inSpan, SpanKind } from './telemetry.js';

export interface ConsumerOptions {
  /** The service that listens; with the source it names the durable. */
  readonly consumer: string;
  readonly source: string;
  readonly inbox: Inbox;
  readonly nats: Nats;
  readonly logger: Logger;
}

export interface EventConsumer {
  start(): Promise<void>;
  stop(): Promise<void>;
}

const batchSize = 100;
const triesBeforeBurial = 5;
const lingerMs = 10;
const firstPauseMs = 250;
const catchUpEveryMs = 5 * 60 * 1000;
const effectDelay = latency('event_effect_delay_seconds', 'Time from an event to its effect', ['source', 'type']);
const outcomes = counter('event_outcomes_total', 'What became of delivered events', ['source', 'outcome']);

/**
 * Takes all events of one source and hands them to the inbox in batches.
 * JetStream only brings them sooner: what it loses, the source's watermarks bring at start, after each reconnect and every 5 minutes.
 */
export function createConsumer(options: ConsumerOptions): EventConsumer {
  const { logger, nats, source } = options;
  let stopping = false;
  let messages: ConsumerMessages | undefined;
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let catching: Promise<void> | undefined;

  const catchUpSoon = (): Promise<void> => {
    catching ??= tryToCatchUp().finally(() => (catching = undefined));
    return catching;
  };
  const tryToCatchUp = async (): Promise<void> => {
    for (let pause = firstPauseMs; !stopping; pause = Math.min(pause * 2, 2_000)) {
      try {
        const behind = await options.inbox.catchUpAll();
        if (behind > 0) logger.info({ source, courses: behind }, 'caught up from the source');
        return;
      } catch (error) {
        if (pause === firstPauseMs) logger.warn({ source, reason: String(error) }, 'source not reachable yet');
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  };
  const run = async (): Promise<void> => {
    let complained = false;
    while (!stopping) {
      try {
        const connection = await nats.connected;
        messages = await openMessages(connection, options);
        complained = false;
        if (stopping) break;
        void catchUpSoon();
        void stopWhenLost(messages);
        await pump(messages, options);
      } catch (error) {
        if (!stopping && !complained) logger.warn({ source, reason: String(error) }, 'event stream not ready');
        complained = true;
      }
      if (!stopping) await new Promise((resolve) => setTimeout(resolve, 500));
    }
  };
  return {
    async start() {
      // Also without NATS: a gRPC-only catch-up keeps projections right while the broker is away.
      void catchUpSoon();
      timer = setInterval(() => void catchUpSoon(), catchUpEveryMs);
      running = run();
    },
    async stop() {
      stopping = true;
      clearInterval(timer);
      await messages?.close();
      if (nats.isUp()) await running;
      await catching;
    },
  };
}

/** Opens the durable, making it when it is not there (first start, wiped server). Throws while the stream does not exist yet. */
async function openMessages(connection: NatsConnection, options: ConsumerOptions): Promise<ConsumerMessages> {
  const stream = streamOf(options.source);
  const durable = `${options.consumer}--${options.source}`;
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

async function pump(messages: ConsumerMessages, options: ConsumerOptions): Promise<void> {
  let waiting: JsMsg[] = [];
  let working: Promise<void> | undefined;
  let lastBatch = 0;
  const drain = async (): Promise<void> => {
    while (waiting.length > 0) {
      // Alone, an event takes effect at once; in a stream of them a little patience makes one transaction of many.
      const rest = lingerMs - (performance.now() - lastBatch);
      if (rest > 0 && waiting.length < batchSize) await new Promise((resolve) => setTimeout(resolve, rest));
      lastBatch = performance.now();
      const batch = waiting.slice(0, batchSize);
      waiting = waiting.slice(batchSize);
      await takeBatch(batch, options);
    }
    working = undefined;
  };
  for await (const message of messages) {
    waiting.push(message);
    working ??= drain().catch((error: unknown) => {
      working = undefined;
      options.logger.error({ err: error, source: options.source }, 'event batch failed');
    });
  }
  await working;
}

async function takeBatch(batch: readonly JsMsg[], options: ConsumerOptions): Promise<void> {
  const events = batch.map((message) => readEvent(options.source, message));
  const good: { message: JsMsg; event: Event }[] = [];
  for (const [index, event] of events.entries()) {
    if (event === undefined) {
      // Nobody of ours wrote this: it has no course to park, so it is only counted.
      options.logger.error({ subject: batch[index]!.subject }, 'message is not an event; dropped');
      outcomes.inc({ source: options.source, outcome: 'unreadable' });
      batch[index]!.term();
    } else good.push({ message: batch[index]!, event });
  }
  try {
    await inEventSpan(
      good.map(({ event }) => event),
      options,
      () => options.inbox.apply(good.map(({ event }) => event)).then((results) => settle(good, results, options)),
    );
  } catch {
    // One of them failed and took the others' transaction with it: each by itself, so that the culprit shows.
    for (const one of good) await takeOne(one, options);
  }
}

async function takeOne(one: { message: JsMsg; event: Event }, options: ConsumerOptions): Promise<void> {
  const { message, event } = one;
  try {
    await inEventSpan([event], options, async () => settle([one], await options.inbox.apply([event]), options));
  } catch (error) {
    const tries = message.info.deliveryCount;
    if (isPoison(error) && tries >= triesBeforeBurial) {
      options.logger.error(
        { err: error, source: options.source, type: event.type, seq: event.seq, courseId: event.courseId },
        'event buried; its course is parked',
      );
      const buried = await options.inbox.bury(event, String(error)).then(
        () => true,
        () => false,
      );
      if (buried) {
        outcomes.inc({ source: options.source, outcome: 'buried' });
        message.ack();
        return;
      }
    }
    // backoff in the consumer's settings governs ack timeouts only: the delay is told with each nak.
    message.nak(Math.min(100 * 2 ** Math.min(tries, 7), 10_000));
  }
}

async function settle(
  batch: readonly { message: JsMsg; event: Event }[],
  results: readonly string[],
  options: ConsumerOptions,
): Promise<void> {
  const gaps = new Set<string>();
  for (const [index, { event }] of batch.entries()) {
    outcomes.inc({ source: options.source, outcome: results[index]! });
    if (results[index] === 'gap') gaps.add(event.courseId);
    else if (results[index] === 'applied')
      effectDelay.observe({ source: options.source, type: event.type }, (Date.now() - event.at.getTime()) / 1000);
  }
  for (const courseId of gaps) await options.inbox.catchUp(courseId);
  for (const { message } of batch) message.ack();
}

function inEventSpan<T>(events: readonly Event[], options: ConsumerOptions, work: () => Promise<T>): Promise<T> {
  const [first] = events;
  if (first === undefined) return work();
  // A batch runs once: it hangs below the trace of its first event and links the others.
  const links = events.slice(1).flatMap((event) => {
    const [, traceId, spanId] = event.traceparent?.split('-') ?? [];
    return traceId && spanId ? [{ context: { traceId, spanId, traceFlags: 1 } }] : [];
  });
  return inSpan(
    `process ${options.source}.${first.type}`,
    {
      kind: SpanKind.CONSUMER,
      links,
      attributes: {
        'messaging.system.name': 'nats',
        'messaging.operation.type': 'process',
        'messaging.consumer.group.name': options.consumer,
        'messaging.batch.message_count': events.length,
      },
    },
    work,
    contextFrom(first.traceparent),
  );
}

/** Reads a CloudEvent in binary mode; undefined when it is none of ours. */
export function readEvent(source: string, message: Pick<JsMsg, 'headers' | 'string' | 'subject'>): Event | undefined {
  const header = (name: string): string => message.headers?.get(name) ?? '';
  const seq = Number(header('ce-courseseq'));
  const at = new Date(header('ce-time'));
  const [, , from, type, courseId] = message.subject.split('.');
  if (
    from !== source ||
    !type ||
    !courseId ||
    header('ce-id') === '' ||
    !Number.isSafeInteger(seq) ||
    seq < 1 ||
    Number.isNaN(at.getTime())
  )
    return undefined;
  try {
    const data = JSON.parse(message.string()) as Record<string, unknown>;
    const traceparent = header('traceparent');
    return {
      id: header('ce-id'),
      source,
      type,
      courseId,
      seq,
      epoch: header('ce-epoch'),
      at,
      data,
      ...(traceparent ? { traceparent } : {}),
    };
  } catch {
    return undefined;
  }
}
