import type { JsMsg } from '@nats-io/jetstream';
import type { Event } from './event.js';
import { isId } from './ids.js';
import type { Inbox } from './inbox.js';
import { EffectError, type Outcome } from './inbox-effects.js';
import type { Lease } from './leases.js';
import type { Logger } from './logger.js';
import { counter, latency } from './metrics.js';
import { partitionOf } from './partitions.js';
import { contextFrom, inSpan, SpanKind } from './telemetry.js';

export interface BatchOptions {
  /** The service that listens; with the source it names the durable. */
  readonly consumer: string;
  readonly source: string;
  readonly inbox: Inbox;
  readonly logger: Logger;
}

interface Waiting {
  readonly message: JsMsg;
  /** Of the partition that it came from. */
  readonly lease: Lease;
}

interface Delivered {
  readonly message: JsMsg;
  readonly event: Event;
}

/** Makes batches of what the partitions of a source bring. */
export interface Batcher {
  push(message: JsMsg, lease: Lease): void;
  /** Resolves once nothing that came under a lease is under way any more. */
  idle(lease: Lease): Promise<void>;
}

const batchSize = 100;
const lingerMs = { least: 10, most: 100 };
/** Quicker than this no batch is: one that was had nothing to do, as when its leases had gone or the database was away, and tells nothing. */
const quickestMs = 2;
/** By so much the quickest batch is forgotten with each other one: half of it in some minutes of a busy stream. */
const forgetting = 1.0002;
const effectDelay = latency('event_effect_delay_seconds', 'Time from an event to its effect', ['source', 'type']);
const outcomes = counter('event_outcomes_total', 'What became of delivered events', ['source', 'outcome']);

/**
 * From the beginning of one batch to that of the next while events stream: twice what a batch takes, and longer by as much as it took
 * longer than the quickest one. That tells how busy machine and database are: with time to spare a consumer goes soon to what has come (4
 * and at best 4 ms: 10 ms), without it makes fewer and fuller transactions (16 and at best 4 ms: 100 ms), which cost two replicas
 * little more than one.
 */
export function createLinger(): (tookMs: number) => number {
  let quickest = Infinity;
  return (took) => {
    quickest = Math.max(Math.min(took, quickest * forgetting), quickestMs);
    return Math.min(Math.max((2 * took * took) / quickest, lingerMs.least), lingerMs.most);
  };
}

/** Messages of all partitions that this process holds share transactions. Those of a lease that is held no longer go back at once. */
export function createBatcher(options: BatchOptions): Batcher {
  let waiting: Waiting[] = [];
  let under: readonly Waiting[] = [];
  let working: Promise<void> | undefined;
  let lastBatch = 0;
  const lingerAfter = createLinger();
  let linger = lingerMs.least;
  const idlers: { readonly lease: Lease; readonly resolve: () => void }[] = [];
  const isBusyWith = (lease: Lease): boolean => [...waiting, ...under].some((one) => one.lease === lease);
  const releaseIdlers = (): void => {
    for (const idler of idlers.filter(({ lease }) => !isBusyWith(lease))) {
      idlers.splice(idlers.indexOf(idler), 1);
      idler.resolve();
    }
  };
  const drain = async (): Promise<void> => {
    while (waiting.length > 0) {
      // Alone, an event takes effect at once; in a stream of them a little patience makes one transaction of many.
      const rest = linger - (performance.now() - lastBatch);
      if (rest > 0 && waiting.length < batchSize) await new Promise((resolve) => setTimeout(resolve, rest));
      lastBatch = performance.now();
      under = waiting.slice(0, batchSize);
      waiting = waiting.slice(batchSize);
      try {
        const ours = under.filter(({ lease }) => lease.isHeld());
        for (const { message, lease } of under) if (!lease.isHeld()) message.nak();
        await takeBatch(
          ours.map(({ message }) => message),
          options,
        );
      } catch (error) {
        options.logger.error({ err: error, source: options.source }, 'event batch failed');
      }
      under = [];
      linger = lingerAfter(performance.now() - lastBatch);
      releaseIdlers();
    }
    working = undefined;
  };
  return {
    push(message, lease) {
      waiting.push({ message, lease });
      working ??= drain();
    },
    idle: (lease) =>
      isBusyWith(lease) ? new Promise((resolve) => idlers.push({ lease, resolve })) : Promise.resolve(),
  };
}

async function takeBatch(batch: readonly JsMsg[], options: BatchOptions): Promise<void> {
  const good: Delivered[] = [];
  for (const message of batch) {
    const event = readEvent(options.source, message);
    if (event === undefined) {
      // Nobody of ours wrote this: it has no course to park, so it is only counted.
      options.logger.error({ subject: message.subject }, 'message is not an event; dropped');
      outcomes.inc({ source: options.source, outcome: 'unreadable' });
      message.term();
    } else good.push({ message, event });
  }
  try {
    await take(good, options);
  } catch (error) {
    // One was refused and took the others' transaction with it: each by itself, so that the culprit shows.
    if (error instanceof EffectError && good.length > 1) await takeEach(good, options);
    else await putOff(good, error, options);
  }
}

/** Applies together, then fetches what is missing, and acknowledges. Throws what `apply` throws, and nothing that a source does. */
async function take(batch: readonly Delivered[], options: BatchOptions): Promise<void> {
  const events = batch.map(({ event }) => event);
  await inEventSpan(events, options, async () => settle(batch, await options.inbox.apply(events), options));
}

/** One by one, until the same passing trouble has met two of them: then it is not theirs, and the rest waits. */
async function takeEach(batch: readonly Delivered[], options: BatchOptions): Promise<void> {
  let passing = 0;
  for (const [index, one] of batch.entries()) {
    try {
      await take([one], options);
    } catch (error) {
      await putOff([one], error, options);
      if (!(error instanceof EffectError && error.isRefusal)) passing += 1;
      if (passing >= 2) return putOff(batch.slice(index + 1), error, options);
    }
  }
}

/** Lets the broker bring them again later; an event that was refused too often is buried instead. */
async function putOff(batch: readonly Delivered[], error: unknown, options: BatchOptions): Promise<void> {
  for (const { message, event } of batch) {
    if (error instanceof EffectError && error.event === event && (await isBuried(event, error, options))) message.ack();
    else again(message);
  }
}

async function isBuried(event: Event, error: EffectError, { inbox, logger, source }: BatchOptions): Promise<boolean> {
  const buried = await inbox.refused(error).catch(() => false);
  if (buried) {
    const { type, seq, courseId } = event;
    logger.error({ err: error, source, type, seq, courseId }, 'event buried; its course is parked');
    outcomes.inc({ source, outcome: 'buried' });
  }
  return buried;
}

/** backoff in the consumer's settings governs ack timeouts only: the delay is told with each nak. */
function again(message: JsMsg): void {
  message.nak(Math.min(100 * 2 ** Math.min(message.info.deliveryCount, 7), 10_000));
}

async function settle(batch: readonly Delivered[], results: readonly Outcome[], options: BatchOptions): Promise<void> {
  const gaps = new Set<string>();
  for (const [index, { event }] of batch.entries()) {
    outcomes.inc({ source: options.source, outcome: results[index]! });
    if (results[index] === 'gap') gaps.add(event.courseId);
    else if (results[index] === 'applied')
      effectDelay.observe({ source: options.source, type: event.type }, (Date.now() - event.at.getTime()) / 1000);
  }
  const open = await fill(gaps, options);
  for (const [index, { message, event }] of batch.entries()) {
    if (results[index] === 'gap' && open.has(event.courseId)) again(message);
    else message.ack();
  }
}

/** Fetches what courses lack. Resolves to those that still lack it: their events come again, those of others do not wait. */
async function fill(gaps: ReadonlySet<string>, options: BatchOptions): Promise<ReadonlySet<string>> {
  const open = new Set(gaps);
  for (const courseId of gaps) {
    try {
      const result = await options.inbox.catchUp(courseId);
      // Of a course that its source does not know there is nothing to wait for.
      if (result === 'unknown')
        options.logger.warn({ source: options.source, courseId }, 'the source has no such course');
      open.delete(courseId);
    } catch (error) {
      options.logger.warn({ source: options.source, courseId, reason: String(error) }, 'a gap could not be filled yet');
      // The source is away, or the database: for the next course as well.
      if (!(error instanceof EffectError)) break;
    }
  }
  return open;
}

function inEventSpan<T>(events: readonly Event[], options: BatchOptions, work: () => Promise<T>): Promise<T> {
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
  const [, , from, type, partition, courseId] = message.subject.split('.');
  if (
    from !== source ||
    header('ce-source') !== `/coursewright/${source}` ||
    // The server may be told by one service to copy what it publishes to where another does; of copies it says so itself.
    header('Nats-Stream') !== '' ||
    !type ||
    // One that the database would not take holds up all that came with it.
    !courseId ||
    !isId(courseId) ||
    partition !== partitionOf(courseId) ||
    !isId(header('ce-id')) ||
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
