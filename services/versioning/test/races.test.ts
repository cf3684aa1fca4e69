import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import { eventually } from '@coursewright/platform/testing/eventually';
import { createBranch, type BranchView } from '../src/operations/branches.js';
import { closeCourse } from '../src/operations/close-course.js';
import type { CommitInput } from '../src/operations/commit.js';
import { CommitQueue } from '../src/operations/commit-queue.js';
import { createCourse } from '../src/operations/create-course.js';
import { getNode, listNodes } from '../src/operations/nodes.js';
import type { WriteOutcome } from '../src/operations/outcomes.js';
import { resolveRef } from '../src/operations/refs.js';
import { bodyHash } from './support/model.js';
import { integrityOf, startService, type TestService } from './support/service.js';

let service: TestService;
let queues: CommitQueue[];
const courseId = newId();
const moduleId = newId();
const lessons = Array.from({ length: 100 }, () => newId());
const author = { id: 'ada', name: 'Ada' };

function input(more: Partial<CommitInput>): CommitInput {
  const plain = {
    base: '',
    expectedHead: '',
    expect: [],
    ops: [],
    start: '',
    message: 'A race',
    kind: 'edit',
  } as const;
  return { courseId, branch: '', author, mayPassProtection: false, command: null, ...plain, ...more };
}

/** Each writer goes to one of two processes in turn. */
function race(inputs: readonly CommitInput[]): Promise<WriteOutcome[]> {
  return Promise.all(inputs.map((one, i) => (queues[i % 2] as CommitQueue).commit(one)));
}

function count(outcomes: readonly WriteOutcome[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

async function head(): Promise<string> {
  return (await resolveRef(service.deps.store, courseId, '')).commit.hash;
}

async function bodyOf(node: string): Promise<string | null> {
  const { store } = service.deps;
  return (await getNode(store, await resolveRef(store, courseId, ''), node)).head.body;
}

beforeAll(async () => {
  service = await startService();
  queues = [new CommitQueue(service.deps), new CommitQueue(service.sibling())];
  await createCourse(service.deps, { courseId, fields: { title: 'Races' }, source: null, author, command: null });
  const base = { op: 'add', position: null, body: null, source: null, fields: { title: 'x' } } as const;
  const ops = [
    { ...base, id: moduleId, parent: courseId, kind: 'module' } as const,
    ...lessons.map((id) => ({ ...base, id, parent: moduleId, kind: 'lesson' }) as const),
  ];
  expect(count(await race([input({ ops })]))).toEqual({ done: 1 });
});

afterAll(() => service.stop());

describe('P3: no lost update', () => {
  it('of a hundred writers with one expected head one wins each revision, the rest are stale', async () => {
    for (let round = 0; round < 3; round++) {
      const expectedHead = await head();
      const bodies = lessons.map((_, i) => bodyHash(100 + ((round * 7 + i) % 100)));
      const outcomes = await race(
        lessons.map((node, i) => input({ expectedHead, ops: [{ op: 'setBody', node, body: bodies[i] ?? null }] })),
      );
      expect(count(outcomes)).toEqual({ done: 1, stale: 99 });
      const winner = outcomes.findIndex(({ outcome }) => outcome === 'done');
      expect(await bodyOf(lessons[winner] ?? '')).toBe(bodies[winner]);
      for (const outcome of outcomes) if (outcome.outcome === 'stale') expect(outcome.head).toBe(await head());
    }
  });

  it('of a hundred writers with one etag of a lesson one wins each revision, the rest are stale with the present state', async () => {
    const node = lessons[0] ?? '';
    for (let round = 0; round < 3; round++) {
      const etag = (await bodyOf(node)) ?? 'none';
      const base = await head();
      const bodies = lessons.map((_, i) => Buffer.from(`${round}/${i}`.padEnd(32, '.')).toString('base64url'));
      const outcomes = await race(
        bodies.map((body) =>
          input({ base, expect: [{ node, part: 'body', etag }], ops: [{ op: 'setBody', node, body }] }),
        ),
      );
      expect(count(outcomes)).toEqual({ done: 1, stale: 99 });
      const winner = bodies[outcomes.findIndex(({ outcome }) => outcome === 'done')];
      expect(await bodyOf(node)).toBe(winner);
      for (const outcome of outcomes) if (outcome.outcome === 'stale') expect(outcome.present?.body).toBe(winner);
    }
  });

  it('a hundred writers on a hundred lessons all succeed, and every edit is in the final tree', async () => {
    const { store } = service.deps;
    const base = await head();
    const before = await resolveRef(store, courseId, '');
    const etags = new Map(
      (await listNodes(store, before, { kinds: ['lesson'], submittableOnly: false, from: [], limit: 200 })).nodes.map(
        (view) => [view.head.id, view.head.body ?? 'none'],
      ),
    );
    const bodyFor = (i: number): string => Buffer.from(`final ${i}`.padEnd(32, '.')).toString('base64url');
    const writers = lessons.map((node, i) =>
      input({
        base,
        expect: [{ node, part: 'body', etag: etags.get(node) ?? '' }],
        ops: [{ op: 'setBody', node, body: bodyFor(i) }],
      }),
    );
    // Meanwhile the module's lessons are put in another order, one by one.
    const reorders = lessons
      .slice(0, 10)
      .map((node) => input({ base, ops: [{ op: 'reorder', node: moduleId, children: [lessons[99] ?? '', node] }] }));
    expect(count(await race([...writers, ...reorders]))).toEqual({ done: 110 });
    const { nodes } = await listNodes(store, await resolveRef(store, courseId, ''), {
      kinds: ['lesson'],
      submittableOnly: false,
      from: [],
      limit: 200,
    });
    expect(new Map(nodes.map((view) => [view.head.id, view.head.body]))).toEqual(
      new Map(lessons.map((id, i) => [id, bodyFor(i)])),
    );
  });

  it('a command that arrives many times at once makes one commit', async () => {
    const command = { actor: 'ada', id: newId(), fingerprint: 'f', kept: 'client' } as const;
    const add = {
      op: 'add',
      id: newId(),
      parent: moduleId,
      position: null,
      kind: 'lesson',
      fields: { title: 'Once' },
      body: null,
      source: null,
    } as const;
    const outcomes = await race(Array.from({ length: 20 }, () => input({ command, ops: [add] })));
    const commits = new Set(outcomes.flatMap((outcome) => (outcome.outcome === 'done' ? [outcome.result.commit] : [])));
    expect(commits.size).toBe(1);
    for (const outcome of outcomes) expect(['done', 'in_progress']).toContain(outcome.outcome);
    const again = await race([input({ command, ops: [add] })]);
    expect(again[0]).toMatchObject({ outcome: 'done', result: { commit: [...commits][0], unchanged: false } });
  });

  it('a name goes to one branch, whoever asks at once', async () => {
    const ask = {
      courseId,
      name: 'wanted',
      from: '',
      isProtected: false,
      metadata: {},
      createdBy: 'ada',
      command: null,
    };
    const results = await Promise.allSettled(
      [service.deps, service.sibling(), service.deps].map((deps) => createBranch(deps, ask)),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('a course is closed with nothing in it that its closer did not see, however many write to it', async () => {
    const { store } = service.deps;
    for (let round = 0; round < 6; round++) {
      const seen = await resolveRef(store, courseId, '');
      const writers = lessons
        .slice(0, 30)
        .map((node, i) => input({ ops: [{ op: 'setBody', node, body: bodyHash((round * 31 + i) % 256) }] }));
      const closing = (async () => {
        for (let turn = 0; turn < round; turn++) await new Promise((resolve) => setImmediate(resolve));
        const result = await closeCourse(service.sibling(), {
          courseId,
          expectedTree: seen.commit.root,
          closed: true,
          turn: 0,
        }).then(
          ({ tree }) => tree,
          (error: { reason: string }) => error.reason,
        );
        return { result, at: await resolveRef(store, courseId, '') };
      })();
      const [outcomes, { result, at }] = await Promise.all([race(writers), closing]);
      const counts = count(outcomes);
      const now = await resolveRef(store, courseId, '');
      if (result === 'STALE') expect(counts).toEqual({ done: 30 });
      else {
        expect(result).toBe(seen.commit.root);
        expect(counts).toEqual({ closed: 30 });
        expect([at.commit.root, now.commit.root]).toEqual([seen.commit.root, seen.commit.root]);
      }
      await closeCourse(service.deps, { courseId, expectedTree: '', closed: false, turn: 0 });
    }
    // Whoever closes whatever is there sees the last of it.
    const [outcomes, { tree }] = await Promise.all([
      race(lessons.map((node, i) => input({ ops: [{ op: 'setBody', node, body: bodyHash((7 * i + 3) % 256) }] }))),
      closeCourse(service.sibling(), { courseId, expectedTree: '', closed: true, turn: 0 }),
    ]);
    expect(outcomes.every(({ outcome }) => outcome === 'done' || outcome === 'closed')).toBe(true);
    expect((await resolveRef(store, courseId, '')).commit.root).toBe(tree);
    await closeCourse(service.deps, { courseId, expectedTree: '', closed: false, turn: 0 });
  });

  it('a repeat that waited behind whoever closes the course gets the first result', async () => {
    const { pool } = service.database;
    const waiting = (n: number): Promise<void> =>
      eventually(async () => {
        const { rows } = await pool.query<{ n: number }>(
          `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        expect(rows[0]?.n).toBe(n);
      });
    const command = () => ({ actor: 'ada', id: newId(), fingerprint: 'f', kept: 'client' }) as const;
    const save = input({
      command: command(),
      expect: [{ node: lessons[7] ?? '', part: 'body', etag: (await bodyOf(lessons[7] ?? '')) ?? 'none' }],
      ops: [{ op: 'setBody', node: lessons[7] ?? '', body: bodyHash(255) }],
    });
    const made = { courseId, name: 'once', from: '', isProtected: false, metadata: {}, createdBy: 'ada' };
    const branch = { ...made, command: command() };
    const sibling = service.sibling();
    const idOf = (told: WriteOutcome | BranchView | undefined): string =>
      told && 'id' in told ? told.id : told?.outcome === 'done' ? told.result.commit : 'nothing was done';
    for (const [first, repeat] of [
      [() => queues[0]?.commit(save), () => queues[1]?.commit(save)],
      [() => createBranch(service.deps, branch), () => createBranch(sibling, branch)],
    ] as const) {
      // The last thing that the first one does is to count its event: there it is held up.
      const holder = await pool.connect();
      await holder.query('BEGIN');
      await holder.query('SELECT n FROM course_seq WHERE course_id = $1 FOR UPDATE', [courseId]);
      const done = first();
      await waiting(1);
      const closing = closeCourse(service.sibling(), { courseId, expectedTree: '', closed: true, turn: 0 });
      await waiting(2);
      const again = repeat();
      await waiting(3);
      await holder.query('ROLLBACK');
      holder.release();
      expect(await closing).toMatchObject({ closed: true });
      expect(idOf(await again)).toBe(idOf(await done));
      await closeCourse(service.deps, { courseId, expectedTree: '', closed: false, turn: 0 });
    }
  });

  it('leaves a repository without a flaw, with events that count without a gap', async () => {
    expect((await integrityOf(service.deps, courseId)).problems).toEqual([]);
    const rows = await service.database.pool.query<{ seq: number }>(
      'SELECT seq FROM outbox WHERE course_id = $1 ORDER BY seq',
      [courseId],
    );
    expect(rows.rows.map(({ seq }) => seq)).toEqual(rows.rows.map((_, i) => i + 1));
  });
});

describe('a group of changes that fails as a whole', () => {
  const rename = (title: string, more: Partial<CommitInput> = {}): CommitInput =>
    input({ ops: [{ op: 'setFields', node: lessons[0] ?? '', fields: { title } }], ...more });

  /** A queue whose transactions fail as told, a reason each, and how many were tried. */
  function failing(reasons: readonly ((() => AppError) | undefined)[]) {
    const { store } = service.deps;
    let tries = 0;
    const write: typeof store.write = async (work) => {
      const reason = reasons[tries];
      tries += 1;
      // The first one waits until all others stand in line behind it.
      if (tries === 1) await new Promise((resolve) => setTimeout(resolve, 50));
      if (reason) throw reason();
      return store.write(work);
    };
    return { queue: new CommitQueue({ ...service.deps, store: { ...store, write } }), tries: () => tries };
  }

  it('is tried one by one, without those whose callers have gone', async () => {
    const gone = new AbortController();
    // It goes while the group is being written.
    const { queue, tries } = failing([
      undefined,
      () => {
        gone.abort(new AppError('deadline_exceeded', 'CANCELLED'));
        return new AppError('internal', 'INTERNAL');
      },
    ]);
    const [first, second, third] = await Promise.allSettled([
      queue.commit(rename('first')),
      queue.commit(rename('second')),
      queue.commit(rename('third', { signal: gone.signal })),
    ]);
    expect([first.status, second.status]).toEqual(['fulfilled', 'fulfilled']);
    expect(third).toMatchObject({ status: 'rejected', reason: { reason: 'CANCELLED' } });
    expect(tries()).toBe(3);
  });

  it('is tried once more as a whole when the database was away: one by one, each would wait as long', async () => {
    const away = () => new AppError('unavailable', 'DATABASE_UNAVAILABLE');
    for (const [failures, status, times] of [
      [[undefined, away], 'fulfilled', 3],
      [[undefined, away, away], 'rejected', 3],
    ] as const) {
      const { queue, tries } = failing(failures);
      const settled = await Promise.allSettled(['1', '2', '3'].map((title) => queue.commit(rename(title))));
      expect(settled.map((one) => one.status)).toEqual(['fulfilled', status, status]);
      expect(tries()).toBe(times);
    }
  });
});
