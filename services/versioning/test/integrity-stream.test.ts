import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import { newId } from '@coursewright/platform/ids';
import { eventually } from '@coursewright/platform/testing/eventually';
import { HashSet } from '../src/domain/hash-set.js';
import { opsCommands } from '../src/ops-commands.js';
import { checkIntegrity, integrityReport } from '../src/operations/check-integrity.js';
import { startService, type TestService } from './support/service.js';

let service: TestService;
let owner: { token: string };
const courseId = newId();
const lessons = Array.from({ length: 1_200 }, newId);

function body(n: number): string {
  return createHash('sha256').update(String(n)).digest('base64url');
}

beforeAll(async () => {
  service = await startService();
  owner = await service.as('author', [courseId]);
  await service.client.createCourse({ courseId, fields: { title: 'Large' } }, await service.service('content'));
  const moduleId = newId();
  const add = (id: string, parentId: string, kind: NodeKind, hash: string) =>
    ({
      op: { $case: 'add', value: { id, parentId, kind, fields: { title: 'x' }, body: hash, source: undefined } },
    }) as const;
  const ops = [
    add(moduleId, courseId, NodeKind.MODULE, ''),
    ...lessons.map((id, n) => add(id, moduleId, NodeKind.LESSON, body(n))),
  ];
  await service.client.commit({ courseId, ops, message: 'All' }, { ...owner, deadlineMs: 30_000 });
});

afterAll(() => service.stop());

describe('a check of a large course', () => {
  it('says how far it has come while it still works, and each problem once', async () => {
    const { content } = service;
    content.wrong.set(body(0), 'missing').set(body(1_199), 'damaged');
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    content.before = async () => (content.asked.length > 1 ? opened : undefined);
    const steps = [];
    for await (const step of checkIntegrity(service.deps, courseId, { stepMs: 20 })) {
      steps.push(step);
      if (steps.filter(({ bodies }) => bodies === 500).length === 3) open();
    }
    const last = steps.at(-1);
    expect(steps.length).toBeGreaterThan(3);
    expect(steps.slice(0, -1).every(({ done }) => !done)).toBe(true);
    expect(last).toMatchObject({ done: true, commits: 2, bodies: 1_200, problemCount: 2 });
    expect(steps.flatMap(({ problems }) => problems.map(({ object }) => object)).sort()).toEqual(
      [body(0), body(1_199)].sort(),
    );
    for (const counted of ['commits', 'objects', 'bodies', 'problemCount'] as const) {
      const values = steps.map((step) => step[counted]);
      expect(values).toEqual([...values].sort((a, b) => a - b));
    }
    expect(content.asked.map(({ hashes }) => hashes.length)).toEqual([500, 500, 200]);
    content.before = async () => undefined;
    content.wrong.clear();
  });

  it('stops when the caller goes', async () => {
    const { content } = service;
    content.asked.length = 0;
    const gone = new Promise<void>((resolve) => {
      content.before = (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            resolve();
            reject(new Error('the asker has gone'));
          });
        });
    });
    const caller = new AbortController();
    const call = { ...owner, requestId: 'r', signal: caller.signal };
    const reading = (async () => {
      for await (const step of service.client.checkIntegrity({ courseId }, { call })) expect(step.done).toBe(false);
    })();
    await eventually(() => expect(content.asked).toHaveLength(1));
    caller.abort();
    await expect(reading).rejects.toMatchObject({ cause: { details: 'Cancelled on client' } });
    await gone;
    expect(content.asked).toHaveLength(1);
    content.before = async () => undefined;
  });

  it('counts all problems and lists a thousand of them', async () => {
    const removed = await service.database.pool.query(
      `DELETE FROM object WHERE course_id = $1 AND kind = 1 AND data LIKE '%"lesson"%' RETURNING hash, data`,
      [courseId],
    );
    expect(removed.rows).toHaveLength(1_200);
    const report = await integrityReport(checkIntegrity(service.deps, courseId));
    expect(report.problemCount).toBe(1_200);
    expect(report.problems).toHaveLength(1_000);
    for (const { hash, data } of removed.rows as { hash: Buffer; data: Buffer }[])
      await service.database.pool.query('INSERT INTO object VALUES ($1, $2, 1, $3, 1, now())', [courseId, hash, data]);
  });

  it('is a command of the operators, too', async () => {
    const { integrity } = opsCommands(service.deps);
    expect(await integrity?.(new URLSearchParams({ course: courseId }))).toMatchObject({
      done: true,
      problemCount: 0,
      problems: [],
      bodies: 1_200,
    });
    service.content.wrong.set(body(7), 'missing');
    expect(await integrity?.(new URLSearchParams({ course: courseId }))).toMatchObject({
      problems: [{ what: 'missing_body', object: body(7) }],
    });
    service.content.wrong.clear();
    expect(await integrity?.(new URLSearchParams({ course: 'x' }))).toMatchObject({ checked: false });
    await expect(integrity?.(new URLSearchParams({ course: newId() }))).rejects.toMatchObject({
      reason: 'COURSE_NOT_FOUND',
    });
  });

  it('fails while content is away, and does not call the course whole', async () => {
    await service.content.leave();
    const steps = service.client.checkIntegrity({ courseId }, owner);
    const read = async (): Promise<boolean[]> => {
      const done: boolean[] = [];
      for await (const step of steps) done.push(step.done);
      return done;
    };
    await expect(read()).rejects.toMatchObject({ kind: 'unavailable', reason: 'SERVICE_UNAVAILABLE' });
  });
});

describe('the set of hashes that a check remembers', () => {
  it('knows what was put in and nothing else, at 16 bytes a slot', () => {
    const set = new HashSet();
    const hash = (n: number): Buffer => createHash('sha256').update(`h${n}`).digest();
    for (let n = 0; n < 20_000; n++) expect(set.add(hash(n))).toBe(true);
    for (let n = 0; n < 20_000; n++) expect([set.add(hash(n)), set.has(hash(n))]).toEqual([false, true]);
    for (let n = 20_000; n < 30_000; n++) expect(set.has(hash(n))).toBe(false);
    expect(set.size).toBe(20_000);
    const zeros = Buffer.alloc(32);
    expect([set.has(zeros), set.add(zeros), set.has(zeros), set.add(zeros)]).toEqual([false, true, true, false]);
  });
});
