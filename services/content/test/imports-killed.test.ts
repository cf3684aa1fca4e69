import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Actor } from '@coursewright/platform/actor';
import { newId } from '@coursewright/platform/ids';
import { createOutbox } from '@coursewright/platform/outbox';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { createTestDatabase, testServers, type TestDatabase } from '@coursewright/platform/testing/servers';
import { MongoClient } from 'mongodb';
import { createImportStore } from '../src/store/imports.js';
import { createSpool } from '../src/store/spool.js';
import { FakeServices } from './fake-versioning.js';
import { generatedCourses } from './limited/generated-courses.js';
import type { Answer, Told } from './limited/import-process.js';
import { serveTo } from './limited/remote-services.js';
import { newImport, streamOf } from './support.js';

/** Largest resident memory less that of a process that has imported nothing, in MiB: whatever the collector of garbage does. */
const MOST_MIB = 200;
/** The heap that scripts/lib/memory.mjs leaves to a process of 512 MiB, and half of the young one below. */
const HEAP_MIB = 307;
/** Moments at which each import is killed. All four courses at ten moments take many minutes: unless told, it is the first at one. */
const TOLD = process.env['KILL_MOMENTS'];
const MOMENTS = Number(TOLD || 1);
const courses = TOLD ? generatedCourses : generatedCourses.slice(0, 1);
const whenTold = TOLD ? it : it.skip;
if (!TOLD) console.warn('skipped: three of four large courses, and their memory; KILL_MOMENTS=10 runs them all');
const SEED = process.env['KILL_SEED'] || String(randomBytes(4).readUInt32BE());
const author: Actor = { sub: 'ann', roles: ['author'], grants: [] };
const limits = { entries: 500_000, names: 33_554_432, fileBytes: 268_435_456, totalBytes: 4_294_967_296, ratio: 200 };
const TABLES = [
  'import_loss',
  'import_kept',
  'import_part',
  'import_step',
  'asset',
  'outbox',
  'course_seq',
  '"import"',
];

let database: TestDatabase;
let sql: PgDatabase;
let owner: PgDatabase;
let mongo: MongoClient;
let mongodb: string;
let folder = '';
let services: FakeServices;

beforeAll(async () => {
  database = await createTestDatabase('killed', new URL('../prisma/migrations', import.meta.url).pathname);
  sql = openDatabase({ url: database.url });
  owner = openDatabase({ url: database.adminUrl });
  const base = new URL(testServers().mongodb);
  base.pathname = `/t_killed_${randomBytes(5).toString('hex')}`;
  mongodb = base.href;
  mongo = await MongoClient.connect(mongodb);
});

afterAll(async () => {
  await sql.close();
  await owner.close();
  await database.drop();
  await mongo.db().dropDatabase();
  await mongo.close();
  await rm(folder, { recursive: true, force: true });
});

/** Nothing of any import is left anywhere. */
async function forgetAll(): Promise<void> {
  if (folder !== '') await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  folder = await mkdtemp(join(tmpdir(), 'cw-killed-'));
  services = new FakeServices();
  await owner.pool.query(`TRUNCATE ${TABLES.join(', ')} CASCADE`);
  await mongo.db().dropDatabase();
}

async function startProcess(): Promise<ChildProcess> {
  const told: Told = { postgres: database.url, mongodb, folder, limits, isRemote: true };
  const script = new URL('./limited/import-process.ts', import.meta.url).pathname;
  const flags = [
    `--max-old-space-size=${HEAP_MIB}`,
    '--max-semi-space-size=16',
    '--conditions=source',
    '--import',
    'tsx',
  ];
  const child = spawn(process.execPath, [...flags, script, JSON.stringify(told)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  serveTo(child, services);
  await once(child, 'message');
  return child;
}

interface Accepted {
  readonly id: string;
  readonly courseId: string;
}

/** Accepts an archive as the import of an id, which all else follows from. */
async function accept(
  archive: Buffer,
  { id, courseId }: Accepted = { id: newId(), courseId: newId() },
): Promise<Accepted> {
  const spool = createSpool(folder);
  await spool.write(id, streamOf(archive), 1e9);
  const made = newImport({ id, courseId, newCourse: true, spoolId: await spool.id() });
  await createImportStore(sql, createOutbox()).create(made, author, undefined);
  return { id, courseId };
}

/** Asks a process again and again until it has ended all these imports. */
async function follow(child: ChildProcess, jobs: readonly Accepted[]): Promise<Answer> {
  let last: Answer | undefined;
  for (const { id } of jobs) {
    do {
      child.send(id);
      const answer = new Promise<Answer>((resolve, reject) => {
        const take = (message: unknown): void => {
          if (typeof message !== 'object' || message === null || !('state' in message)) return;
          child.off('message', take).off('exit', fail);
          resolve(message as Answer);
        };
        const fail = (code: number | null): void => reject(new Error(`the process ended: ${String(code)}`));
        child.on('message', take).on('exit', fail);
      });
      last = await answer;
      await new Promise((resolve) => setTimeout(resolve, 20));
    } while (last.state === 'running');
  }
  if (last === undefined) throw new Error('no import');
  return last;
}

async function end(child: ChildProcess): Promise<void> {
  child.disconnect();
  if (child.exitCode === null) await once(child, 'exit');
}

/** All that an import has left behind, in an order that says nothing but what was done. */
async function left({ id, courseId }: Accepted): Promise<Record<string, unknown>> {
  const rows = async (text: string): Promise<unknown[]> => (await owner.pool.query<object>(text, [id])).rows;
  const course = services.courses.get(courseId);
  const bodies = await mongo
    .db()
    .collection('bodies')
    .find({}, { projection: { touchedAt: 0 } })
    .sort({ _id: 1 })
    .toArray();
  const files: string[] = [];
  for (const path of (await readdir(join(folder, 'files'), { recursive: true }).catch(() => [])).sort()) {
    const name = path.slice(path.indexOf('/') + 1);
    // What a killed process was just writing has no name of a file yet.
    if (name === path || name.endsWith('.part')) continue;
    const hash = createHash('sha256')
      .update(await readFile(join(folder, 'files', path)))
      .digest('base64url');
    files.push(hash === name ? name : `${name} holds ${hash}`);
  }
  return {
    job: await rows(`SELECT state, done, total, report, error, source_id FROM "import" WHERE id = $1::uuid`),
    course: course && { fields: course.fields, nodes: [...course.nodes.values()] },
    registered: services.registered.get(courseId),
    losses: await rows('SELECT * FROM import_loss WHERE import_id = $1::uuid ORDER BY ordinal'),
    kept: await rows('SELECT * FROM import_kept WHERE import_id = $1::uuid ORDER BY ordinal'),
    parts: await rows('SELECT * FROM import_part WHERE import_id = $1::uuid ORDER BY ordinal'),
    assets: await rows(
      `SELECT hash, name, type, bytes FROM asset WHERE course_id = (SELECT course_id FROM "import" WHERE id = $1::uuid) ORDER BY hash`,
    ),
    events: await rows(
      `SELECT type, data - 'at' AS data FROM outbox WHERE course_id = (SELECT course_id FROM "import" WHERE id = $1::uuid) ORDER BY seq`,
    ),
    bodies: createHash('sha256').update(JSON.stringify(bodies)).digest('base64url'),
    bodyCount: bodies.length,
    files,
  };
}

/** Numbers from 0 to 1 that follow from a seed. */
function randomsOf(seed: string): () => number {
  let n = 0;
  return () => createHash('sha256').update(`${seed} ${n++}`).digest().readUInt32BE() / 2 ** 32;
}

/** The most memory that a process held at once, less what it held before its first import; MiB. */
function aboveRest({ rssMiB, idleMiB }: Answer): number {
  return Math.round(rssMiB - idleMiB);
}

/** The same import anew, nothing of it being left. */
async function begin(archive: Buffer, job: Accepted): Promise<void> {
  await forgetAll();
  await accept(archive, job);
}

/** Kills a process; its lease has run out at once, and that it ended is not held against the import, which is given up after four such ends. */
async function killed(child: ChildProcess): Promise<{ state: string; done: number }[]> {
  child.kill('SIGKILL');
  await once(child, 'exit');
  const text = 'UPDATE "import" SET lease_until = now(), attempts = 0 RETURNING state, done';
  return (await owner.pool.query<{ state: string; done: number }>(text)).rows;
}

describe('an import of a large course', () => {
  whenTold(
    'and another one beside it take less than 200 MiB above a process at rest, two more after them too',
    async () => {
      await forgetAll();
      const child = await startProcess();
      const figures: string[] = [];
      for (let n = 0; n < generatedCourses.length; n += 2) {
        const jobs: Accepted[] = [];
        const some = generatedCourses.slice(n, n + 2);
        for (const archive of await Promise.all(some.map((course) => course.make()))) jobs.push(await accept(archive));
        const above = aboveRest(await follow(child, jobs));
        figures.push(`${some.map(({ name }) => name).join(' and ')}: ${above} MiB`);
        for (const { courseId } of jobs) expect(services.courses.get(courseId)?.nodes.size).toBeGreaterThan(3_000);
        expect([figures, above < MOST_MIB]).toEqual([figures, true]);
      }
      await end(child);
      console.log(`two at once, above rest: ${figures.join(', ')}`);
    },
    300_000,
  );

  it.each(courses)(
    'that is killed at any moment goes on to the same end: $name',
    async ({ name, nodes, ...course }) => {
      const archive = await course.make();
      await forgetAll();
      let child = await startProcess();
      const job = await accept(archive);
      const began = performance.now();
      const above = aboveRest(await follow(child, [job]));
      const tookMs = performance.now() - began;
      await end(child);
      expect(above).toBeLessThan(MOST_MIB);
      const expected = await left(job);
      expect(expected).toMatchObject({ job: [{ state: 'done', error: null }], events: [{}] });
      expect(expected['bodyCount']).toBeGreaterThan(nodes / 2);
      expect(services.courses.get(job.courseId)?.nodes.size).toBeGreaterThanOrEqual(nodes);
      const random = randomsOf(`${SEED} ${name}`);
      const moments: string[] = [];
      await begin(archive, job);
      for (let moment = 0; moment < MOMENTS; moment += 1) {
        child = await startProcess();
        const at = random() * tookMs;
        await new Promise((resolve) => setTimeout(resolve, at));
        const [{ state, done } = { state: '', done: 0 }] = await killed(child);
        moments.push(`${at.toFixed(0)} ms (${state}, ${done} parts)`);
        if (state !== 'done') continue;
        expect([SEED, moments, await left(job)]).toEqual([SEED, moments, expected]);
        await begin(archive, job);
      }
      child = await startProcess();
      await follow(child, [job]);
      await end(child);
      expect([SEED, moments, await left(job)]).toEqual([SEED, moments, expected]);
      console.log(
        `${name}: ${tookMs.toFixed(0)} ms undisturbed, ${above} MiB above rest; seed ${SEED}, killed after ${moments.join(', ')}`,
      );
    },
    120_000 + 120_000 * MOMENTS,
  );
});
