import { createOutbox, eventSourceService } from '@coursewright/platform/outbox';
import { requestService } from '@coursewright/platform/requests';
import type { Part } from '@coursewright/platform/run';
import { createBase, serviceParts, subscribe } from '@coursewright/platform/service';
import type { DeploymentConfig } from './config.js';
import { versioningEvents } from './consumers/versioning-events.js';
import type { SyncDeps } from './operations/ports.js';
import { syncNext } from './operations/sync-contents.js';
import { deploymentService } from './rpc/deployment-service.js';
import { trees } from './rpc/trees.js';
import { openDeploymentDatabase, type DeploymentTx } from './store/client.js';
import { contentRows, syncRows } from './store/content-rows.js';
import { eventConsumers, keyAskers } from './rpc/callers.js';

/** Wires deployment. Nothing runs before its parts are started. */
export async function createService(config: DeploymentConfig): Promise<Part[]> {
  const base = await createBase(config.name, config);
  const { database, pool } = openDeploymentDatabase(config.databaseUrl, config.name);
  const versioning = base.channel('versioning', config.versioningAddress);
  const deps: SyncDeps<DeploymentTx> = {
    database,
    contents: contentRows,
    jobs: syncRows,
    trees: trees(versioning, base.minter),
    logger: base.logger,
  };
  const sync = synchroniser(deps);
  const leases = base.leases();
  // What a crash left, and what was put off.
  leases.ask({
    name: 'content_sync',
    sql: 'EXISTS (SELECT FROM content_sync WHERE lease_until <= now())',
    onAnswer: (isTrue) => isTrue && sync.wake(),
  });
  return serviceParts(base, {
    database,
    pool,
    outbox: createOutbox(),
    leases,
    services: [
      deploymentService({ contents: contentRows, sql: database }),
      // Nothing of this service's is told in events yet: the state of every course is that none has been.
      eventSourceService(database, async (_sql, courseId) => ({ courseId }), eventConsumers),
      requestService(database, keyAskers),
    ],
    subscriptions: [
      subscribe(database, versioningEvents({ ...deps, onSyncNeeded: sync.wake, now: () => new Date() }), versioning),
    ],
    parts: [sync.part],
  });
}

/** Lists waiting courses anew, one after the other, when told. Each is leased by its row, so replicas do not take the same. */
function synchroniser(deps: SyncDeps<DeploymentTx>): { part: Part; wake: () => void } {
  let stopping = false;
  let working: Promise<void> | undefined;
  const work = async (): Promise<void> => {
    while (!stopping && (await syncNext(deps)));
  };
  const wake = (): void => {
    if (stopping) return;
    working ??= work()
      .catch((error: unknown) => deps.logger.warn({ reason: String(error) }, 'synchroniser paused'))
      .finally(() => (working = undefined));
  };
  const part: Part = {
    name: 'synchroniser',
    async stop() {
      stopping = true;
      await working;
    },
  };
  return { part, wake };
}
