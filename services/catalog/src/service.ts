import { openCache } from '@coursewright/platform/cache';
import { newId } from '@coursewright/platform/ids';
import { createOutbox, eventSourceService } from '@coursewright/platform/outbox';
import { requestService } from '@coursewright/platform/requests';
import type { Part } from '@coursewright/platform/run';
import { createBase, serviceParts } from '@coursewright/platform/service';
import { openDatabase, type TxSql } from '@coursewright/platform/sql';
import type { CatalogConfig } from './config.js';
import { reviewEvents } from './consumers/review-events.js';
import { versioningEvents } from './consumers/versioning-events.js';
import { catalogState } from './domain/events.js';
import type { Deps } from './operations/ports.js';
import { pruneKeys } from './operations/claim-key.js';
import { sweepIntents } from './operations/sweep-intents.js';
import { catalogService } from './rpc/catalog-service.js';
import { repositories } from './rpc/repositories.js';
import { cardRows } from './store/card-rows.js';
import { deletionRows } from './store/deletion-rows.js';
import { intentRows } from './store/intent-rows.js';
import { keyRows } from './store/key-rows.js';
import { projectionRows } from './store/projection-rows.js';
import { registryRows } from './store/registry-rows.js';
import { eventConsumers, keyAskers } from './rpc/callers.js';

/** Wires the catalog. Nothing runs before its parts are started. */
export async function createService(config: CatalogConfig): Promise<Part[]> {
  const base = await createBase(config.name, config);
  const database = openDatabase({ url: config.databaseUrl, applicationName: config.name });
  const outbox = createOutbox();
  const cache = openCache(config.redisUrl, config.name, base.logger, { database });
  const versioning = base.channel('versioning', config.versioningAddress);
  const review = base.channel('review', config.reviewAddress);
  const deps: Deps = {
    database,
    outbox,
    cache,
    registry: registryRows,
    intents: intentRows,
    keys: keyRows,
    deletions: deletionRows,
    projection: projectionRows,
    cards: cardRows(database),
    repositories: repositories(versioning, base.minter),
    logger: base.logger,
    now: () => new Date(),
    newId,
  };
  return serviceParts<TxSql>(base, {
    database,
    pool: database.pool,
    outbox,
    services: [
      catalogService(deps),
      eventSourceService(
        database,
        async (sql, courseId) => {
          const course = await registryRows.find(sql, courseId);
          return course && catalogState(course);
        },
        eventConsumers,
      ),
      requestService(
        database,
        keyAskers,
        async (sql, actor, key) => (await intentRows.findOpen(sql, actor, key)) !== undefined,
      ),
    ],
    subscriptions: [
      { subscription: versioningEvents(deps), channel: versioning },
      { subscription: reviewEvents(deps), channel: review },
    ],
    checks: [{ name: 'redis', required: false, isUp: () => cache.isUp() }],
    parts: [{ name: 'cache', stop: () => cache.close() }, sweeper(deps)],
  });
}

const sweepMs = 1_000;

/** Looks for interrupted courses and for keys that are bound no longer, once a second, one sweep at a time. */
function sweeper(deps: Deps): Part {
  let timer: NodeJS.Timeout | undefined;
  let sweeping: Promise<unknown> | undefined;
  const sweep = (): void => {
    sweeping ??= Promise.all([sweepIntents(deps), pruneKeys(deps)])
      .catch((error: unknown) => deps.logger.warn({ reason: String(error) }, 'sweep failed'))
      .finally(() => (sweeping = undefined));
  };
  return {
    name: 'sweeper',
    start: async () => void (timer = setInterval(sweep, sweepMs)),
    async stop() {
      clearInterval(timer);
      await sweeping;
    },
  };
}
