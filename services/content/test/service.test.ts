import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ContentServiceDefinition, type Import } from '@coursewright/proto/coursewright/content/v1/content';
import type { Actor } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import { createTokenMinter, createTokenVerifier, type TokenMinter } from '@coursewright/platform/internal-token';
import { createLogger } from '@coursewright/platform/logger';
import { createOutbox } from '@coursewright/platform/outbox';
import type { Command } from '@coursewright/platform/rpc-call';
import { openChannel, type Channel } from '@coursewright/platform/rpc-client';
import { createRpcServer, type RpcServer } from '@coursewright/platform/rpc-server';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { eventually } from '@coursewright/platform/testing/eventually';
import { createTestKeys } from '@coursewright/platform/testing/keys';
import { openWorkers, type Workers } from '@coursewright/platform/workers';
import { createTestDatabase, testServers, type TestDatabase } from '@coursewright/platform/testing/servers';
import { MongoClient } from 'mongodb';
import { createImportRunner, type ImportRunner } from '../src/operations/import-runner.js';
import { createBodyWork } from '../src/operations/body-work.js';
import { createPageMemory } from '../src/operations/page-memory.js';
import type { Imports, StoredBodies } from '../src/operations/ports.js';
import type { ImportDeps } from '../src/operations/run-import.js';
import { contentService } from '../src/rpc/content-service.js';
import { createImportStore } from '../src/store/imports.js';
import { openBodyStore, type BodyStore } from '../src/store/mongo-bodies.js';
import { createSpool } from '../src/store/spool.js';
import { FakeServices } from './fake-versioning.js';
import { bigCourse, demoCourse, newImport, tarOf, upload, linesAndFiles } from './support.js';

const logger = createLogger('test', 'silent');
const migrations = new URL('../prisma/migrations', import.meta.url).pathname;
const limits = { entries: 10_000, names: 1_000_000, fileBytes: 20_000_000, totalBytes: 100_000_000, ratio: 100 };
const course = newId();
const lesson = newId();
const author: Actor = { sub: 'ann', roles: ['author'], grants: [{ course, role: 'author' }] };
const as = (role: string, commit?: string): Actor => ({
  sub: role,
  roles: [],
  grants: [{ course, role, ...(commit ? { commit } : {}) }],
});

let database: TestDatabase;
let sql: PgDatabase;
let folder: string;
let mongoUrl: string;
let bodies: BodyStore;
let imports: Imports;
let fakes: FakeServices;
let runner: ImportRunner;
let server: RpcServer;
let channel: Channel;
let minter: TokenMinter;
let workers: Workers;
let mongoDown = false;

/** The real store, or what it says when its server is away. */
function switched(store: BodyStore): StoredBodies {
  const dead = openBodyStore('mongodb://127.0.0.1:1/x', logger);
  const now = () => (mongoDown ? dead : store);
  return {
    putMany: (id, list) => now().putMany(id, list),
    get: (id, hash) => now().get(id, hash),
    getMany: (id, hashes) => now().getMany(id, hashes),
    read: (id, hash) => now().read(id, hash),
    readMany: (id, hashes) => now().readMany(id, hashes),
    sizes: (id, hashes) => now().sizes(id, hashes),
    check: (id, hashes) => now().check(id, hashes),
  };
}

function deps(): ImportDeps & { bodies: StoredBodies } {
  const work = createBodyWork(workers);
  const services = { work, versioning: fakes, catalog: fakes, imports, limits };
  const stores = { bodies: switched(bodies), spool: createSpool(folder), ...linesAndFiles(sql, `${folder}-files`) };
  return { ...services, ...stores };
}

beforeAll(async () => {
  database = await createTestDatabase('content', migrations);
  sql = openDatabase({ url: database.url });
  folder = await mkdtemp(join(tmpdir(), 'cw-content-'));
  const base = new URL(testServers().mongodb);
  base.pathname = `/t_content_${randomBytes(5).toString('hex')}`;
  mongoUrl = base.href;
  bodies = openBodyStore(mongoUrl, logger);
  imports = createImportStore(sql, createOutbox());
  fakes = new FakeServices();
  fakes.addLesson(course, lesson);
  workers = openWorkers(new URL('../src/body-worker.js', import.meta.url));
  runner = createImportRunner({ ...deps(), newId, logger });
  const keys = await createTestKeys();
  minter = await createTokenMinter(keys.private['gateway'] ?? {});
  const cache = { through: <T>(_key: string, render: () => Promise<T>) => render() };
  const service = contentService({
    ...deps(),
    ...{ work: createBodyWork(workers), costlyPages: createPageMemory() },
    ...{ cache, newId, hashKey: Buffer.from('key'), maxImportBytes: 1_000_000, wakeImports: () => runner.wake() },
  });
  server = createRpcServer({
    host: '127.0.0.1',
    port: 0,
    services: [service],
    verifier: createTokenVerifier(keys.public),
    logger,
  });
  channel = openChannel('content', `127.0.0.1:${await server.start()}`);
  await runner.start?.();
});

afterAll(async () => {
  await runner.stop?.();
  channel.close();
  await server.stop();
  await workers.close();
  await bodies.close();
  await sql.close();
  await database.drop();
  const client = new MongoClient(mongoUrl);
  await client.db().dropDatabase();
  await client.close();
  await rm(folder, { recursive: true });
  await rm(`${folder}-files`, { recursive: true, force: true });
});

const client = () => channel.client(ContentServiceDefinition);
const token = async (actor: Actor, command?: Command) => ({
  token: await minter.mint(actor),
  deadlineMs: 20_000,
  ...(command ? { command } : {}),
});
const save = async (content: unknown, actor = author, more: Record<string, unknown> = {}) =>
  client().saveLesson(
    { courseId: course, lessonId: lesson, content: Buffer.from(JSON.stringify(content)), ...more },
    await token(actor),
  );
const parsed = (message: { content: Uint8Array }) =>
  JSON.parse(Buffer.from(message.content).toString()) as Record<string, { id: string }[]>;

describe('lessons', () => {
  it('are saved, read back as stored, and saved again without a commit', async () => {
    const input = {
      objectives: ['Greet'],
      materials: [{ type: 'text/markdown', content: 'Hola' }],
      exercises: [{ type: 'x', answers: 'A' }],
    };
    const first = await save(input);
    expect(first).toMatchObject({ unchanged: false, branch: 'main', updatedBy: 'ann' });
    const commits = fakes.commits;
    const second = await save(input);
    expect(second).toMatchObject({ unchanged: true, hash: first.hash, commit: first.commit });
    expect(parsed(second)).toEqual(parsed(first));
    expect(fakes.commits).toBe(commits);
    const read = await client().getLesson({ courseId: course, lessonId: lesson }, await token(as('reviewer')));
    expect(read.hash).toBe(first.hash);
    expect(parsed(read)).toEqual(parsed(first));
  });

  it('are refused with pointers, sizes and stale expectations', async () => {
    await expect(save({ materials: [{ type: 'link', content: 'a', colour: 1 }] })).rejects.toMatchObject({
      kind: 'invalid_argument',
      reason: 'INVALID_LESSON',
      fields: [{ pointer: '/materials/0/colour', code: 'unknown_field' }],
    });
    await expect(save({ objectives: ['x'.repeat(1_100_000)] })).rejects.toMatchObject({
      kind: 'too_large',
      reason: 'LESSON_TOO_LARGE',
    });
    await expect(save({ objectives: ['new'] }, author, { expectedBody: 'none' })).rejects.toMatchObject({
      kind: 'stale',
      reason: 'STALE',
    });
    await expect(save({ objectives: ['new'] }, author, { expectedHead: 'x'.repeat(43) })).rejects.toMatchObject({
      kind: 'stale',
    });
    await expect(
      client().saveLesson({ courseId: course, lessonId: lesson, content: Buffer.from('{"a"') }, await token(author)),
    ).rejects.toMatchObject({ kind: 'invalid_argument', reason: 'MALFORMED_JSON' });
    await expect(save({}, author, { branch: 'x'.repeat(43) })).rejects.toMatchObject({
      kind: 'not_found',
      reason: 'BRANCH_NOT_FOUND',
    });
  });

  it('sent again by a peer that never got the answer, are answered as the first time', async () => {
    const { hash } = await client().getLesson({ courseId: course, lessonId: lesson }, await token(author));
    const options = await token(author, { id: newId(), fingerprint: 'f', kept: 'minted' });
    const content = Buffer.from(JSON.stringify({ objectives: ['sent twice'] }));
    const request = { courseId: course, lessonId: lesson, expectedBody: hash, content };
    const first = await client().saveLesson(request, options);
    expect(await client().saveLesson(request, options)).toMatchObject({
      commit: first.commit,
      hash: first.hash,
      unchanged: false,
    });
    await save({ objectives: ['somebody else was faster than the repeat'] });
    expect(await client().saveLesson(request, options)).toMatchObject({ unchanged: false });
  });

  it('take what already is as asked, whatever was expected', async () => {
    const now = await save({ objectives: ['as asked'] });
    expect(await save({ objectives: ['as asked'] }, author, { expectedBody: 'none' })).toMatchObject({
      unchanged: true,
      hash: now.hash,
    });
  });

  it('let each role see and do its part only', async () => {
    await save({
      materials: [
        { type: 'link', content: 'GRADERS', audience: 'grader' },
        { type: 'link', content: 'https://open' },
      ],
      exercises: [{ type: 'x', answers: 'KEY' }],
    });
    for (const role of ['reviewer', 'publisher', 'deployer', 'learner'])
      await expect(save({}, as(role))).rejects.toMatchObject({ reason: 'FORBIDDEN' });
    await expect(save({}, { sub: 'x', roles: [], grants: [] })).rejects.toMatchObject({
      kind: 'not_found',
      reason: 'COURSE_NOT_FOUND',
    });
    const raw = async (role: string) =>
      client().getLesson({ courseId: course, lessonId: lesson }, await token(as(role)));
    expect(JSON.stringify(parsed(await raw('deployer')))).toMatch(/KEY.*GRADERS/);
    expect(JSON.stringify(parsed(await raw('publisher')))).not.toMatch(/GRADERS|KEY/);
    await expect(raw('learner')).rejects.toMatchObject({ reason: 'FORBIDDEN' });

    const rendered = async (actor: Actor, ref = '') =>
      client().getRendered({ courseId: course, lessonId: lesson, ref }, await token(actor));
    const staff = await rendered(as('author'));
    const seen = await rendered(as('learner', 'c'.repeat(43)));
    expect(JSON.stringify(staff)).toMatch(/GRADERS/);
    expect(JSON.stringify(seen)).not.toMatch(/GRADERS|KEY/);
    expect(seen.items).toHaveLength(2);
    expect(seen.commit).toBe('');
    expect(seen.hash).toMatch(/^[\w-]{43}$/);
    expect(seen.hash).not.toBe(staff.hash);
    await expect(rendered(as('learner', 'c'.repeat(43)), 'main')).rejects.toMatchObject({
      kind: 'not_found',
      reason: 'REF_NOT_FOUND',
    });
    await expect(rendered(as('learner'))).rejects.toMatchObject({ kind: 'not_found', reason: 'NOT_PUBLISHED' });
  });

  it('are compared item by item, and learners get no diff', async () => {
    const from = await save({ materials: [{ type: 'text/markdown', content: 'a\nb\n' }] });
    const item = parsed(from)['materials']?.[0];
    const to = await save({ materials: [{ ...item, content: 'a\nc\n' }] });
    const request = {
      courseId: course,
      pairs: [
        { nodeId: lesson, from: from.hash, to: to.hash },
        { nodeId: 'n', from: '', to: to.hash },
      ],
    };
    const { diffs } = await client().diffBodies(request, await token(as('reviewer')));
    expect(diffs[0]).toMatchObject({
      truncated: false,
      changes: [
        {
          pointer: `/materials/${item?.id}/content`,
          change: 'edited',
          hunks: [{ from: { start: 1, lines: 2 }, to: { start: 1, lines: 2 }, lines: [' a', '-b', '+c'] }],
        },
      ],
    });
    expect(diffs[1]?.changes.map(({ change }) => change)).toEqual(['added']);
    await expect(client().diffBodies(request, await token(as('learner')))).rejects.toMatchObject({
      reason: 'FORBIDDEN',
    });
  });

  it('are compared field by field, whatever the fields are called', async () => {
    const from = await save({ exercises: [{ type: 'quiz', content: { q: 'Q' } }] });
    const item = parsed(from)['exercises']?.[0];
    const names = ['constructor', 'hasOwnProperty', 'toString', 'valueOf'];
    const content = { q: 'Q', ...Object.fromEntries(names.map((name) => [name, `a ${name}`])) };
    const to = await save({ exercises: [{ ...item, content }] });
    const pairs = [{ nodeId: lesson, from: from.hash, to: to.hash }];
    const { diffs } = await client().diffBodies({ courseId: course, pairs }, await token(as('reviewer')));
    expect(diffs[0]?.changes.map((change) => [change.pointer, change.change, change.to])).toEqual(
      names.map((name) => [`/exercises/${item?.id}/content/${name}`, 'added', `a ${name}`]),
    );
  });

  it('answer unavailable while the body store is away, with nothing half-done', async () => {
    const before = fakes.commits;
    mongoDown = true;
    try {
      await expect(save({ objectives: ['while down'] })).rejects.toMatchObject({
        kind: 'unavailable',
        reason: 'BODY_STORE_UNAVAILABLE',
        details: { retryAfterSeconds: 2 },
      });
    } finally {
      mongoDown = false;
    }
    expect(fakes.commits).toBe(before);
    expect(await save({ objectives: ['after'] })).toMatchObject({ unchanged: false });
  });
});

describe('bodies between services', () => {
  const service = async () => ({
    token: await createTokenMinter((await keysOnce).private['versioning'] ?? {}).then((own) => own.mintOwn()),
    deadlineMs: 20_000,
  });
  const keysOnce = createTestKeys();

  it('are no business of people', async () => {
    const read = async () => {
      for await (const _ of client().getBodies({ courseId: course, hashes: [] }, await token(author))) break;
    };
    await expect(read()).rejects.toMatchObject({ reason: 'FORBIDDEN' });
    await expect(client().putBodies([{ courseId: course, bodies: [] }], await token(author))).rejects.toMatchObject({
      reason: 'FORBIDDEN',
    });
    // A token that no known process signed is nobody's.
    await expect(client().putBodies([{ courseId: course }], await service())).rejects.toMatchObject({
      reason: 'INTERNAL_TOKEN_INVALID',
    });
  });
});

async function ended(id: string): Promise<Import> {
  return eventually(async () => {
    const job = await client().getImport({ id }, await token(author));
    if (job.state === 'running') throw new Error('still running');
    return job;
  }, 20_000);
}

describe('imports', () => {
  const demo = demoCourse();
  (demo ? it : it.skip)('bring the demo course in whole, and tell of it', async () => {
    const command = { id: 'key-1', fingerprint: 'f', kept: 'client' as const };
    const started = await client().startImport(upload(demo!), await token(author, command));
    expect(started).toMatchObject({ state: 'running', courseId: '' });
    const again = await client().startImport(upload(demo!), await token(author, command));
    expect(again.id).toBe(started.id);
    const job = await ended(started.id);
    expect(job).toMatchObject({
      state: 'done',
      sourceRead: 401,
      sourceMapped: 379,
      sourceKept: 22,
      items: 319,
      done: 81,
      total: 81,
    });
    expect(job.counts).toMatchObject({ units: 6, modules: 17, lessons: 58, assignments: 0 });
    expect(job.losses).toHaveLength(job.lossCount);
    const made = fakes.courses.get(job.courseId);
    expect(made?.nodes.size).toBe(81);
    expect(made?.fields).toMatchObject({ title: 'Open edX Demo Course', language: 'en' });
    expect(fakes.registered.get(job.courseId)).toBe('ann');
    const [event] = await sql.rows<{ type: string; data: unknown }>(
      { name: 't_event', text: 'SELECT type, data FROM outbox WHERE course_id = $1' },
      [job.courseId],
    );
    expect(event).toMatchObject({
      type: 'import-finished',
      data: { importId: job.id, commit: job.commit, losses: job.lossCount },
    });
    await eventually(async () => expect((await readdir(folder)).filter((name) => name.startsWith(job.id))).toEqual([]));
  });

  it('say why they failed, and leave no course behind', async () => {
    const job = await client().startImport(upload(await tarOf([['readme', 'no course']])), await token(author));
    expect(await ended(job.id)).toMatchObject({
      state: 'failed',
      courseId: '',
      error: { reason: 'OLX_NO_COURSE', message: 'the archive holds no course.xml' },
    });
    expect(fakes.registered.size).toBeLessThanOrEqual(1);
  });

  it('that fail are dropped at once: their hidden ref, and a course that nobody registered', async () => {
    fakes.refusal = new AppError('conflict', 'ID_TAKEN');
    try {
      const made = await client().startImport(upload(await bigCourse(2)), await token(author));
      expect(await ended(made.id)).toMatchObject({ state: 'failed', error: { reason: 'ID_TAKEN' } });
      const { courseId = '' } = (await imports.find(made.id)) ?? {};
      await eventually(async () => expect(fakes.dropped).toContain(made.id));
      expect([courseId === '', fakes.courses.has(courseId)]).toEqual([false, false]);

      const added = await client().startImport(upload(await bigCourse(2), { courseId: course }), await token(author));
      expect(await ended(added.id)).toMatchObject({ state: 'failed', courseId: course });
      await eventually(async () => expect(fakes.dropped).toContain(added.id));
      expect(fakes.courses.get(course)?.hidden.has(added.id)).toBe(false);
      expect(fakes.courses.get(course)?.nodes.has(lesson)).toBe(true);

      fakes.away = true;
      const kept = await client().startImport(upload(await bigCourse(1)), await token(author));
      expect(await ended(kept.id)).toMatchObject({ state: 'failed', error: { reason: 'ID_TAKEN' } });
      expect(fakes.courses.has((await imports.find(kept.id))?.courseId ?? '')).toBe(true);
    } finally {
      Object.assign(fakes, { refusal: undefined, away: false });
    }
  });

  it('that end well are not dropped', async () => {
    const job = await client().startImport(upload(await bigCourse(1)), await token(author));
    expect(await ended(job.id)).toMatchObject({ state: 'done' });
    await eventually(async () => expect((await readdir(folder)).filter((name) => name.startsWith(job.id))).toEqual([]));
    expect(fakes.dropped).not.toContain(job.id);
  });

  it('are refused before they begin when they cannot be', async () => {
    const tar = await bigCourse(1);
    await expect(client().startImport(upload(tar, { format: 'scorm' }), await token(author))).rejects.toMatchObject({
      reason: 'UNKNOWN_FORMAT',
    });
    await expect(
      client().startImport(upload(tar, { mediaType: 'application/zip' }), await token(author)),
    ).rejects.toMatchObject({ reason: 'ARCHIVE_TYPE_MISMATCH' });
    await expect(
      client().startImport(upload(tar, { mediaType: 'text/plain' }), await token(author)),
    ).rejects.toMatchObject({ reason: 'ARCHIVE_TYPE' });
    await expect(client().startImport(upload(Buffer.alloc(0)), await token(author))).rejects.toMatchObject({
      reason: 'EMPTY_ARCHIVE',
    });
    await expect(client().startImport(upload(Buffer.alloc(1_100_000)), await token(author))).rejects.toMatchObject({
      kind: 'too_large',
    });
    await expect(client().startImport(upload(tar), await token(as('learner')))).rejects.toMatchObject({
      reason: 'FORBIDDEN',
    });
    await expect(
      client().startImport(upload(tar, { courseId: course }), await token(as('reviewer'))),
    ).rejects.toMatchObject({ reason: 'FORBIDDEN' });
    await expect(client().startImport([], await token(author))).rejects.toMatchObject({
      reason: 'IMPORT_HEADER_MISSING',
    });
    expect(await readdir(folder)).toEqual(['spool-id']);
  });

  it('into a course add to what is there, and ask for the role again', async () => {
    const before = fakes.courses.get(course)?.nodes.size ?? 0;
    const job = await client().startImport(upload(await bigCourse(2), { courseId: course }), await token(author));
    expect(await ended(job.id)).toMatchObject({ state: 'done', courseId: course });
    expect(fakes.courses.get(course)?.nodes.size).toBe(before + 4);
    fakes.roles = ['learner'];
    const late = await client().startImport(upload(await bigCourse(1), { courseId: course }), await token(author));
    expect(await ended(late.id)).toMatchObject({ state: 'failed', error: { reason: 'FORBIDDEN' } });
    fakes.roles = ['author'];
  });

  it('exist for their starter and the staff only', async () => {
    const job = await client().startImport(upload(await bigCourse(1)), await token(author));
    await ended(job.id);
    await expect(
      client().getImport({ id: job.id }, await token({ sub: 'other', roles: ['author'], grants: [] })),
    ).rejects.toMatchObject({ reason: 'IMPORT_NOT_FOUND' });
    await expect(client().getImport({ id: 'nonsense' }, await token(author))).rejects.toMatchObject({
      reason: 'IMPORT_NOT_FOUND',
    });
    expect(
      await client().getImport({ id: job.id }, await token({ sub: 'root', roles: ['admin'], grants: [] })),
    ).toMatchObject({ id: job.id });
  });

  it('wait while the body store is away, and go on by themselves', async () => {
    mongoDown = true;
    const job = await client().startImport(upload(await bigCourse(3)), await token(author));
    const waiting = {
      name: 't_waiting',
      text: 'SELECT 1 AS one FROM "import" WHERE id = $1 AND lease_holder IS NULL AND lease_until > now()',
    };
    await eventually(async () => expect(await sql.rows(waiting, [job.id])).toHaveLength(1));
    expect(await imports.find(job.id)).toMatchObject({ state: 'running', attempts: 0, done: 0 });
    mongoDown = false;
    expect(await ended(job.id)).toMatchObject({ state: 'done' });
  });

  it('whose process died are taken up when their lease has run out, and by nobody before', async () => {
    const id = newId();
    const spoolId = await createSpool(folder).id();
    await imports.create(newImport({ id, courseId: newId(), newCourse: true, spoolId }), author, undefined);
    const holder = newId();
    // Whoever is quicker, the running service or this test, has it alone.
    const claim = { spoolId, ms: 500, except: [], onlyFresh: false };
    const mine = await imports.claim({ ...claim, holder });
    if (mine?.id === id) {
      expect(await imports.claim({ ...claim, holder: newId() })).toBeUndefined();
      expect(await imports.renew({ id, token: mine.token - 1 }, 500)).toBe(false);
      expect(await imports.renew(mine, 500)).toBe(true);
    }
    // Its archive is not there, so that the one who takes it up can only say so.
    expect(await ended(id)).toMatchObject({ state: 'failed', error: { reason: 'ARCHIVE_LOST' } });
  });
});
