import { openCache } from '@coursewright/platform/cache';
import { newId } from '@coursewright/platform/ids';
import { createOutbox, eventSourceService } from '@coursewright/platform/outbox';
import { requestService } from '@coursewright/platform/requests';
import type { Lease, Leases, Share } from '@coursewright/platform/leases';
import type { Part } from '@coursewright/platform/run';
import { createBase, serviceParts, subscribe } from '@coursewright/platform/service';
import { sleepUnless } from '@coursewright/platform/sleep';
import { openDatabase } from '@coursewright/platform/sql';
import type { CatalogConfig } from './config.js';
import { reviewEvents } from './consumers/review-events.js';
import { versioningEvents } from './consumers/versioning-events.js';
import { cardForm } from './domain/card.js';
import { catalogState } from './domain/events.js';
import type { Deps } from './operations/ports.js';
import { pruneKeys } from './operations/claim-key.js';
import { cardRefresher } from './operations/refresh-cards.js';
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
  const leases = base.leases();
  const cache = openCache(config.redisUrl, config.name, base.logger, { database, leases });
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
  return serviceParts(base, {
    database,
    pool: database.pool,
    outbox,
    leases,
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
      subscribe(database, versioningEvents(deps), versioning),
      subscribe(database, reviewEvents(deps), review),
    ],
    checks: [{ name: 'redis', required: false, isUp: () => cache.isUp() }],
    parts: [{ name: 'cache', stop: () => cache.close() }, sweeper(deps, leases)],
  });
}

const sweepPauseMs = 1_000;
const due = {
  intents: `EXISTS (SELECT FROM course_intent WHERE state = 'open' AND lease_until < now())`,
  old_intents: `EXISTS (SELECT FROM course_intent WHERE closed_at < now() - interval '7 days')`,
  deletions: 'EXISTS (SELECT FROM deletion_intent WHERE lease_until < now())',
  keys: 'EXISTS (SELECT FROM key_claim WHERE expires_at < now())',
  cards: `EXISTS (SELECT FROM course_card WHERE (shown->>'form') IS DISTINCT FROM '${cardForm}')`,
};

/** Finishes interrupted courses, drops keys that are bound no longer and makes old cards anew, at one replica at a time, when the heartbeat says that there are some. */
function sweeper(deps: Deps, leases: Leases): Part {
  const refreshCards = cardRefresher(deps);
  let isDue = false;
  let share: Share | undefined;
  for (const [name, sql] of Object.entries(due))
    leases.ask({ name, sql, onAnswer: (isTrue) => void (isDue ||= isTrue) });
  const sweep = async (lease: Lease): Promise<void> => {
    for (; lease.isHeld(); await sleepUnless(lease.signal, sweepPauseMs)) {
      if (!isDue) continue;
      isDue = false;
      await Promise.all([sweepIntents(deps), pruneKeys(deps), refreshCards()]).catch((error: unknown) =>
        deps.logger.warn({ reason: String(error) }, 'sweep failed'),
      );
    }
  };
  return {
    name: 'sweeper',
    start: async () => void (share = leases.share(['sweeper'], sweep)),
    stop: async () => share?.stop(),
  };
}
