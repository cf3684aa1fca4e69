import {
  jetstreamManager,
  jetstream,
  RetentionPolicy,
  StorageType,
  DiscardPolicy,
  JetStreamApiCodes,
  type JetStreamClient,
  type JetStreamManager,
} from '@nats-io/jetstream';
import { connect, nanos, type ConnectionOptions, type NatsConnection } from '@nats-io/transport-node';
import type { Logger } from './logger.js';
import { partitionOf } from './partitions.js';

/** A connection that comes and goes; nothing in the process waits for it to come up. */
export interface Nats {
  /** Resolves at the first connection. */
  readonly connected: Promise<NatsConnection>;
  isUp(): boolean;
  /** False once the connection has been away for a second: then another replica may have one. */
  isAtHand(): boolean;
  /** Calls back at the first connection and after each reconnect. */
  onUp(listener: () => void): void;
  close(): Promise<void>;
}

/** A server that is started anew is back within this time: then nothing is handed over. */
const awayMs = 1_000;

/** Where to connect and as whom. The client looks for no user in an address. */
function serverOf(url: string, name: string): ConnectionOptions {
  const { protocol, host, username, password } = new URL(url);
  if (username === '') return { servers: url };
  const user = decodeURIComponent(username);
  return {
    servers: `${protocol}//${host}`,
    user,
    pass: decodeURIComponent(password),
    // A service that is a user of its own hears no other inbox than this: what others are answered is not for it.
    ...(user === name ? { inboxPrefix: `_INBOX_${name}` } : {}),
  };
}

/** Connects in the background and never gives up. `url` may name user and password; they are told to nobody but the server. */
export function openNats(url: string, name: string, logger: Logger): Nats {
  let up = false;
  let awaySince = performance.now();
  let closed = false;
  const listeners: (() => void)[] = [];
  const rise = (): void => {
    up = true;
    for (const listener of listeners) listener();
  };
  const connecting = connect({
    ...serverOf(url, name),
    name,
    waitOnFirstConnect: true,
    maxReconnectAttempts: -1,
    // Also when the server knows another password at the moment: it may be the one that is behind.
    ignoreAuthErrorAbort: true,
    reconnectTimeWait: 250,
    reconnectJitter: 100,
    pingInterval: 10_000,
    timeout: 2_000,
  });
  const connected = connecting.then((connection) => {
    if (closed) void connection.close();
    rise();
    void watch(connection, rise, () => {
      if (up && !closed) logger.warn('NATS is away; events wait in the outbox');
      if (up) awaySince = performance.now();
      up = false;
    });
    return connection;
  });
  connected.catch((error: unknown) => logger.error({ err: error }, 'NATS connection failed'));
  return {
    connected,
    isUp: () => up,
    isAtHand: () => up || performance.now() - awaySince < awayMs,
    onUp(listener) {
      listeners.push(listener);
      if (up) listener();
    },
    async close() {
      closed = true;
      if (up) await (await connected).close();
      else connected.then((connection) => connection.close()).catch(() => undefined);
      up = false;
    },
  };
}

async function watch(connection: NatsConnection, rise: () => void, fall: () => void): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type === 'reconnect') rise();
    else if (status.type === 'disconnect' || status.type === 'staleConnection') fall();
  }
  fall();
}

const thirtyDays = 30 * 24 * 3600;

/** The stream that keeps a source's events. */
export function streamOf(source: string): string {
  return `CW_${source.toUpperCase()}`;
}

/** Where one event is published. */
export function subjectOf(source: string, type: string, courseId: string): string {
  return `cw.v1.${source}.${type}.${partitionOf(courseId)}.${courseId}`;
}

/** The events of one partition of a source, whatever their type and course. */
export function partitionSubject(source: string, partition: string): string {
  return `cw.v1.${source}.*.${partition}.*`;
}

/** Where a replica of a service tells the one that publishes of what it enqueued. No stream keeps it. */
export function wakeSubject(source: string): string {
  return `cw.relay.${source}`;
}

export function jetStreamOf(connection: NatsConnection): JetStreamClient {
  return jetstream(connection, { timeout: 2_000 });
}

export function managerOf(connection: NatsConnection): Promise<JetStreamManager> {
  return jetstreamManager(connection, { checkAPI: false, timeout: 2_000 });
}

const apiCodeOf = (error: unknown): unknown => (error as { code?: unknown } | null)?.code;

/** True when the server says that there is no such stream or durable. */
export function isNotThere(error: unknown): boolean {
  const code = apiCodeOf(error);
  return code === JetStreamApiCodes.ConsumerNotFound || code === JetStreamApiCodes.StreamNotFound;
}

const storeFailed = 10_077;

/** True when the server holds a stream that it can no longer write to: its files are gone. A stream or a disk that is full is none. */
export function isDamaged(error: unknown): boolean {
  if (apiCodeOf(error) !== storeFailed) return false;
  return !/maximum|insufficient|no space/i.test((error as Error).message);
}

/** Makes the stream of a source, or brings an older one up to date. Only the source itself calls it. */
export async function ensureStream(connection: NatsConnection, source: string): Promise<void> {
  const manager = await managerOf(connection);
  const name = streamOf(source);
  const config = {
    subjects: [`cw.v1.${source}.>`],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    // A full stream holds events back in the outbox instead of dropping old ones.
    discard: DiscardPolicy.New,
    max_age: nanos(thirtyDays * 1000),
    duplicate_window: nanos(10 * 60 * 1000),
  };
  if (await hasStream(connection, source)) await manager.streams.update(name, config);
  else await manager.streams.add({ name, ...config });
}

/** Puts an empty stream in place of a damaged one. Consumers see that theirs is gone, and ask the source for what was in it. */
export async function remakeStream(connection: NatsConnection, source: string): Promise<void> {
  const manager = await managerOf(connection);
  await manager.streams.delete(streamOf(source)).catch((error: unknown) => {
    if (!isNotThere(error)) throw error;
  });
  await ensureStream(connection, source);
}

/** Whether the stream of a source is there. Throws when the server does not say. */
export async function hasStream(connection: NatsConnection, source: string): Promise<boolean> {
  const manager = await managerOf(connection);
  return manager.streams.info(streamOf(source)).then(
    () => true,
    (error: unknown) => {
      if (isNotThere(error)) return false;
      throw error;
    },
  );
}
