import { VersioningServiceDefinition } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { newId } from '@coursewright/platform/ids';
import { createOutbox, eventSourceService } from '@coursewright/platform/outbox';
import { requestService } from '@coursewright/platform/requests';
import { serve } from '@coursewright/platform/rpc-server';
import type { Part } from '@coursewright/platform/run';
import { createBase, serviceParts } from '@coursewright/platform/service';
import type { Logger } from '@coursewright/platform/logger';
import { openDatabase } from '@coursewright/platform/sql';
import type { Config } from './config.js';
import { readState } from './operations/course-state.js';
import type { Deps } from './operations/ports.js';
import { createContentClient } from './rpc/content-client.js';
import { opsCommands } from './ops-commands.js';
import { historyRoutes } from './rpc/history-routes.js';
import { treeRoutes } from './rpc/tree-routes.js';
import { writeRoutes } from './rpc/write-routes.js';
import { createStore } from './store/store.js';
import { callers, eventConsumers, keyAskers } from './rpc/callers.js';

/** The parts of the versioning service, in the order they start. */
export async function createService(
  config: Config,
): Promise<{ readonly parts: readonly Part[]; readonly logger: Logger }> {
  const base = await createBase('versioning', config);
  const database = openDatabase({ url: config.databaseUrl, applicationName: 'versioning' });
  const outbox = createOutbox();
  const store = createStore(database, outbox, { objectCacheBytes: config.objectCacheMib * 1024 * 1024 });
  const bodies = createContentClient(base.channel('content', config.contentAddress), base.minter);
  const deps: Deps = { store, bodies, now: () => new Date(), newId };
  const parts = serviceParts(base, {
    database,
    pool: database.pool,
    commands: opsCommands(deps),
    outbox,
    leases: base.leases(),
    services: [
      serve(VersioningServiceDefinition, callers, {
        ...writeRoutes(deps),
        ...treeRoutes(deps),
        ...historyRoutes(deps),
      }),
      eventSourceService(database, (_sql, courseId) => readState(store, courseId), eventConsumers),
      requestService(database, keyAskers),
    ],
  });
  return { parts, logger: base.logger };
}
