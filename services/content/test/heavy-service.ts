import { createLogger } from '@coursewright/platform/logger';
import { createOutbox } from '@coursewright/platform/outbox';
import { createTokenVerifier } from '@coursewright/platform/internal-token';
import { newId } from '@coursewright/platform/ids';
import { createRpcServer } from '@coursewright/platform/rpc-server';
import { openDatabase } from '@coursewright/platform/sql';
import { openWorkers } from '@coursewright/platform/workers';
import { createBodyWork } from '../src/operations/body-work.js';
import { createPageMemory } from '../src/operations/page-memory.js';
import { contentService } from '../src/rpc/content-service.js';
import { createFiles } from '../src/store/files.js';
import { createImportLines } from '../src/store/import-lines.js';
import { createImportStore } from '../src/store/imports.js';
import { openBodyStore } from '../src/store/mongo-bodies.js';
import { createSpool } from '../src/store/spool.js';
import { FakeServices } from './fake-versioning.js';

/** What the test tells this process. */
export interface HeavySetup {
  mongoUrl: string;
  databaseUrl: string;
  folder: string;
  keys: Record<string, unknown>;
  course: string;
  lessons: string[];
}

/** What this process answers when it is asked: the longest stretch of its main thread since the last time, and its memory. */
export interface HeavyReport {
  stretchMs: number;
  /** The largest so far. */
  rssMb: number;
  lookups: number;
}

// The content service in a process of its own, so that nothing but its own work counts, with versioning played in memory.
const setup = JSON.parse(process.argv[2] ?? '') as HeavySetup;
const logger = createLogger('heavy', 'silent');
const fakes = new FakeServices();
for (const lesson of setup.lessons) fakes.addLesson(setup.course, lesson);
const pages = new Map<string, Promise<unknown>>();
const database = openDatabase({ url: setup.databaseUrl });
const service = contentService({
  bodies: openBodyStore(setup.mongoUrl, logger),
  work: createBodyWork(openWorkers(new URL('../src/body-worker.js', import.meta.url))),
  costlyPages: createPageMemory(),
  versioning: fakes,
  imports: createImportStore(database, createOutbox()),
  lines: createImportLines(database),
  files: createFiles(setup.folder),
  spool: createSpool(setup.folder),
  cache: {
    async through(key, render) {
      const known = pages.get(key);
      if (known) return known as ReturnType<typeof render>;
      const rendering = await render();
      pages.set(key, Promise.resolve(rendering));
      return rendering;
    },
  },
  hashKey: Buffer.from('key'),
  newId,
  maxImportBytes: 1,
  wakeImports: () => undefined,
});
const verifier = createTokenVerifier(setup.keys as never);
const port = await createRpcServer({ host: '127.0.0.1', port: 0, services: [service], verifier, logger }).start();

let longest = 0;
let rss = 0;
const used = (): number => {
  const { user, system } = (process as unknown as { threadCpuUsage(): NodeJS.CpuUsage }).threadCpuUsage();
  return (user + system) / 1000;
};
let last = used();
setInterval(() => {
  const now = used();
  longest = Math.max(longest, now - last);
  rss = Math.max(rss, process.memoryUsage.rss());
  last = now;
}, 10);
process.on('message', () => {
  const report: HeavyReport = { stretchMs: longest, rssMb: rss / 1024 / 1024, lookups: fakes.commits };
  longest = 0;
  process.send?.(report);
});
process.send?.({ port });
