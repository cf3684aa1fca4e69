import { EventSourceServiceDefinition } from '@coursewright/proto/coursewright/common/v1/event_source';
import type pg from 'pg';
import type { ServiceConfig } from './config.js';
import { createConsumer } from './consume.js';
import { commonPrunings, housekeeping } from './housekeeping.js';
import { createInbox, type EventSource, type Inbox } from './inbox.js';
import { inboxCommands } from './inbox-commands.js';
import { createTokenMinter, createTokenVerifier, type TokenMinter } from './internal-token.js';
import { createLogger, type Logger } from './logger.js';
import { collectProcessMetrics } from './metrics.js';
import { openNats } from './nats.js';
import { opsServer, type Check, type OpsCommand } from './ops.js';
import type { Outbox } from './outbox.js';
import { createLeases, type Leases } from './leases.js';
import { createRelay } from './relay.js';
import { openChannel, type Channel } from './rpc-client.js';
import { createRpcServer, type Served } from './rpc-server.js';
import type { Part } from './run.js';
import { openPool, type Database, type DatabaseOf, type TxSql } from './sql.js';
import type { Subscription } from './subscription.js';
import { startTelemetry } from './telemetry.js';

/** What every service needs before it can be wired. */
export interface Base {
  readonly name: string;
  /** Which of its replicas this process is. */
  readonly instance: string;
  readonly config: ServiceConfig;
  readonly logger: Logger;
  readonly minter: TokenMinter;
  /** A channel to all replicas of another service, closed with the process. */
  channel(peer: string, addresses: string): Channel;
  readonly channels: readonly Channel[];
  /** What only one replica may do at a time, and what the database is asked with each heartbeat. */
  leases(): Leases;
}

/** Logger, keys, trace context and channels: first thing in a service's composition root. */
export async function createBase(name: string, config: ServiceConfig): Promise<Base> {
  const channels: Channel[] = [];
  const instance = config.instance ?? name;
  const logger = createLogger(name, config.logLevel, instance);
  return {
    name,
    instance,
    config,
    logger,
    leases() {
      // A connection of its own: where all others wait for one lock, what this replica holds would be lost for want of a heartbeat.
      const pool = openPool({ url: config.databaseUrl, maxConnections: 1, applicationName: `${name} leases` });
      return createLeases({ pool, replica: instance, logger, onStopped: () => pool.end() });
    },
    minter: await createTokenMinter(config.tokenKey),
    channels,
    channel(peer, addresses) {
      const channel = openChannel(peer, addresses);
      channels.push(channel);
      return channel;
    },
  };
}

/** A subscription with the database that it writes to, and the channel to ask its source. */
export interface Subscribed {
  readonly source: string;
  readonly channel: Channel;
  readonly openInbox: (source: EventSource) => Inbox;
}

/** Any adapter of the database will do, whichever the rest of the service has: effects need no more than its transactions. */
export function subscribe<S extends TxSql>(
  database: DatabaseOf<S>,
  subscription: Subscription<S>,
  channel: Channel,
): Subscribed {
  const { source } = subscription;
  return { source, channel, openInbox: (from) => createInbox(database, subscription, from) };
}

export interface Wiring {
  readonly database: Omit<Database, 'tx'>;
  readonly pool: pg.Pool;
  readonly outbox: Outbox;
  readonly leases: Leases;
  readonly services: readonly Served[];
  /** Events of other services that have an effect here. */
  readonly subscriptions?: readonly Subscribed[];
  readonly checks?: readonly Check[];
  readonly commands?: Readonly<Record<string, OpsCommand>>;
  /** Started after the database answers and before calls are taken. */
  readonly parts?: readonly Part[];
}

/**
 * The parts of a service in the order they start: telemetry, database, ops, own parts, relay, consumers, and the gRPC port last;
 * stopped the other way round, so intake ends before work does.
 */
export function serviceParts(base: Base, wiring: Wiring): Part[] {
  const { config, logger, name } = base;
  const nats = openNats(config.natsUrl, name, logger);
  const { leases, outbox, pool } = wiring;
  const relay = createRelay({ source: name, pool, outbox, nats, leases, logger });
  const inboxes = new Map<string, Inbox>();
  const consumers = (wiring.subscriptions ?? []).map(({ source, channel, openInbox }) => {
    const client = channel.client(EventSourceServiceDefinition);
    const inbox = openInbox({ client, token: () => base.minter.mintOwn() });
    inboxes.set(source, inbox);
    return createConsumer({ consumer: name, source, inbox, nats, leases, logger });
  });
  const housekeeper = housekeeping(wiring.database, { prunings: commonPrunings, leases, logger });
  const rpc = createRpcServer({
    host: config.host,
    port: config.port,
    services: wiring.services,
    verifier: createTokenVerifier(config.tokenKeys),
    logger,
  });
  const checks: Check[] = [
    { name: 'postgres', required: true, isUp: () => wiring.database.ping().then(() => true) },
    { name: 'nats', required: false, isUp: () => nats.isUp() },
    // Events leave and arrive: the stream is there, nothing waits too long, every consumer follows its source.
    {
      name: 'events',
      required: false,
      isUp: () => relay.isWell() && consumers.every((consumer) => consumer.isFollowing()),
    },
    ...(wiring.checks ?? []),
  ];
  let telemetry: Awaited<ReturnType<typeof startTelemetry>> | undefined;
  return [
    {
      name: 'telemetry',
      async start() {
        collectProcessMetrics(name, config.memoryLimitMib);
        telemetry = await startTelemetry(name, config.otlpEndpoint, base.instance);
      },
      stop: async () => telemetry?.stop(),
    },
    { name: 'database', start: () => wiring.database.ping(), stop: () => wiring.database.close() },
    { name: 'channels', stop: async () => base.channels.forEach((channel) => channel.close()) },
    opsServer({
      host: config.host,
      port: config.opsPort,
      checks,
      token: config.opsToken,
      commands: { ...inboxCommands(wiring.database, inboxes), ...wiring.commands },
    }),
    ...(wiring.parts ?? []),
    { name: 'nats', stop: () => nats.close() },
    leases,
    { name: 'relay', start: () => relay.start(), stop: () => relay.stop() },
    ...consumers.map((consumer, index) => ({
      name: `consumer ${index}`,
      start: () => consumer.start(),
      stop: () => consumer.stop(),
    })),
    housekeeper,
    { name: 'rpc', start: () => rpc.start(), stop: () => rpc.stop() },
  ];
}
