import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { newId } from '@coursewright/platform/ids';
import { createLogger } from '@coursewright/platform/logger';
import { createOutbox } from '@coursewright/platform/outbox';
import { openDatabase } from '@coursewright/platform/sql';
import type { Config } from '../../src/config.js';
import { createImportRunner } from '../../src/operations/import-runner.js';
import { createFiles } from '../../src/store/files.js';
import { createImportLines } from '../../src/store/import-lines.js';
import { createImportStore } from '../../src/store/imports.js';
import { openBodyStore } from '../../src/store/mongo-bodies.js';
import { createSpool } from '../../src/store/spool.js';
import { FakeServices } from '../fake-versioning.js';
import { remoteServices } from './remote-services.js';
import { openWorkers } from '@coursewright/platform/workers';
import { createBodyWork } from '../../src/operations/body-work.js';

/** What such a process is told when it is started. */
export interface Told {
  readonly postgres: string;
  readonly mongodb: string;
  readonly folder: string;
  readonly limits: Config['archiveLimits'];
  /** The other services are its parent's, and outlive it. */
  readonly isRemote?: boolean;
}

/** What it answers when it is asked how it is. */
export interface Answer {
  readonly state: string;
  /** The longest stretch, in milliseconds of processor time of the main thread, between two ticks of 10 ms. */
  readonly busiestMs: number;
  readonly rssMiB: number;
  /** What it held before it took up its first import. */
  readonly idleMiB: number;
}

/** As it is compiled, where it is: a thread that compiles its sources itself takes 40 MiB for that. */
function workerFile(): URL {
  const compiled = new URL('../../dist/body-worker.js', import.meta.url);
  return existsSync(compiled) ? compiled : new URL('../../src/body-worker.js', import.meta.url);
}

// A process that runs imports and nothing else; its parent asks it how they are.
const told = JSON.parse(process.argv[2] ?? '') as Told;
const logger = createLogger('limited', 'silent');
const database = openDatabase({ url: told.postgres });
const imports = createImportStore(database, createOutbox());
const fakes = told.isRemote ? remoteServices() : new FakeServices();
const runner = createImportRunner({
  ...{ imports, newId, logger, limits: told.limits, versioning: fakes, catalog: fakes },
  bodies: openBodyStore(told.mongodb, logger),
  work: createBodyWork(openWorkers(workerFile())),
  lines: createImportLines(database),
  files: createFiles(join(told.folder, 'files')),
  spool: createSpool(told.folder),
});

// Node has it from 23.9 on.
const { threadCpuUsage } = process as unknown as { threadCpuUsage: () => { user: number; system: number } };
const usage = threadCpuUsage.bind(process);
let last = usage();
let busiestMs = 0;
let rssMiB = 0;
const tick = (): void => {
  const now = usage();
  busiestMs = Math.max(busiestMs, (now.user + now.system - last.user - last.system) / 1000);
  rssMiB = Math.max(rssMiB, process.memoryUsage.rss() / 1024 / 1024);
  last = now;
};

process.on('message', (id: unknown) => {
  if (typeof id !== 'string') return;
  void imports.find(id).then((job) => {
    process.send?.({ state: job?.state ?? 'unknown', busiestMs, rssMiB, idleMiB } satisfies Answer);
  });
});
process.on('disconnect', () => process.exit());
// What starting costs (modules, the first connections) is not what imports cost.
await imports.find(newId());
last = usage();
const idleMiB = process.memoryUsage.rss() / 1024 / 1024;
setInterval(tick, 10);
process.send?.('ready');
await runner.start?.();
