import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Actor } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import { createLogger } from '@coursewright/platform/logger';
import { createOutbox } from '@coursewright/platform/outbox';
import type { CallContext, Command } from '@coursewright/platform/rpc-call';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { eventually } from '@coursewright/platform/testing/eventually';
import { createTestDatabase, testServers, type TestDatabase } from '@coursewright/platform/testing/servers';
import { openWorkers } from '@coursewright/platform/workers';
import { createBodyWork, type BodyWork } from '../src/operations/body-work.js';
import { MongoClient } from 'mongodb';
import { createImportRunner, type ImportRunner, type RunnerDeps } from '../src/operations/import-runner.js';
import type { ImportJob, Imports, Spool, Versioning } from '../src/operations/ports.js';
import { startImport } from '../src/operations/start-import.js';
import { createImportStore, isUploading } from '../src/store/imports.js';
import { openBodyStore, type BodyStore } from '../src/store/mongo-bodies.js';
import { createSpool } from '../src/store/spool.js';
import { FakeServices } from './fake-versioning.js';
import { bigCourse, newImport, streamOf, linesAndFiles } from './support.js';

type Gate = PromiseWithResolvers<void>;
const logger = createLogger('test', 'silent');
const migrations = new URL('../prisma/migrations', import.meta.url).pathname;
const limits = { entries: 10_000, names: 1_000_000, fileBytes: 20_000_000, totalBytes: 100_000_000, ratio: 100 };
const author: Actor = { sub: 'ann', roles: ['author'], grants: [] };

let database: TestDatabase;
let sql: PgDatabase;
let mongoUrl: string;
let bodies: BodyStore;
let imports: Imports;
let fakes: FakeServices;
let folder: string;
let spool: Spool;
let runners: ImportRunner[] = [];

beforeAll(async () => {
  database = await createTestDatabase('fenced', migrations);
  sql = openDatabase({ url: database.url });
  const base = new URL(testServers().mongodb);
  base.pathname = `/t_fenced_${randomBytes(5).toString('hex')}`;
  mongoUrl = base.href;
  bodies = openBodyStore(mongoUrl, logger);
  imports = createImportStore(sql, createOutbox());
});

afterAll(async () => {
  await workers.close();
  await bodies.close();
  await sql.close();
  await database.drop();
  const client = new MongoClient(mongoUrl);
  await client.db().dropDatabase();
  await client.close();
});

const workers = openWorkers(new URL('../src/body-worker.js', import.meta.url));
const work = createBodyWork(workers);

beforeEach(async () => {
  fakes = new FakeServices();
  folder = await mkdtemp(join(tmpdir(), 'cw-fenced-'));
  spool = createSpool(folder);
  await spool.id();
});

afterEach(async () => {
  for (const runner of runners) await runner.stop?.();
  runners = [];
  await rm(folder, { recursive: true });
});

/** A process that runs imports, on the same disk and database as the others unless told. */
async function process(more: Partial<RunnerDeps> = {}): Promise<ImportRunner> {
  const deps = { bodies, work, versioning: fakes, catalog: fakes, imports, spool, limits, newId, logger };
  const quick = { ...linesAndFiles(sql, folder), retryMs: 50, step: { ops: 3, bodies: 2 } };
  const runner = createImportRunner({ ...deps, ...quick, ...more });
  runners.push(runner);
  await runner.start?.();
  return runner;
}

const call = (actor: Actor, command?: Command): CallContext => ({
  ...{ actor, token: '', signal: new AbortController().signal, deadline: Date.now() + 60_000, requestId: 'r' },
  ...(command ? { command } : {}),
});
const key = (id: string, fingerprint = 'f'): Command => ({ id, fingerprint, kept: 'client' });

async function start(
  chunks: AsyncIterable<Uint8Array>,
  how: { actor?: Actor; command?: Command; courseId?: string; spool?: Spool; imports?: Imports } = {},
) {
  const deps = { imports, spool, newId, maxBytes: 1e9, onStarted: () => undefined, ...how };
  const header = { format: 'olx', courseId: how.courseId ?? '', mediaType: 'application/gzip' };
  return startImport(deps, { header, chunks }, call(how.actor ?? author, how.command));
}

/** An upload whose second half comes when it is told to. */
function slowUpload(bytes: Buffer): { chunks: AsyncIterable<Uint8Array>; go: () => void } {
  const gate = Promise.withResolvers<void>();
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, 100);
    await gate.promise;
    yield bytes.subarray(100);
  }
  return { chunks: chunks(), go: () => gate.resolve() };
}

async function ended(id: string): Promise<ImportJob> {
  return eventually(async () => {
    const job = await imports.find(id);
    if (!job || job.state === 'running') throw new Error('still running');
    return job;
  }, 20_000);
}

const expire = (id: string) =>
  sql.rows({ name: 't_expire', text: `UPDATE "import" SET lease_until = now() - interval '1 s' WHERE id = $1` }, [id]);
const events = (courseId: string) =>
  sql.rows({ name: 't_events', text: 'SELECT 1 AS one FROM outbox WHERE course_id = $1' }, [courseId]);
const files = async (id: string) => (await readdir(folder)).filter((name) => name.startsWith(id));

/** Versioning that holds one attempt at its second step, and tells how that attempt went on. */
function holding(): { versioning: Versioning; held: Promise<void>; go: () => void; after: string[] } {
  const reached = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const after: string[] = [];
  let steps = 0;
  let isHeld = false;
  const versioning = new Proxy<Versioning>(fakes, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return async (...args: unknown[]) => {
        if (isHeld) after.push(String(name));
        const result: unknown = await Reflect.apply(value, target, args);
        if (name === 'applyStep' && ++steps === 2) {
          isHeld = true;
          reached.resolve();
          await gate.promise;
        }
        return result;
      };
    },
  });
  return { versioning, held: reached.promise, go: () => gate.resolve(), after };
}

describe('an attempt that was paused for longer than its lease', () => {
  it('touches nothing when another process has the import by then, and the import ends done once', async () => {
    const { job } = await start(streamOf(await bigCourse(8)));
    const slow = holding();
    // Long enough not to be renewed: what is paused renews nothing.
    const first = await process({ versioning: slow.versioning, leaseMs: 600_000 });
    await slow.held;
    await expire(job.id);
    await process();
    const done = await ended(job.id);
    expect(done).toMatchObject({ state: 'done', token: 2, done: 10, report: { mapped: 19 } });
    const nodes = new Map(fakes.courses.get(job.courseId)?.nodes);
    slow.go();
    await first.stop?.();
    expect(slow.after).toEqual([]);
    expect(await imports.find(job.id)).toEqual(done);
    expect(fakes.courses.get(job.courseId)?.nodes).toEqual(nodes);
    expect([nodes.size, fakes.dropped, await events(job.courseId)]).toEqual([10, [], [{ one: 1 }]]);
    await eventually(async () => expect(await files(job.id)).toEqual([]));
  });

  it('drops nothing and takes no file away when it fails after another process has the import', async () => {
    const { job } = await start(streamOf(await bigCourse(8)));
    const gate = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    const broken = Object.assign(Object.create(fakes) as FakeServices, {
      applyStep: async () => {
        reached.resolve();
        await gate.promise;
        throw new AppError('unprocessable', 'OPS_REFUSED');
      },
    });
    const first = await process({ versioning: broken, leaseMs: 600_000 });
    await reached.promise;
    await expire(job.id);
    const slow = holding();
    await process({ versioning: slow.versioning });
    await slow.held;
    gate.resolve();
    await first.stop?.();
    expect(await imports.find(job.id)).toMatchObject({ state: 'running', token: 2, error: null });
    expect([fakes.dropped, await files(job.id)]).toEqual([[], [`${job.id}.archive`]]);
    expect(fakes.courses.get(job.courseId)?.hidden.has(job.id)).toBe(true);
    slow.go();
    expect(await ended(job.id)).toMatchObject({ state: 'done', done: 10 });
  });

  it('brings nothing back of an import that another process has seen fail and taken away meanwhile', async () => {
    const courseId = newId();
    fakes.addLesson(courseId, newId());
    const member = { ...author, grants: [{ course: courseId, role: 'author' }] };
    const { job } = await start(streamOf(await bigCourse(8)), { actor: member, courseId });
    const [reached, gate, closed] = [1, 2, 3].map(() => Promise.withResolvers<void>()) as [Gate, Gate, Gate];
    const slowWork: BodyWork = {
      ...work,
      normalize: async (input) => {
        reached.resolve();
        await gate.promise;
        return work.normalize(input);
      },
    };
    const watched: Spool = {
      ...spool,
      open: async (...args) => {
        const archive = await spool.open(...args);
        const close = () => archive.close().finally(() => closed.resolve());
        return { ...archive, close };
      },
    };
    await process({ work: slowWork, spool: watched, leaseMs: 600_000 });
    await reached.promise;
    await expire(job.id);
    const broken = Object.assign(Object.create(fakes) as FakeServices, {
      applyStep: () => Promise.reject(new AppError('unprocessable', 'OPS_REFUSED')),
    });
    await process({ versioning: broken });
    expect(await ended(job.id)).toMatchObject({ state: 'failed', token: 2 });
    await eventually(async () => expect(fakes.dropped).toEqual([job.id]));
    gate.resolve();
    await closed.promise;
    expect(fakes.courses.get(courseId)?.hidden.has(job.id)).toBe(false);
    expect(await imports.find(job.id)).toMatchObject({ state: 'failed', error: { reason: 'OPS_REFUSED' } });
  });

  it('is not run a second time by its own process', async () => {
    const { job } = await start(streamOf(await bigCourse(8)));
    const slow = holding();
    const runner = await process({ versioning: slow.versioning, leaseMs: 600_000 });
    await slow.held;
    await expire(job.id);
    const { job: other } = await start(streamOf(await bigCourse(1)));
    runner.wake();
    // Whoever looks for work finds the other one; this one is left alone.
    expect(await ended(other.id)).toMatchObject({ state: 'done' });
    expect(await imports.find(job.id)).toMatchObject({ state: 'running', token: 1, attempts: 1 });
    slow.go();
    expect(await ended(job.id)).toMatchObject({ state: 'done', token: 1, done: 10 });
    expect(await events(job.courseId)).toHaveLength(1);
  });

  it('finds each of its writes refused', async () => {
    const id = newId();
    const spoolId = await spool.id();
    await imports.create(newImport({ id, courseId: newId(), newCourse: true, spoolId }), author, undefined);
    const claim = { holder: newId(), spoolId, ms: 1, except: [], onlyFresh: false };
    const old = await imports.claim(claim);
    await eventually(async () => expect((await imports.claim({ ...claim, ms: 60_000 }))?.id).toBe(id));
    if (!old) throw new Error('not taken up');
    const { report } = old;
    const before = await imports.find(id);
    expect([
      await imports.renew(old, 60_000),
      await imports.holds(old),
      await imports.release(old, 0),
      (await imports.saveStart(old, { commit: 'c', sourceId: 's', baseImport: null })) !== 'superseded',
      await imports.saveStep(old, { ordinal: 1, commit: 'c' }, { done: 1, report }),
      await imports.finish(old, { commit: 'c', done: 1, report }),
      await imports.fail(old, { reason: 'X', message: 'x' }, report),
    ]).toEqual(Array.from({ length: 7 }, () => false));
    expect([await imports.find(id), await imports.steps(id), await events(old.courseId)]).toEqual([before, [], []]);
  });
});

describe('an import that ends its process', () => {
  it('is given up when it did so four times in a row, with the reason, and the attempts are counted before the work', async () => {
    const { job } = await start(streamOf(await bigCourse(1)));
    const spoolId = await spool.id();
    for (const attempts of [1, 2, 3, 4]) {
      const claim = { holder: newId(), spoolId, ms: 60_000, except: [], onlyFresh: false };
      expect(await imports.claim(claim)).toMatchObject({ id: job.id, attempts });
      await expire(job.id);
    }
    await process();
    const message =
      '4 attempts in a row ended with their process and got nowhere; the archive is likely to be the cause';
    expect(await ended(job.id)).toMatchObject({ state: 'failed', error: { reason: 'IMPORT_GAVE_UP', message } });
    await eventually(async () => expect(await files(job.id)).toEqual([]));
  });

  it('is not counted when it had to wait, even if that could not be written down at once', async () => {
    const { job } = await start(streamOf(await bigCourse(1)));
    const away = new AppError('unavailable', 'DATABASE_UNAVAILABLE');
    let [steps, tries] = [0, 0];
    const flaky = Object.assign(Object.create(imports) as Imports, {
      release: (...args: Parameters<Imports['release']>) =>
        (tries += 1) < 3 ? Promise.reject(away) : imports.release(...args),
    });
    const versioning = Object.assign(Object.create(fakes) as FakeServices, {
      applyStep: (...args: Parameters<Versioning['applyStep']>) =>
        (steps += 1) === 1 ? Promise.reject(away) : fakes.applyStep(...args),
    });
    await process({ imports: flaky, versioning, retryMs: 10 });
    await eventually(() => expect(tries).toBe(3));
    expect(await ended(job.id)).toMatchObject({ state: 'done', token: 2, attempts: 1 });
  });

  it('runs alone the second time, so that no other one is taken for it', async () => {
    const { job: suspect } = await start(streamOf(await bigCourse(8)));
    await imports.claim({ holder: newId(), spoolId: await spool.id(), ms: 1, except: [], onlyFresh: false });
    const { job: other } = await start(streamOf(await bigCourse(1)));
    const slow = holding();
    const runner = await process({ versioning: slow.versioning });
    await slow.held;
    runner.wake();
    expect(await imports.find(other.id)).toMatchObject({ token: 0, attempts: 0 });
    slow.go();
    expect((await ended(suspect.id)).finishedAt?.getTime()).toBeLessThanOrEqual(
      (await ended(other.id)).finishedAt?.getTime() ?? 0,
    );
  });
});

describe('an upload that is under way', () => {
  it('ends as an import that runs, though another process starts meanwhile on the same disk', async () => {
    const slow = slowUpload(await bigCourse(2));
    const started = start(slow.chunks);
    await eventually(async () => expect(await readdir(folder)).toContainEqual(expect.stringMatching(/\.part$/)));
    const second = await process();
    await second.sweep();
    slow.go();
    const { job } = await started;
    expect(await ended(job.id)).toMatchObject({ state: 'done', done: 4 });
  });

  it('keeps its archive between the disk and the row, though another process sweeps just then', async () => {
    const second = await process();
    const watched = Object.assign(Object.create(imports) as Imports, {
      create: async (...args: Parameters<Imports['create']>) => {
        await second.sweep();
        return imports.create(...args);
      },
    });
    const { job } = await start(streamOf(await bigCourse(2)), { imports: watched });
    expect(await ended(job.id)).toMatchObject({ state: 'done' });
  });

  it('leaves a file that is swept up when no upload can be that old, and no file that an import waits for', async () => {
    const broken = slowUpload(await bigCourse(1));
    const never = start(broken.chunks);
    await eventually(async () => expect(await readdir(folder)).toHaveLength(2));
    const id = newId();
    const elsewhere = newId();
    await spool.write(id, streamOf(await bigCourse(1)), 1e9);
    await imports.create(newImport({ id, courseId: newId(), newCourse: true, spoolId: elsewhere }), author, undefined);
    const old = new Date(Date.now() - 61 * 60 * 1000);
    for (const name of (await readdir(folder)).filter((file) => file !== 'spool-id'))
      await utimes(join(folder, name), old, old);
    const runner = await process();
    await runner.sweep();
    expect((await readdir(folder)).sort()).toEqual([`${id}.archive`, 'spool-id'].sort());
    broken.go();
    await expect(never).rejects.toMatchObject({ kind: 'internal' });
  });

  it('is another disk’s business where each process has its own', async () => {
    const far = await mkdtemp(join(tmpdir(), 'cw-far-'));
    const slow = slowUpload(await bigCourse(2));
    const started = start(slow.chunks, { spool: createSpool(far) });
    const near = await process();
    await near.sweep();
    slow.go();
    const { job } = await started;
    near.wake();
    await process({ spool: createSpool(far) });
    expect(await ended(job.id)).toMatchObject({ state: 'done', token: 1 });
    await rm(far, { recursive: true });
  });

  it('stays with its import when the database does not say whether it has that', async () => {
    const unsure = Object.assign(Object.create(imports) as Imports, {
      create: async (...args: Parameters<Imports['create']>) => {
        await imports.create(...args);
        throw new AppError('unavailable', 'DATABASE_UNAVAILABLE');
      },
    });
    const command = key('unsure');
    const bytes = await bigCourse(2);
    await expect(start(streamOf(bytes), { imports: unsure, command })).rejects.toMatchObject({ kind: 'unavailable' });
    const { job, replayed } = await start(streamOf(bytes), { command });
    expect(replayed).toBe(true);
    await process();
    expect(await ended(job.id)).toMatchObject({ state: 'done' });
  });
});

describe('the key of an import', () => {
  it('stands for the bytes of its archive: the same are answered as the first time, others are refused', async () => {
    const command = key('k1');
    const bytes = await bigCourse(1);
    const first = await start(streamOf(bytes), { command });
    expect(first.replayed).toBe(false);
    const again = await start(streamOf(bytes), { command });
    expect([again.replayed, again.job.id]).toEqual([true, first.job.id]);
    const other = Buffer.from(bytes);
    other.writeUInt8((other.at(-1) ?? 0) ^ 1, other.length - 1);
    const reused = { kind: 'unprocessable', reason: 'IDEMPOTENCY_KEY_REUSED' };
    await expect(start(streamOf(other), { command })).rejects.toMatchObject(reused);
    expect((await readdir(folder)).sort()).toEqual([`${first.job.id}.archive`, 'spool-id'].sort());
    const [row] = await sql.rows<{ sha: string }>(
      { name: 't_sha', text: 'SELECT archive_sha256 AS sha FROM "import" WHERE id = $1' },
      [first.job.id],
    );
    expect(row?.sha).toMatch(/^[0-9a-f]{64}$/);
  });

  it('is refused for another request before a byte of the archive is read', async () => {
    await start(streamOf(await bigCourse(1)), { command: key('k2') });
    async function* never(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(1);
      throw new Error('the archive was read');
    }
    await expect(start(never(), { command: key('k2', 'g') })).rejects.toMatchObject({
      reason: 'IDEMPOTENCY_KEY_REUSED',
    });
  });

  it('is in progress while its first upload is under way, and free again when that broke off', async () => {
    const bytes = await bigCourse(1);
    const command = key('k3');
    const slow = slowUpload(bytes);
    const first = start(slow.chunks, { command });
    await eventually(async () => expect(await isUploading(sql, 'ann', 'k3')).toBe(true));
    const busy = { kind: 'conflict', reason: 'IN_PROGRESS', details: { retryAfterSeconds: 1 } };
    await expect(start(streamOf(bytes), { command })).rejects.toMatchObject(busy);
    await start(streamOf(bytes), { command, actor: { ...author, sub: 'bob' } });
    slow.go();
    const { job } = await first;
    expect(await start(streamOf(bytes), { command })).toMatchObject({ replayed: true, job: { id: job.id } });

    async function* broken(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 10);
      throw new AppError('unavailable', 'CANCELLED');
    }
    await expect(start(broken(), { command: key('k4') })).rejects.toMatchObject({ reason: 'CANCELLED' });
    expect(await start(streamOf(bytes), { command: key('k4') })).toMatchObject({ replayed: false });
  });
});

describe('who may import into a course', () => {
  const admin: Actor = { sub: 'root', roles: ['admin'], grants: [] };

  async function courseOf(): Promise<string> {
    const courseId = newId();
    fakes.addLesson(courseId, newId());
    return courseId;
  }

  it('is a platform admin who is no member of it, too', async () => {
    fakes.roles = [];
    const courseId = await courseOf();
    const { job } = await start(streamOf(await bigCourse(1)), { actor: admin, courseId });
    await process();
    expect(await ended(job.id)).toMatchObject({ state: 'done', courseId, byPlatform: true });
  });

  it('is no longer a member who has lost the role meanwhile', async () => {
    fakes.roles = ['learner'];
    const courseId = await courseOf();
    const member = { ...author, grants: [{ course: courseId, role: 'author' }] };
    const { job } = await start(streamOf(await bigCourse(1)), { actor: member, courseId });
    await process();
    expect(await ended(job.id)).toMatchObject({ state: 'failed', byPlatform: false, error: { reason: 'FORBIDDEN' } });
  });
});

describe('a disk that is full while an import runs', () => {
  it('lets it wait, whole, and go on when there is room', async () => {
    const { job } = await start(streamOf(await bigCourse(2)));
    let isFull = true;
    const full: Spool = {
      ...spool,
      open: async (...args) => {
        if (isFull) throw new AppError('insufficient_storage', 'STORAGE_FULL', { retryAfterSeconds: 30 });
        return spool.open(...args);
      },
    };
    await process({ spool: full, retryMs: 5 });
    const waiting = {
      name: 't_waits',
      text: 'SELECT 1 AS one FROM "import" WHERE id = $1 AND token > 2 AND attempts <= 1 AND error IS NULL',
    };
    await eventually(async () => expect(await sql.rows(waiting, [job.id])).toHaveLength(1));
    isFull = false;
    expect(await ended(job.id)).toMatchObject({ state: 'done', done: 4 });
  });
});
