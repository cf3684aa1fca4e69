import { openCache } from '@coursewright/platform/cache';
import { newId } from '@coursewright/platform/ids';
import { createOutbox, eventSourceService } from '@coursewright/platform/outbox';
import { requestService } from '@coursewright/platform/requests';
import type { Logger } from '@coursewright/platform/logger';
import type { Part } from '@coursewright/platform/run';
import { createBase, serviceParts } from '@coursewright/platform/service';
import { openWorkers } from '@coursewright/platform/workers';
import { openDatabase } from '@coursewright/platform/sql';
import type { Config } from './config.js';
import { createBodyWork } from './operations/body-work.js';
import { createImportRunner } from './operations/import-runner.js';
import { createPageMemory } from './operations/page-memory.js';
import type { RenderCache } from './operations/ports.js';
import { createCatalogClient } from './rpc/catalog-client.js';
import { contentService } from './rpc/content-service.js';
import { createVersioningClient } from './rpc/versioning-client.js';
import { createFiles } from './store/files.js';
import { createImportLines } from './store/import-lines.js';
import { createImportStore, isUploading } from './store/imports.js';
import { openBodyStore } from './store/mongo-bodies.js';
import { createSpool } from './store/spool.js';
import { eventConsumers, keyAskers } from './rpc/callers.js';

const RENDERED_SECONDS = 24 * 60 * 60;

/** Wires the content service: its parts in the order in which they start. */
export async function createService(config: Config): Promise<{ parts: Part[]; logger: Logger }> {
  const base = await createBase('content', config);
  const { logger, minter } = base;
  const database = openDatabase({ url: config.databaseUrl, applicationName: 'content' });
  const outbox = createOutbox();
  const bodies = openBodyStore(config.mongodbUrl, logger);
  const redis = openCache(config.redisUrl, 'content', logger);
  const versioning = createVersioningClient(base.channel('versioning', config.versioningAddress), minter);
  const catalog = createCatalogClient(base.channel('catalog', config.catalogAddress), minter);
  const imports = createImportStore(database, outbox);
  const lines = createImportLines(database);
  const files = createFiles(config.filesDir);
  const spool = createSpool(config.spoolDir);
  const workers = openWorkers(new URL('./body-worker.js', import.meta.url));
  const work = createBodyWork(workers);
  const cache: RenderCache = {
    through: (key, render) => redis.through(key, { kind: 'rendered', ttlSeconds: RENDERED_SECONDS }, render),
  };
  const runner = createImportRunner({
    bodies,
    work,
    versioning,
    catalog,
    imports,
    lines,
    files,
    spool,
    limits: config.archiveLimits,
    newId,
    logger,
    pollMs: 0,
  });
  const leases = base.leases();
  leases.ask({
    name: 'imports',
    sql: `EXISTS (SELECT FROM "import" WHERE state = 'running' AND (lease_until IS NULL OR lease_until < now()))`,
    onAnswer: (isTrue) => isTrue && runner.wake(),
  });
  const service = contentService({
    ...{ bodies, versioning, imports, lines, files, spool, cache, newId },
    work,
    costlyPages: createPageMemory(),
    hashKey: config.hashKey,
    maxImportBytes: config.maxImportBytes,
    wakeImports: () => runner.wake(),
  });
  const parts = serviceParts(base, {
    database,
    pool: database.pool,
    outbox,
    leases,
    services: [
      service,
      eventSourceService(database, async (_sql, courseId) => ({ courseId }), eventConsumers),
      requestService(database, keyAskers, isUploading),
    ],
    checks: [
      { name: 'mongodb', required: false, isUp: () => bodies.isUp() },
      { name: 'redis', required: false, isUp: () => redis.isUp() },
    ],
    parts: [
      { name: 'mongodb', stop: () => bodies.close() },
      { name: 'redis', stop: () => redis.close() },
      { name: 'workers', stop: () => workers.close() },
      runner,
    ],
  });
  return { parts, logger };
}
