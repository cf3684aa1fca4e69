import { AckPolicy, DeliverPolicy, type ConsumerInfo, type ConsumerMessages } from '@nats-io/jetstream';
import { nanos, type NatsConnection } from '@nats-io/transport-node';
import { isNotThere, jetStreamOf, managerOf, partitionSubject, streamOf } from './nats.js';

interface Reader {
  readonly consumer: string;
  readonly source: string;
}

const looksWithoutProgress = 3;

/** The durable by which a consumer reads one partition of a source. */
export function durableOf({ consumer, source }: Reader, partition: string): string {
  return `${consumer}--${source}--${partition}`;
}

/**
 * Opens the durable of a partition, making it when it is not there (first start, restarted or wiped server). With `takeOver` it is made anew: what the
 * last holder had asked for would else go to that one for as long as it is only paused. A new durable begins with what is published from
 * now on; all before is the source's to tell. Throws while the stream does not exist yet.
 */
export async function openDurable(
  connection: NatsConnection,
  options: Reader & { readonly partition: string; readonly takeOver: boolean },
): Promise<ConsumerMessages> {
  const stream = streamOf(options.source);
  const durable = durableOf(options, options.partition);
  const manager = await managerOf(connection);
  if (options.takeOver)
    await manager.consumers.delete(stream, durable).catch((error: unknown) => {
      if (!isNotThere(error)) throw error;
    });
  await manager.consumers.add(stream, {
    durable_name: durable,
    filter_subject: partitionSubject(options.source, options.partition),
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.New,
    ack_wait: nanos(30_000),
    max_ack_pending: 1_000,
    max_deliver: -1,
    // Where it stands is in the inbox: written to disk at each acknowledgement, it made saves in many courses a quarter slower. A server that restarts has lost it.
    mem_storage: true,
  });
  const consumer = await jetStreamOf(connection).consumers.get(stream, durable);
  return consumer.consume({ max_messages: 100, expires: 30_000, idle_heartbeat: 5_000 });
}

/** What is read by a durable, as far as it matters for whether it still brings anything. */
interface Read {
  readonly received: number;
  readonly messages: ConsumerMessages | undefined;
}

/** When each was made, and how often in a row it held messages and brought none. */
const seen = new WeakMap<ConsumerMessages, { made: string; received: number; idleLooks: number }>();

/** Of what is read, that whose durable is gone, is another one than before, or holds messages and brings none. By partition. */
export async function lookAtDurables<T extends Read>(
  connection: NatsConnection,
  reader: Reader,
  open: ReadonlyMap<string, T>,
): Promise<readonly T[]> {
  const infos = await infosOf(connection, streamOf(reader.source));
  return [...open].flatMap(([partition, read]) => {
    const { messages, received } = read;
    const info = infos?.get(durableOf(reader, partition));
    if (messages === undefined) return [];
    if (info === undefined) return [read];
    const before = seen.get(messages);
    const rests = info.num_pending > 0 && info.num_ack_pending === 0 && received === before?.received;
    const idleLooks = rests ? (before?.idleLooks ?? 0) + 1 : 0;
    seen.set(messages, { made: info.created, received, idleLooks });
    const isAnother = before !== undefined && before.made !== info.created;
    return isAnother || idleLooks >= looksWithoutProgress ? [read] : [];
  });
}

/** All durables of a stream by name; undefined when there is no such stream. */
async function infosOf(
  connection: NatsConnection,
  stream: string,
): Promise<ReadonlyMap<string, ConsumerInfo> | undefined> {
  const manager = await managerOf(connection);
  const infos = new Map<string, ConsumerInfo>();
  try {
    for await (const info of manager.consumers.list(stream)) infos.set(info.name, info);
  } catch (error) {
    if (isNotThere(error)) return undefined;
    throw error;
  }
  return infos;
}
