import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '@coursewright/platform/ids';
import { eventually } from '@coursewright/platform/testing/eventually';
import pg from 'pg';
import type { Answer, Api } from '../src/api.js';
import { makeCourse, saveLesson, textLesson, type SmallCourse } from '../src/course.js';
import { apiOf, command, sqlOf, startTestSystem, type System } from '../src/system.js';

let system: System;
let api: Api;

beforeAll(async () => {
  system = await startTestSystem();
  api = apiOf(system);
}, 180_000);
afterAll(() => system?.stop(), 60_000);

function rows<T extends pg.QueryResultRow>(service: string, text: string): Promise<T[]> {
  return sqlOf(system, service).run<T>(text);
}

/** Holds the counter of a course's events in versioning, so that a commit stops just before its end. */
async function holdCounter(courseId: string): Promise<{ isWaitedFor(): Promise<void>; release(): Promise<void> }> {
  const url = new URL(system.servers.postgres);
  url.pathname = '/cw_versioning';
  const holder = new pg.Client({ connectionString: url.href });
  await holder.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT n FROM course_seq WHERE course_id = $1 FOR UPDATE', [courseId]);
  return {
    async isWaitedFor() {
      const waiting = `SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() <> pid AND database =
        (SELECT oid FROM pg_database WHERE datname = 'cw_versioning')
        UNION ALL SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'`;
      await eventually(async () => expect(await rows('versioning', waiting)).not.toEqual([]), 8_000);
    },
    async release() {
      await holder.query('ROLLBACK');
      await holder.end();
    },
  };
}

/** Every event of versioning took effect exactly once at every consumer: nothing missing, nothing parked, nothing buried. */
async function expectAllConsumed(): Promise<void> {
  await eventually(async () => {
    const said = await rows<{ course_id: string; n: string }>(
      'versioning',
      'SELECT course_id, n FROM course_seq ORDER BY 1',
    );
    for (const consumer of ['catalog', 'review', 'deployment']) {
      const taken = await rows<{ course_id: string; n: string; parked_at: Date | null }>(
        consumer,
        `SELECT course_id, seq AS n, parked_at FROM inbox WHERE source = 'versioning' ORDER BY 1`,
      );
      expect(taken).toEqual(said.map((row) => ({ ...row, parked_at: null })));
      expect(await rows(consumer, 'SELECT 1 FROM dead_letter')).toEqual([]);
    }
  }, 30_000);
}

/** As a careful client does: the same request under the same key, until it is answered for good. */
async function insist(method: string, path: string, json: object, headers: Record<string, string>): Promise<Answer> {
  const key = newId();
  for (const end = Date.now() + 30_000; ;) {
    try {
      const answer = await api.send(method, path, {
        json,
        headers: { ...headers, 'idempotency-key': key },
        timeoutMs: 5_000,
      });
      if (answer.status < 500 && answer.body['reason'] !== 'IN_PROGRESS') return answer;
      if (Date.now() > end) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('kill -9 of a process under load', () => {
  for (const name of ['versioning', 'content', 'catalog', 'gateway', 'review', 'deployment'] as const) {
    it(`${name}: back within 5 s, every write once, every event once`, async () => {
      const course = await makeCourse(api, `Killing ${name}`, 4);
      const before = (await api.all(`/courses/${course.id}/commits`)).length;
      const etags = new Map<string, string>();
      for (const lesson of course.lessons) etags.set(lesson, (await api.get(`/lessons/${lesson}/content`)).etag);
      const restarts = system.restarts(name);
      const rounds = 6;
      let writes = 0;
      const writer = async (lesson: string): Promise<void> => {
        for (let round = 0; round < rounds; round += 1) {
          const answer = await insist('PUT', `/lessons/${lesson}/content`, textLesson(`${name} ${round}`), {
            'if-match': etags.get(lesson)!,
          });
          expect([answer.status, answer.body['reason']]).toEqual([200, undefined]);
          etags.set(lesson, answer.etag);
          writes += 1;
        }
      };
      const load = Promise.all(course.lessons.map(writer));
      await eventually(() => expect(writes).toBeGreaterThan(3));
      const killed = performance.now();
      system.kill(name);
      await eventually(() => expect(system.restarts(name)).toBeGreaterThan(restarts));
      await system.ready(name);
      expect(performance.now() - killed).toBeLessThan(5_000);
      await load;
      expect(writes).toBe(course.lessons.length * rounds);
      expect(await api.all(`/courses/${course.id}/commits`)).toHaveLength(before + writes);
      await expectAllConsumed();
    }, 90_000);
  }

  it('a repeat with the key of an interrupted write answers with its first result', async () => {
    const course = await makeCourse(api, 'Interrupted', 1);
    const path = `/lessons/${course.lessons[0]}/content`;
    const { etag } = await api.get(path);
    const before = await api.all(`/courses/${course.id}/commits`);
    const request = { json: textLesson('once'), headers: { 'if-match': etag, 'idempotency-key': newId() } };
    // Events are numbered last in the transaction of a commit: who holds the counter holds a write that has arrived.
    const counter = await holdCounter(course.id);
    const first = api.send('PUT', path, { ...request, timeoutMs: 10_000 }).catch(() => undefined);
    await counter.isWaitedFor();
    system.kill('gateway');
    expect(await first).toBeUndefined();
    await counter.release();
    await system.ready('gateway');
    await eventually(async () =>
      expect(await api.all(`/courses/${course.id}/commits`)).toHaveLength(before.length + 1),
    );
    const second = await eventually(() => api.send('PUT', path, request));
    const third = await api.send('PUT', path, request);
    expect([second.status, third.status]).toEqual([200, 200]);
    expect(third.body).toEqual(second.body);
    expect(third.etag).toBe(second.etag);
    expect(third.headers.get('commit')).toBe(second.headers.get('commit'));
    const after = await api.all<{ hash: string }>(`/courses/${course.id}/commits`);
    expect(after).toHaveLength(before.length + 1);
    expect(after[0]!.hash).toBe(second.headers.get('commit'));
    const created = { json: { title: 'Only one' }, headers: { 'idempotency-key': newId() } };
    const [one, two] = [await api.send('POST', '/courses', created), await api.send('POST', '/courses', created)];
    expect(two).toMatchObject({ status: 201, body: { id: one.body['id'] } });
    const reused = await api.send('POST', '/courses', { ...created, json: { title: 'Another' } });
    expect(reused).toMatchObject({ status: 422, body: { reason: 'IDEMPOTENCY_KEY_REUSED' } });
  }, 60_000);
});

describe('with a data server away', () => {
  let course: SmallCourse;
  beforeAll(async () => {
    course = await makeCourse(api, 'Weathered', 2);
    await saveLesson(api, course.lessons[0]!, 'before');
  }, 30_000);

  it('Redis: reads and lists stay right', async () => {
    await system.stopServer('redis');
    const renamed = await api.send('PATCH', `/courses/${course.id}`, {
      json: { title: 'Weathered twice' },
      headers: { 'if-match': (await api.get(`/courses/${course.id}`)).etag },
    });
    expect(renamed.status).toBe(200);
    await eventually(async () => {
      const list = await api.get<{ items: { id: string; title: string }[] }>('/courses?query=weathered');
      expect(list.body.items).toMatchObject([{ id: course.id, title: 'Weathered twice' }]);
    });
    expect((await api.get(`/lessons/${course.lessons[0]}/rendered`)).status).toBe(200);
    await system.startServer('redis');
    const after = await api.get<{ items: { title: string }[] }>('/courses?query=weathered');
    expect(after.body.items.map((item) => item.title)).toEqual(['Weathered twice']);
  }, 60_000);

  it('NATS: writes succeed and events arrive once it is back', async () => {
    await system.stopServer('nats');
    const added = await api.send<{ id: string }>('POST', `/courses/${course.id}/units`, {
      json: { title: 'Written in silence' },
    });
    expect(added.status).toBe(201);
    await system.startServer('nats');
    await eventually(async () => {
      const list = await api.get<{ items: { counts: { units: number } }[] }>('/courses?query=weathered');
      expect(list.body.items[0]?.counts.units).toBe(2);
    }, 20_000);
    await expectAllConsumed();
  }, 60_000);

  it('MongoDB: saves answer 503 with Retry-After and nothing is half-done', async () => {
    const lesson = course.lessons[1]!;
    const { etag } = await api.get(`/lessons/${lesson}/content`);
    const { body } = await api.get<{ head: string }>(`/courses/${course.id}`);
    await system.stopServer('mongodb');
    const request = { json: textLesson('not yet'), headers: { 'if-match': etag, 'idempotency-key': newId() } };
    const refused = await api.send('PUT', `/lessons/${lesson}/content`, request);
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(refused.headers.get('content-type')).toContain('application/problem+json');
    expect((await api.get<{ head: string }>(`/courses/${course.id}`)).body.head).toBe(body.head);
    expect(
      (await api.send('POST', `/courses/${course.id}/units`, { json: { title: 'Structure goes on' } })).status,
    ).toBe(201);
    await system.startServer('mongodb');
    const kept = await eventually(async () => {
      const answer = await api.send('PUT', `/lessons/${lesson}/content`, request);
      expect(answer.status).toBe(200);
      return answer;
    }, 20_000);
    expect(kept.headers.get('commit')).not.toBeNull();
  }, 60_000);

  it('PostgreSQL: everything answers 503 and works again afterwards', async () => {
    await system.stopServer('postgres');
    const answer = await api.send('POST', `/courses/${course.id}/units`, { json: { title: 'No' } });
    expect(answer.status).toBe(503);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    await system.startServer('postgres');
    await eventually(async () => {
      expect((await api.send('POST', `/courses/${course.id}/units`, { json: { title: 'Yes' } })).status).toBe(201);
    }, 20_000);
    await expectAllConsumed();
  }, 60_000);
});

describe('what can be made again', () => {
  it("JetStream's data, wiped while writers write: no gap, no double effect", async () => {
    const course = await makeCourse(api, 'Wiped', 4);
    let writing = true;
    const writer = async (lesson: string): Promise<void> => {
      for (let n = 0; writing; n += 1) expect((await saveLesson(api, lesson, `wipe ${n}`)).status).toBe(200);
    };
    const load = Promise.all(course.lessons.map(writer));
    await system.wipe('nats');
    await new Promise((resolve) => setTimeout(resolve, 500));
    writing = false;
    await load;
    await expectAllConsumed();
    const { body } = await api.get<{ head: string }>(`/courses/${course.id}`);
    await eventually(async () => {
      const list = await api.get<{ items: { head: string }[] }>('/courses?query=wiped');
      expect(list.body.items[0]?.head).toBe(body.head);
    });
  }, 90_000);

  it('a projection that was damaged is what it was after its rebuild, and no other course waits for one that fails', async () => {
    const course = await makeCourse(api, 'Rebuilt', 1);
    for (const module of course.modules) {
      const task = { title: 'Hand it in', kind: 'assignment', fields: { submittable: true } };
      expect((await api.send('POST', `/modules/${module}/lessons`, { json: task })).status).toBe(201);
    }
    await expectAllConsumed();
    const tables = [
      ['catalog', 'course_card', `UPDATE course_card SET topic = 'damaged', title_key = 'damaged'`],
      ['review', 'course_head', `UPDATE course_head SET tree = ''`],
      ['deployment', 'submittable_content', `UPDATE submittable_content SET title = 'damaged'`],
    ] as const;
    for (const [service, table, damage] of tables) {
      const dump = (): Promise<unknown[]> =>
        rows(service, `SELECT to_jsonb(t) AS row FROM ${table} t ORDER BY to_jsonb(t)::text`);
      const settled = async (): Promise<void> => {
        await expectAllConsumed();
        if (service === 'deployment')
          await eventually(async () => expect(await rows(service, 'SELECT 1 FROM content_sync')).toEqual([]), 20_000);
      };
      await settled();
      const before = await dump();
      expect([service, before.length]).not.toEqual([service, 0]);
      await rows(service, damage);
      expect([service, await dump()]).not.toEqual([service, before]);
      const response = await command(system, service, 'rebuild');
      expect([service, response.status]).toEqual([service, 200]);
      await settled();
      expect([service, await dump()]).toEqual([service, before]);
    }
  }, 90_000);
});
