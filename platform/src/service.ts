import { EventSourceServiceDefinition } from '@coursewright/proto/coursewright/common/v1/event_source';
import type pg from 'pg';
import type { ServiceConfig } from './config.js';
import { createConsumer } from './consume.js';
import { createInbox, type DatabaseOf, type Inbox, type Subscription } from './inbox.js';
import { createTokenMinter, createTokenVerifier, type TokenMinter } from './internal-token.js';
import { createLogger, type Logger } from './logger.js';
import { collectProcessMetrics } from './metrics.js';
import { openNats } from './nats.js';
import { opsServer, type Check, type OpsCommand } from './ops.js';
import type { Outbox } from './outbox.js';
import { createRelay, pruneOutbox } from './relay.js';
import { expireRequests } from './requests.js';
import { openChannel, type Channel } from './rpc-client.js';
import { createRpcServer, type Served } from './rpc-server.js';
import type { Part } from './run.js';
import type { Database, TxSql } from './sql.js';
import { startTelemetry } from './telemetry.js';

/** What every service needs before it can be wired. */
export interface Base {
  readonly name: string;
  readonly config: ServiceConfig;
  readonly logger: Logger;
  readonly minter: TokenMinter;
  /** A channel to another service, closed with the process. */
  channel(peer: string, address: string): Channel;
  readonly channels: readonly Channel[];
}

/** Logger, keys, trace context and channels: first thing in a service's composition root. */
export async function createBase(name: string, config: ServiceConfig): Promise<Base> {
  const channels: Channel[] = [];
  return {
    name,
    config,
    logger: createLogger(name, config.logLevel),
    minter: await createTokenMinter(config.tokenKey),
    channels,
    channel(peer, address) {
      const channel = openChannel(peer, address);
      channels.push(channel);
      return channel;
    },
  };
}

export interface Wiring<S extends TxSql> {
  readonly database: Pick<Database, 'rows' | 'ping' | 'close'> & DatabaseOf<S>;
  readonly pool: pg.Pool;
  readonly outbox: Outbox;
  readonly services: readonly Served[];
  /** Events of other services that have an effect here, with the channel to ask their source. */
  readonly subscriptions?: readonly { readonly subscription: Subscription<S>; readonly channel: Channel }[];
  /** Empties the projections; with it the service offers the command `rebuild`. */
  readonly resetProjections?: (sql: S) => Promise<void>;
  readonly checks?: readonly Check[];
  readonly commands?: Readonly<Record<string, OpsCommand>>;
  /** Started after the database answers and before calls are taken. */
  readonly parts?: readonly Part[];
}

const housekeepingMs = 10 * 60 * 1000;

/**
 * The parts of a service in the order they start: telemetry, database, ops, own parts, relay, consumers, and the gRPC port last;
 * stopped the other way round, so intake ends before work does.
 */
export function serviceParts<S extends TxSql>(base: Base, wiring: Wiring<S>): Part[] {
  const { config, logger, name } = base;
  const nats = openNats(config.natsUrl, name, logger);
  const relay = createRelay({ source: name, pool: wiring.pool, outbox: wiring.outbox, nats, logger });
  const inboxes = new Map<string, Inbox>();
  const consumers = (wiring.subscriptions ?? []).map(({ subscription, channel }) => {
    const client = channel.client(EventSourceServiceDefinition);
    const inbox = createInbox(wiring.database, subscription, { client, token: () => base.minter.mintOwn() });
    inboxes.set(subscription.source, inbox);
    return createConsumer({ consumer: name, source: subscription.source, inbox, nats, logger });
  });
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
    ...(wiring.checks ?? []),
  ];
  let telemetry: Awaited<ReturnType<typeof startTelemetry>> | undefined;
  let timer: NodeJS.Timeout | undefined;
  const housekeep = (): void => {
    Promise.all([expireRequests(wiring.database), pruneOutbox(wiring.pool)]).catch((error: unknown) =>
      logger.warn({ err: error }, 'housekeeping failed'),
    );
  };
  return [
    {
      name: 'telemetry',
      async start() {
        collectProcessMetrics(name, config.memoryLimitMib);
        telemetry = await startTelemetry(name, config.otlpEndpoint);
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
      commands: { ...inboxCommands(wiring, inboxes), ...wiring.commands },
    }),
    ...(wiring.parts ?? []),
    { name: 'nats', stop: () => nats.close() },
    { name: 'relay', start: () => relay.start(), stop: () => relay.stop() },
    ...consumers.map((consumer, index) => ({
      name: `consumer ${index}`,
      start: () => consumer.start(),
      stop: () => consumer.stop(),
    })),
    {
      name: 'housekeeping',
      start: async () => void (timer = setInterval(housekeep, housekeepingMs)),
      stop: async () => clearInterval(timer),
    },
    { name: 'rpc', start: () => rpc.start(), stop: () => rpc.stop() },
  ];
}

/** Commands over the inboxes: dead-letters, replay?source=&course=, catch-up, and rebuild where there are projections. */
function inboxCommands<S extends TxSql>(
  wiring: Wiring<S>,
  inboxes: ReadonlyMap<string, Inbox>,
): Record<string, OpsCommand> {
  const deadLetters = {
    name: 'dead_letter_list',
    text: 'SELECT id, source, course_id, seq, type, reason, created_at FROM dead_letter WHERE resolved_at IS NULL ORDER BY created_at LIMIT 200',
  };
  const catchUp = async (): Promise<Record<string, number>> => {
    const counts: Record<string, number> = {};
    for (const [source, inbox] of inboxes) counts[source] = await inbox.catchUpAll();
    return counts;
  };
  const commands: Record<string, OpsCommand> = {
    'dead-letters': async () => ({ items: await wiring.database.rows(deadLetters) }),
    replay: async (query) => {
      const inbox = inboxes.get(query.get('source') ?? '');
      if (inbox === undefined) return { replayed: false, reason: 'unknown source' };
      await inbox.replay(query.get('course') ?? '');
      return { replayed: true };
    },
    'catch-up': catchUp,
  };
  const reset = wiring.resetProjections;
  if (reset !== undefined) {
    commands['rebuild'] = async () => {
      await wiring.database.tx(async (sql) => {
        // Inbox rows first, as consumers lock them, so that a rebuild and a batch cannot wait for each other.
        for (const inbox of inboxes.values()) await inbox.forget(sql);
        await reset(sql);
      });
      return { rebuilt: await catchUp() };
    };
  }
  return commands;
}
