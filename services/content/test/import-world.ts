import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Actor } from '@coursewright/platform/actor';
import { createLogger } from '@coursewright/platform/logger';
import { createOutbox } from '@coursewright/platform/outbox';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { createTestDatabase, testServers, type TestDatabase } from '@coursewright/platform/testing/servers';
import { openWorkers } from '@coursewright/platform/workers';
import { MongoClient } from 'mongodb';
import { createBodyWork } from '../src/operations/body-work.js';
import type { Imports } from '../src/operations/ports.js';
import type { ImportDeps } from '../src/operations/run-import.js';
import { createFiles } from '../src/store/files.js';
import { createImportLines } from '../src/store/import-lines.js';
import { createImportStore } from '../src/store/imports.js';
import { openBodyStore, type BodyStore } from '../src/store/mongo-bodies.js';
import { createSpool } from '../src/store/spool.js';
import { FakeServices } from './fake-versioning.js';

const migrations = new URL('../prisma/migrations', import.meta.url).pathname;
const limits = { entries: 10_000, names: 1_000_000, fileBytes: 20_000_000, totalBytes: 100_000_000, ratio: 100 };
export const author: Actor = { sub: 'ann', roles: ['author'], grants: [] };

/** What imports run in: content's stores and workers as they are, versioning and catalog in memory. */
export class ImportWorld {
  fakes = new FakeServices();
  private readonly workers = openWorkers(new URL('../src/body-worker.js', import.meta.url));
  private readonly work = createBodyWork(this.workers);

  readonly imports: Imports;

  private constructor(
    readonly sql: PgDatabase,
    readonly bodies: BodyStore,
    private readonly places: { readonly database: TestDatabase; readonly folder: string; readonly mongoUrl: string },
  ) {
    this.imports = createImportStore(sql, createOutbox());
  }

  static async start(): Promise<ImportWorld> {
    const database = await createTestDatabase('imports', migrations);
    const sql = openDatabase({ url: database.url });
    const folder = await mkdtemp(join(tmpdir(), 'cw-imports-'));
    const base = new URL(testServers().mongodb);
    base.pathname = `/t_imports_${randomBytes(5).toString('hex')}`;
    const bodies = openBodyStore(base.href, createLogger('test', 'silent'));
    return new ImportWorld(sql, bodies, { database, folder, mongoUrl: base.href });
  }

  deps(): ImportDeps {
    return {
      bodies: this.bodies,
      work: this.work,
      versioning: this.fakes,
      catalog: this.fakes,
      imports: this.imports,
      lines: createImportLines(this.sql),
      files: createFiles(join(this.places.folder, 'files')),
      spool: createSpool(this.places.folder),
      limits,
    };
  }

  async stop(): Promise<void> {
    await this.workers.close();
    await this.bodies.close();
    await this.sql.close();
    await this.places.database.drop();
    const client = new MongoClient(this.places.mongoUrl);
    await client.db().dropDatabase();
    await client.close();
    await rm(this.places.folder, { recursive: true });
  }
}
