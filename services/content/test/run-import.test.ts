import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import { createLogger } from '@coursewright/platform/logger';
import { eventually } from '@coursewright/platform/testing/eventually';
import { emptyReport, ImportBook } from '../src/domain/import-report.js';
import { dropImport, forgetFailedImports, type DropDeps } from '../src/operations/drop-imports.js';
import { createImportRunner } from '../src/operations/import-runner.js';
import type { ImportJob } from '../src/operations/ports.js';
import { runImport } from '../src/operations/run-import.js';
import { FakeServices } from './fake-versioning.js';
import { author, ImportWorld } from './import-world.js';
import { bigCourse, newImport, streamOf } from './support.js';

let world: ImportWorld;
beforeAll(async () => {
  world = await ImportWorld.start();
});
afterAll(() => world.stop());

describe('an import into a course that takes no writes', () => {
  it('waits while nobody has deleted the course, and fails when somebody has', async () => {
    for (const isDeleted of [false, true]) {
      world.fakes = new FakeServices();
      const courseId = newId();
      world.fakes.addLesson(courseId, newId());
      world.fakes.refusal = new AppError('conflict', 'COURSE_CLOSED');
      const all = { ...world.deps(), newId, logger: createLogger('test', 'silent') };
      const id = newId();
      await all.spool.write(id, streamOf(await bigCourse(1)), 1e9);
      const spoolId = await all.spool.id();
      await world.imports.create(
        newImport({ id, courseId, newCourse: false, startedBy: { sub: 'ann' }, spoolId }),
        author,
        undefined,
      );
      const runner = createImportRunner({ ...all, retryMs: 20, pollMs: 20 });
      await runner.start?.();
      await eventually(async () => expect((await world.imports.find(id))?.token).toBeGreaterThan(2));
      expect(await world.imports.find(id)).toMatchObject({ state: 'running', error: null });
      if (isDeleted) world.fakes.deleted.add(courseId);
      else world.fakes.refusal = undefined;
      await eventually(async () => expect((await world.imports.find(id))?.state).not.toBe('running'));
      expect(await world.imports.find(id)).toMatchObject(
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
        world.fakes = new FakeServices();
        const plain = { ...world.deps(), step: { ops: 4, bodies: 2 } };
        const id = newId();
        await plain.spool.write(id, streamOf(bytes), 1e9);
        const startedBy = { sub: 'ann' };
        const spoolId = await plain.spool.id();
        await world.imports.create(
          newImport({ id, courseId: newId(), newCourse: true, startedBy, spoolId }),
          author,
          undefined,
        );
        const job = await world.imports.claim({ holder: newId(), spoolId, ms: 600_000, except: [], onlyFresh: false });
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
          versioning: crash(world.fakes),
          catalog: crash(world.fakes),
          imports: crash(world.imports),
        };
        const died = await runImport(mortal, job, new AbortController().signal).then(
          () => false,
          (error: Error) => error.message === 'killed',
        );
        if (died) crashes++;
        const book = new ImportBook();
        const present = await world.imports.find(id);
        if (present?.state === 'running') await runImport(plain, job, new AbortController().signal, book);
        expect(await world.imports.find(id)).toMatchObject({
          state: 'done',
          done: 7,
          total: 7,
          report: { read: 13, mapped: 13, lossCount: 0 },
        });
        const made = world.fakes.courses.get(job.courseId);
        expect(made?.nodes.size).toBe(7);
        expect(
          [...(made?.nodes.values() ?? [])].filter((node) => node.kind === 'lesson' && node.body === null),
        ).toEqual([]);
        expect(
          await world.sql.rows({ name: 't_events', text: 'SELECT 1 AS one FROM outbox WHERE course_id = $1' }, [
            job.courseId,
          ]),
        ).toHaveLength(1);
        await plain.spool.remove(id);
      }
    }
    expect(crashes).toBe(20);
  }, 120_000);
});

describe('an import that failed', () => {
  const error = { reason: 'OLX_NO_COURSE', message: 'no course' };

  /** One that failed so many days ago; its course has nothing but a hidden ref. */
  async function failed(daysAgo: number): Promise<ImportJob> {
    const own = world.deps();
    const [id, courseId] = [newId(), newId()];
    const made = { id, courseId, newCourse: true, spoolId: await own.spool.id() };
    const { job } = await world.imports.create(newImport(made), author, undefined);
    const source = { format: 'olx', key: 'course' };
    await world.fakes.createCourse({ courseId, fields: {}, source }, { person: job.startedBy });
    world.fakes.courses.get(courseId)?.hidden.set(id, new Map());
    expect(await world.imports.fail(job, error, emptyReport())).toBe(true);
    const text = 'UPDATE "import" SET finished_at = now() - $2::float * interval \'1 day\' WHERE id = $1';
    await world.sql.rows({ name: 't_age', text }, [id, daysAgo]);
    return job;
  }

  function dropping(more: Partial<DropDeps> = {}): DropDeps {
    return { ...world.deps(), logger: createLogger('test', 'silent'), ...more };
  }

  const sweep = (more: Partial<DropDeps> = {}) => forgetFailedImports(dropping(more), new AbortController().signal);

  it('is forgotten after 14 days, once versioning has dropped it', async () => {
    world.fakes = new FakeServices();
    const old = await Promise.all(Array.from({ length: 103 }, () => failed(14.01)));
    const young = await failed(13.99);
    await sweep();
    expect([...world.fakes.dropped].sort()).toEqual(old.map((job) => job.id).sort());
    for (const { id, courseId } of [old[0]!, old.at(-1)!])
      expect([await world.imports.find(id), world.fakes.courses.has(courseId)]).toEqual([undefined, false]);
    expect(await world.imports.find(young.id)).toMatchObject({ state: 'failed' });
    expect(world.fakes.courses.get(young.courseId)?.hidden.has(young.id)).toBe(true);
  });

  it('is kept while versioning is away or refuses, and keeps no other from being forgotten', async () => {
    world.fakes = new FakeServices();
    const [first, second] = [await failed(20), await failed(20)];
    world.fakes.away = true;
    await sweep();
    expect(await world.imports.find(first.id)).toMatchObject({ state: 'failed' });
    expect(await world.imports.find(second.id)).toMatchObject({ state: 'failed' });
    world.fakes.away = false;
    const versioning: DropDeps['versioning'] = {
      dropImport: async (what) => {
        if (what.importId === first.id) throw new AppError('internal', 'OBJECT_MISSING');
        await world.fakes.dropImport(what);
      },
    };
    await sweep({ versioning });
    expect(await world.imports.find(first.id)).toMatchObject({ state: 'failed' });
    expect(await world.imports.find(second.id)).toBeUndefined();
    await sweep();
    expect(await world.imports.find(first.id)).toBeUndefined();
  });

  it('never takes a course with it that catalog has, nor one that was there before', async () => {
    world.fakes = new FakeServices();
    const [registered, older] = [await failed(0), await failed(0)];
    await world.fakes.registerCourse({ courseId: registered.courseId, owner: 'ann' });
    await dropImport(dropping(), registered);
    await dropImport(dropping(), { ...older, newCourse: false });
    await dropImport(dropping(), registered);
    expect(world.fakes.dropped).toEqual([registered.id, older.id, registered.id]);
    for (const { courseId } of [registered, older]) expect(world.fakes.courses.get(courseId)?.hidden.size).toBe(0);
  });
});
