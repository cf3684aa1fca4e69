import { ReviewState } from '@coursewright/proto/coursewright/review/v1/review';
import { createOutbox, eventSourceService } from '@coursewright/platform/outbox';
import { requestService } from '@coursewright/platform/requests';
import type { Part } from '@coursewright/platform/run';
import { createBase, serviceParts, subscribe } from '@coursewright/platform/service';
import { databaseOn } from '@coursewright/platform/sql';
import type { ReviewConfig } from './config.js';
import { versioningEvents } from './consumers/versioning-events.js';
import { readReviewState } from './operations/get-review-state.js';
import { reviewService } from './rpc/review-service.js';
import { openReviewDatabase } from './store/client.js';
import { headRows, reviewRows } from './store/review-rows.js';
import { eventConsumers, keyAskers } from './rpc/callers.js';

/** Wires review. Nothing runs before its parts are started. */
export async function createService(config: ReviewConfig): Promise<Part[]> {
  const base = await createBase(config.name, config);
  const { database, pool } = openReviewDatabase(config.databaseUrl, config.name);
  const versioning = base.channel('versioning', config.versioningAddress);
  return serviceParts(base, {
    database,
    pool,
    outbox: createOutbox(),
    leases: base.leases(),
    services: [
      reviewService({ reviews: reviewRows, sql: database }),
      eventSourceService(
        database,
        async (sql, courseId) =>
          ReviewState.toJSON(
            ReviewState.fromPartial(await readReviewState({ reviews: reviewRows, sql }, courseId)),
          ) as Record<string, unknown>,
        eventConsumers,
      ),
      requestService(database, keyAskers),
    ],
    subscriptions: [subscribe(databaseOn(pool), versioningEvents(headRows), versioning)],
  });
}
