import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { LessonDocument } from '@coursewright/course-model/lesson';
import { normalizeLesson } from '@coursewright/course-model/normalize-lesson';
import type { Actor } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { newId, toHash } from '@coursewright/platform/ids';
import { createLogger } from '@coursewright/platform/logger';
import { createOutbox } from '@coursewright/platform/outbox';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { eventually } from '@coursewright/platform/testing/eventually';
import { createTestDatabase, testServers, type TestDatabase } from '@coursewright/platform/testing/servers';
import { openWorkers } from '@coursewright/platform/workers';
import { createBodyWork } from '../src/operations/body-work.js';
import { MongoClient } from 'mongodb';
import { emptyReport, ImportBook } from '../src/domain/import-report.js';
import { dropImport, forgetFailedImports, type DropDeps } from '../src/operations/drop-imports.js';
import { createImportRunner } from '../src/operations/import-runner.js';
import type { ImportJob, Imports } from '../src/operations/ports.js';
import { runImport, type ImportDeps } from '../src/operations/run-import.js';
import { createFiles } from '../src/store/files.js';
import { createImportLines } from '../src/store/import-lines.js';
import { createImportStore } from '../src/store/imports.js';
import { openBodyStore, type BodyStore } from '../src/store/mongo-bodies.js';
import { createSpool } from '../src/store/spool.js';
import { FakeServices } from './fake-versioning.js';
import { caseBytes, fieldCase } from './field-support.js';
import { bigCourse, newImport, streamOf, tarOf } from './support.js';

const migrations = new URL('../prisma/migrations', import.meta.url).pathname;
const limits = { entries: 10_000, names: 1_000_000, fileBytes: 20_000_000, totalBytes: 100_000_000, ratio: 100 };
const author: Actor = { sub: 'ann', roles: ['author'], grants: [] };

let database: TestDatabase;
let sql: PgDatabase;
let folder: string;
let mongoUrl: string;
let bodies: BodyStore;
let imports: Imports;
let fakes = new FakeServices();

const workers = openWorkers(new URL('../src/body-worker.js', import.meta.url));
const work = createBodyWork(workers);

function deps(): ImportDeps {
  return {
    bodies,
    work,
    versioning: fakes,
    catalog: fakes,
    imports,
    lines: createImportLines(sql),
    files: createFiles(join(folder, 'files')),
    spool: createSpool(folder),
    limits,
  };
}

beforeAll(async () => {
  database = await createTestDatabase('imports', migrations);
  sql = openDatabase({ url: database.url });
  folder = await mkdtemp(join(tmpdir(), 'cw-imports-'));
  const base = new URL(testServers().mongodb);
  base.pathname = `/t_imports_${randomBytes(5).toString('hex')}`;
  mongoUrl = base.href;
  bodies = openBodyStore(mongoUrl, createLogger('test', 'silent'));
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
  await rm(folder, { recursive: true });
});

describe('an import into a course that takes no writes', () => {
  it('waits while nobody has deleted the course, and fails when somebody has', async () => {
    for (const isDeleted of [false, true]) {
      fakes = new FakeServices();
      const courseId = newId();
      fakes.addLesson(courseId, newId());
      fakes.refusal = new AppError('conflict', 'COURSE_CLOSED');
      const all = { ...deps(), newId, logger: createLogger('test', 'silent') };
      const id = newId();
      await all.spool.write(id, streamOf(await bigCourse(1)), 1e9);
      const spoolId = await all.spool.id();
      await imports.create(
        newImport({ id, courseId, newCourse: false, startedBy: { sub: 'ann' }, spoolId }),
        author,
        undefined,
      );
      const runner = createImportRunner({ ...all, retryMs: 20, pollMs: 20 });
      await runner.start?.();
      await eventually(async () => expect((await imports.find(id))?.token).toBeGreaterThan(2));
      expect(await imports.find(id)).toMatchObject({ state: 'running', error: null });
      if (isDeleted) fakes.deleted.add(courseId);
      else fakes.refusal = undefined;
      await eventually(async () => expect((await imports.find(id))?.state).not.toBe('running'));
      expect(await imports.find(id)).toMatchObject(
        isDeleted ? { state: 'failed', error: { reason: 'COURSE_CLOSED' } } : { state: 'done', error: null },
      );
      await runner.stop?.();
    }
  });
});

describe('an import that dies', () => {
  it('at any step is the same import when it is run again', async () => {
    const bytes = await bigCourse(5);
    const calls = ['putMany', 'createCourse', 'applyStep', 'saveStep', 'graft', 'registerCourse', 'finish'];
    let crashes = 0;
    for (const name of calls) {
      for (const [nth, when] of [
        [1, 'before'],
        [1, 'after'],
        [2, 'before'],
        [2, 'after'],
      ] as const) {
        fakes = new FakeServices();
        const plain = { ...deps(), step: { ops: 4, bodies: 2 } };
        const id = newId();
        await plain.spool.write(id, streamOf(bytes), 1e9);
        const startedBy = { sub: 'ann' };
        const spoolId = await plain.spool.id();
        await imports.create(
          newImport({ id, courseId: newId(), newCourse: true, startedBy, spoolId }),
          author,
          undefined,
        );
        const job = await imports.claim({ holder: newId(), spoolId, ms: 600_000, except: [], onlyFresh: false });
        if (!job) throw new Error('nothing to be taken up');
        let count = 0;
        const crash = <T extends object>(port: T): T =>
          new Proxy(port, {
            get(target, key) {
              const value: unknown = Reflect.get(target, key);
              if (typeof value !== 'function') return value;
              return async (...args: unknown[]) => {
                const dies = key === name && ++count === nth;
                if (dies && when === 'before') throw new Error('killed');
                const result: unknown = await Reflect.apply(value, target, args);
                if (dies) throw new Error('killed');
                return result;
              };
            },
          });
        const mortal = {
          ...plain,
          bodies: crash(plain.bodies),
          versioning: crash(fakes),
          catalog: crash(fakes),
          imports: crash(imports),
        };
        const died = await runImport(mortal, job, new AbortController().signal).then(
          () => false,
          (error: Error) => error.message === 'killed',
        );
        if (died) crashes++;
        const book = new ImportBook();
        const present = await imports.find(id);
        if (present?.state === 'running') await runImport(plain, job, new AbortController().signal, book);
        expect(await imports.find(id)).toMatchObject({
          state: 'done',
          done: 7,
          total: 7,
          report: { read: 13, mapped: 13, lossCount: 0 },
        });
        const made = fakes.courses.get(job.courseId);
        expect(made?.nodes.size).toBe(7);
        expect(
          [...(made?.nodes.values() ?? [])].filter((node) => node.kind === 'lesson' && node.body === null),
        ).toEqual([]);
        expect(
          await sql.rows({ name: 't_events', text: 'SELECT 1 AS one FROM outbox WHERE course_id = $1' }, [
            job.courseId,
          ]),
        ).toHaveLength(1);
        await plain.spool.remove(id);
      }
    }
    expect(crashes).toBe(20);
  }, 120_000);
});

describe('a source that is imported again', () => {
  const olx = (inner: string, title = 'T', run = 'c') =>
    tarOf([['course.xml', `<course url_name="${run}" display_name="${title}">${inner}</course>`]]);
  const unit = (name: string, inner: string) =>
    `<chapter url_name="${name}"><sequential url_name="m-${name}">${inner}</sequential></chapter>`;
  const lesson = (name: string, inner: string) =>
    `<vertical url_name="${name}" display_name="${name}">${inner}</vertical>`;
  const html = (name: string, text: string) => `<html url_name="${name}">${text}</html>`;

  /** Imports into a course, or into a new one; answers the job as it ended, or the reason why it did not. */
  async function bring(
    bytes: Buffer,
    courseId?: string,
    meanwhile?: () => void,
  ): Promise<ImportJob & { reason?: string }> {
    const own = { ...deps(), step: { ops: 3, bodies: 2 } };
    const id = newId();
    await own.spool.write(id, streamOf(bytes), 1e9);
    const spoolId = await own.spool.id();
    const made = { id, courseId: courseId ?? newId(), newCourse: courseId === undefined, spoolId };
    const { job } = await imports.create(newImport(made), author, undefined);
    const watched = Object.assign(Object.create(imports) as Imports, {
      saveStep: async (...args: Parameters<Imports['saveStep']>) => {
        const kept = await imports.saveStep(...args);
        meanwhile?.();
        return kept;
      },
    });
    const book = new ImportBook();
    const reason = await runImport({ ...own, imports: watched }, job, new AbortController().signal, book).then(
      () => undefined,
      (error: { reason?: string; message: string }) => error.reason ?? error.message,
    );
    await own.spool.remove(id);
    return { ...((await imports.find(id)) ?? job), ...(reason === undefined ? {} : { reason }) };
  }

  const tree = (courseId: string) => [...(fakes.courses.get(courseId)?.nodes.values() ?? [])];
  const find = (courseId: string, key: string) => tree(courseId).find((node) => node.source.key === key);
  async function docOf(courseId: string, key: string): Promise<LessonDocument> {
    return bodies.get(courseId, find(courseId, key)?.body ?? '');
  }
  const childKeys = (courseId: string, key: string) =>
    tree(courseId)
      .filter((node) => node.parentId === find(courseId, key)?.id)
      .map((node) => node.source.key);

  it('changes nothing when it is the same, and makes no commit', async () => {
    fakes = new FakeServices();
    const bytes = await olx(unit('a', lesson('l', html('h', 'x'))) + unit('b', lesson('k', html('i', 'y'))));
    const first = await bring(bytes);
    const before = tree(first.courseId).map((node) => ({ ...node }));
    const { head } = fakes.courses.get(first.courseId) ?? {};
    const second = await bring(bytes, first.courseId);
    expect(second).toMatchObject({ state: 'done', commit: head });
    expect(tree(first.courseId)).toEqual(before);
  });

  it('updates, moves, adds and reorders by source, and keeps every id', async () => {
    fakes = new FakeServices();
    const first = await bring(
      await olx(
        unit('a', lesson('l', html('h', 'old') + html('g', 'same')) + lesson('k', html('i', 'y'))) + unit('b', ''),
      ),
    );
    const ids = new Map(tree(first.courseId).map((node) => [node.source.key, node.id]));
    const items = (await docOf(first.courseId, 'vertical/l')).materials.map((item) => item.id);
    const next = await bring(
      await olx(
        unit('b', lesson('k', html('i', 'y'))) +
          unit(
            'a',
            lesson('new', html('j', 'z')) +
              `<vertical url_name="l" display_name="Titled">${html('g', 'same')}${html('h', 'new')}</vertical>`,
          ),
        'Renamed',
      ),
      first.courseId,
    );
    expect(next).toMatchObject({ state: 'done' });
    for (const [key, id] of ids) expect(find(first.courseId, key)?.id).toBe(id);
    expect(childKeys(first.courseId, 'sequential/m-b')).toEqual(['vertical/k']);
    expect(childKeys(first.courseId, 'sequential/m-a')).toEqual(['vertical/new', 'vertical/l']);
    expect(
      tree(first.courseId)
        .filter((node) => node.kind === 'unit')
        .map((node) => node.source.key),
    ).toEqual(['chapter/b', 'chapter/a']);
    expect(find(first.courseId, 'vertical/l')?.fields['title']).toBe('Titled');
    expect(fakes.courses.get(first.courseId)?.fields['title']).toBe('Renamed');
    const doc = await docOf(first.courseId, 'vertical/l');
    expect(doc.materials.map((item) => [item.id, item.content])).toEqual([
      [items[1], 'same'],
      [items[0], 'new'],
    ]);
  });

  it('drops nothing that somebody wrote here or that the source no longer has', async () => {
    fakes = new FakeServices();
    const first = await bring(await olx(unit('a', lesson('l', html('h', 'old')) + lesson('gone', html('i', 'y')))));
    const doc = await docOf(first.courseId, 'vertical/l');
    const written = normalizeLesson({ ...doc, exercises: [{ type: 'own', content: 'mine' }] }, doc, newId);
    if (!written.ok) throw new Error('unfit');
    await bodies.putMany(first.courseId, [written.body]);
    const node = find(first.courseId, 'vertical/l');
    fakes.courses.get(first.courseId)?.nodes.set(node?.id ?? '', { ...node!, body: toHash(written.body.hash) });
    const next = await bring(await olx(unit('a', lesson('l', html('h', 'new')))), first.courseId);
    expect(next.report.losses).toMatchObject([{ source: 'vertical/gone', kept: true }]);
    expect(find(first.courseId, 'vertical/gone')).toBeDefined();
    const after = await docOf(first.courseId, 'vertical/l');
    expect([after.materials[0]?.content, after.exercises[0]?.content]).toEqual(['new', 'mine']);
    expect(after.order).toEqual([doc.materials[0]?.id, written.body.doc.exercises[0]?.id]);
  });

  it('is refused when the course moved on meanwhile, with nothing done', async () => {
    fakes = new FakeServices();
    const first = await bring(await olx(unit('a', lesson('l', html('h', 'old')))));
    const before = tree(first.courseId);
    const next = await bring(await olx(unit('a', lesson('l', html('h', 'new')))), first.courseId, () => {
      const course = fakes.courses.get(first.courseId);
      if (course) course.head = 'x'.repeat(43);
    });
    expect(next.reason).toBe('STALE');
    expect(tree(first.courseId)).toEqual(before);
  });

  it('is added as new where the course holds nothing of it', async () => {
    fakes = new FakeServices();
    const first = await bring(await olx(unit('a', lesson('l', html('h', 'x')))));
    const second = await bring(await olx(unit('z', lesson('q', html('r', 'x')))), first.courseId);
    expect(second).toMatchObject({ state: 'done' });
    expect(tree(first.courseId).filter((node) => node.kind === 'unit')).toHaveLength(2);
    expect(second.report.losses.map(({ source }) => source)).toEqual(['chapter/a', 'sequential/m-a', 'vertical/l']);
    expect(fakes.courses.get(first.courseId)?.fields['title']).toBe('T');
  });

  it('is added as new where another source has parts of the same names', async () => {
    fakes = new FakeServices();
    const first = await bring(await olx(unit('a', lesson('l', html('h', 'one')))));
    const other = await olx(unit('a', lesson('l', html('h', 'two'))), 'Other', 'other-run');
    const second = await bring(other, first.courseId);
    expect(second).toMatchObject({ state: 'done', report: { losses: [] } });
    expect(tree(first.courseId).filter((node) => node.source.key === 'vertical/l')).toHaveLength(2);
    // Each is found again by its own.
    const third = await bring(
      await olx(unit('a', lesson('l', html('h', 'three'))), 'Other', 'other-run'),
      first.courseId,
    );
    expect(third).toMatchObject({ state: 'done', report: { losses: [] } });
    const docs = await Promise.all(
      tree(first.courseId)
        .filter((node) => node.source.key === 'vertical/l')
        .map(async (node) => (await bodies.get(first.courseId, node.body ?? '')).materials[0]?.content),
    );
    expect(docs).toEqual(['one', 'three']);
  });

  /** Somebody edits the text of an item here. */
  async function edit(courseId: string, content: string, key = 'vertical/l'): Promise<void> {
    const doc = await docOf(courseId, key);
    const materials = doc.materials.map((item) => ({ ...item, content }));
    const edited = normalizeLesson({ ...doc, materials }, doc, newId);
    if (!edited.ok) throw new Error('unfit');
    await bodies.putMany(courseId, [edited.body]);
    const node = find(courseId, key);
    const fields = { ...node?.fields, title: 'Renamed here' };
    fakes.courses.get(courseId)?.nodes.set(node?.id ?? '', { ...node!, fields, body: toHash(edited.body.hash) });
  }
  const contentOf = async (courseId: string) => (await docOf(courseId, 'vertical/l')).materials[0]?.content;
  const said = (job: ImportJob) => job.report.losses.map(({ source, what }) => `${source} ${what}`);

  it('leaves an edit that was made here, and names it, as often as it comes', async () => {
    fakes = new FakeServices();
    const bytes = await olx(unit('a', lesson('l', html('h', 'first')) + lesson('k', html('i', 'y'))));
    const { courseId } = await bring(bytes);
    await edit(courseId, 'edited here');
    for (let again = 0; again < 2; again++) {
      const next = await bring(bytes, courseId);
      expect(next).toMatchObject({ state: 'done' });
      expect(said(next)).toEqual([
        'vertical/l was edited here (title); that stays',
        'vertical/l was edited here (content); that stays',
      ]);
    }
    const corrected = await olx(unit('a', lesson('l', html('h', 'first')) + lesson('k', html('i', 'corrected'))));
    expect(await bring(corrected, courseId)).toMatchObject({ state: 'done' });
    expect((await docOf(courseId, 'vertical/k')).materials[0]?.content).toBe('corrected');
    expect(await contentOf(courseId)).toBe('edited here');
    expect(find(courseId, 'vertical/l')?.fields['title']).toBe('Renamed here');
  });

  fieldCase('leaves the edit of a real archive that comes again, and names it (reimport-a)', async () => {
    fakes = new FakeServices();
    const { courseId } = await bring(caseBytes('reimport-a'));
    const doc = await docOf(courseId, 'vertical/v1');
    const [intro] = doc.materials;
    await edit(courseId, '<p>Edited here.</p>', 'vertical/v1');
    const next = await bring(caseBytes('reimport-a'), courseId);
    expect(next).toMatchObject({ state: 'done' });
    expect(said(next)).toEqual([
      'vertical/v1 was edited here (title); that stays',
      'vertical/v1 was edited here (content); that stays',
    ]);
    expect((await docOf(courseId, 'vertical/v1')).materials).toMatchObject([
      { id: intro?.id, content: '<p>Edited here.</p>' },
    ]);
    expect(find(courseId, 'vertical/v1')?.fields['title']).toBe('Renamed here');
  });

  it('is refused with the list of what was edited here and changed in the source, and changes nothing', async () => {
    fakes = new FakeServices();
    const course = (text: string, other: string) =>
      olx(
        unit(
          'a',
          `<vertical url_name="l" display_name="${text}">${html('h', text)}</vertical>` + lesson('k', html('i', other)),
        ),
      );
    const { courseId } = await bring(await course('first', 'y'));
    await edit(courseId, 'edited here');
    // The edit was kept once: that does not make it the source's.
    expect(await bring(await course('first', 'z'), courseId)).toMatchObject({ state: 'done' });
    const before = tree(courseId).map((node) => ({ ...node }));
    const next = await bring(await course('second', 'w'), courseId);
    expect(next.reason).toBe('STALE');
    expect(tree(courseId)).toEqual(before);
    const lines = await createImportLines(sql).losses(next, { from: 0, limit: 10 });
    expect(lines.map(({ source, what }) => `${source} ${what}`)).toEqual([
      'vertical/l was edited here (title) and has changed in its source since its last import',
      'vertical/l was edited here (content) and has changed in its source since its last import',
    ]);
  });
});

describe('an import that failed', () => {
  const error = { reason: 'OLX_NO_COURSE', message: 'no course' };

  /** One that failed so many days ago; its course has nothing but a hidden ref. */
  async function failed(daysAgo: number): Promise<ImportJob> {
    const own = deps();
    const [id, courseId] = [newId(), newId()];
    const made = { id, courseId, newCourse: true, spoolId: await own.spool.id() };
    const { job } = await imports.create(newImport(made), author, undefined);
    const source = { format: 'olx', key: 'course' };
    await fakes.createCourse({ courseId, fields: {}, source }, { person: job.startedBy });
    fakes.courses.get(courseId)?.hidden.set(id, new Map());
    expect(await imports.fail(job, error, emptyReport())).toBe(true);
    const text = 'UPDATE "import" SET finished_at = now() - $2::float * interval \'1 day\' WHERE id = $1';
    await sql.rows({ name: 't_age', text }, [id, daysAgo]);
    return job;
  }

  function dropping(more: Partial<DropDeps> = {}): DropDeps {
    return { ...deps(), logger: createLogger('test', 'silent'), ...more };
  }

  const sweep = (more: Partial<DropDeps> = {}) => forgetFailedImports(dropping(more), new AbortController().signal);

  it('is forgotten after 14 days, once versioning has dropped it', async () => {
    fakes = new FakeServices();
    const old = await Promise.all(Array.from({ length: 103 }, () => failed(14.01)));
    const young = await failed(13.99);
    await sweep();
    expect([...fakes.dropped].sort()).toEqual(old.map((job) => job.id).sort());
    for (const { id, courseId } of [old[0]!, old.at(-1)!])
      expect([await imports.find(id), fakes.courses.has(courseId)]).toEqual([undefined, false]);
    expect(await imports.find(young.id)).toMatchObject({ state: 'failed' });
    expect(fakes.courses.get(young.courseId)?.hidden.has(young.id)).toBe(true);
  });

  it('is kept while versioning is away or refuses, and keeps no other from being forgotten', async () => {
    fakes = new FakeServices();
    const [first, second] = [await failed(20), await failed(20)];
    fakes.away = true;
    await sweep();
    expect(await imports.find(first.id)).toMatchObject({ state: 'failed' });
    expect(await imports.find(second.id)).toMatchObject({ state: 'failed' });
    fakes.away = false;
    const versioning: DropDeps['versioning'] = {
      dropImport: async (what) => {
        if (what.importId === first.id) throw new AppError('internal', 'OBJECT_MISSING');
        await fakes.dropImport(what);
      },
    };
    await sweep({ versioning });
    expect(await imports.find(first.id)).toMatchObject({ state: 'failed' });
    expect(await imports.find(second.id)).toBeUndefined();
    await sweep();
    expect(await imports.find(first.id)).toBeUndefined();
  });

  it('never takes a course with it that catalog has, nor one that was there before', async () => {
    fakes = new FakeServices();
    const [registered, older] = [await failed(0), await failed(0)];
    await fakes.registerCourse({ courseId: registered.courseId, owner: 'ann' });
    await dropImport(dropping(), registered);
    await dropImport(dropping(), { ...older, newCourse: false });
    await dropImport(dropping(), registered);
    expect(fakes.dropped).toEqual([registered.id, older.id, registered.id]);
    for (const { courseId } of [registered, older]) expect(fakes.courses.get(courseId)?.hidden.size).toBe(0);
  });
});
