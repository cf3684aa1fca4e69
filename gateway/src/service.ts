import { createTokenMinter } from '@coursewright/platform/internal-token';
import type { Logger } from '@coursewright/platform/logger';
import { openNats } from '@coursewright/platform/nats';
import { opsServer } from '@coursewright/platform/ops';
import { openChannel } from '@coursewright/platform/rpc-client';
import type { Part } from '@coursewright/platform/run';
import { startTelemetry } from '@coursewright/platform/telemetry';
import { createAccesses } from './auth/access.js';
import { createAuthenticator } from './auth/bearer.js';
import { createHomes } from './auth/homes.js';
import { watchCatalog } from './auth/watch-catalog.js';
import type { GatewayConfig } from './config.js';
import { createApp } from './http/app.js';
import { createCursors } from './http/cursor.js';
import { createKeys } from './http/idempotency.js';
import { createIntake, intakeLimits } from './http/intake.js';
import { httpServer, type HttpServer } from './http/server.js';
import { createJoinedReads } from './joined-reads.js';
import { createPeers } from './peers.js';
import { createReviewStates } from './review-states.js';
import { createRoutes } from './routes/table.js';

/** The gateway, wired; its parts are in the order they start. */
export interface Gateway {
  readonly parts: readonly Part[];
  readonly http: HttpServer;
  readonly ops: { port(): number };
}

/** Wires the gateway by hand. */
export async function createGateway(config: GatewayConfig, logger: Logger): Promise<Gateway> {
  const minter = await createTokenMinter(config.tokenKey);
  const channels = {
    catalog: openChannel('catalog', config.addresses.catalog),
    content: openChannel('content', config.addresses.content),
    review: openChannel('review', config.addresses.review),
    versioning: openChannel('versioning', config.addresses.versioning),
  };
  const peers = createPeers(channels);
  const accesses = createAccesses(peers, minter);
  const nats = openNats(config.natsUrl, 'gateway', logger);
  watchCatalog(nats, accesses, logger);
  // The services' health is their own: a gateway that is taken out because one of them is away helps nobody.
  const checks = [
    { name: 'intake', required: true, isUp: () => !http.isStopping() },
    { name: 'nats', required: false, isUp: () => nats.isUp() },
  ];
  const app = createApp({
    routes: createRoutes(config.publicUrl),
    parts: {
      peers,
      accesses,
      minter,
      homes: createHomes(peers, minter),
      reviews: createReviewStates(peers),
      courses: createJoinedReads(),
      cursors: createCursors(config.cursorKey),
      publicUrl: config.publicUrl,
    },
    authenticator: createAuthenticator(config.auth),
    importBytes: config.limits.importBytes,
    intake: createIntake({ ...intakeLimits, ...config.limits }),
    keys: createKeys(peers, minter),
    checks,
    secure: config.publicUrl.startsWith('https:'),
    logger,
  });
  const http = httpServer(app, config);
  const ops = opsServer({ host: config.host, port: config.opsPort, checks });
  if (config.auth.development) logger.warn('tokens of the development issuer are accepted');
  return { http, ops, parts: [...telemetryParts(config), ...connectionParts(channels, nats), ops, http] };
}

function telemetryParts(config: GatewayConfig): Part[] {
  let telemetry: Awaited<ReturnType<typeof startTelemetry>> | undefined;
  return [
    {
      name: 'telemetry',
      start: async () => void (telemetry = await startTelemetry('gateway', config.otlpEndpoint, config.instance)),
      stop: async () => telemetry?.stop(),
    },
  ];
}

function connectionParts(
  channels: Readonly<Record<string, { close(): void }>>,
  nats: { close(): Promise<void> },
): Part[] {
  return [
    { name: 'channels', stop: async () => Object.values(channels).forEach((channel) => channel.close()) },
    { name: 'nats', stop: () => nats.close() },
  ];
}
