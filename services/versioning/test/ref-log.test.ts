import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '@coursewright/platform/ids';
import { createBranch } from '../src/operations/branches.js';
import type { CommitInput } from '../src/operations/commit.js';
import { commitGroup } from '../src/operations/commit.js';
import { CommitQueue } from '../src/operations/commit-queue.js';
import { readState } from '../src/operations/course-state.js';
import { createCourse } from '../src/operations/create-course.js';
import { resolveRef } from '../src/operations/refs.js';
import { brokenLink, LOG_START } from '../src/domain/ref-log.js';
import type { RefLogRow } from '../src/operations/ports.js';
import { startService, type TestService } from './support/service.js';

let service: TestService;
let courseId: string;
const ada = { id: 'ada', name: 'Ada' };

function rename(by: string, branch = ''): CommitInput {
  const plain = { base: '', expectedHead: '', expect: [], start: '', message: `By ${by}`, kind: 'edit' } as const;
  const ops = [{ op: 'setFields', node: courseId, fields: { title: `${by} ${newId()}` } }] as const;
  return { courseId, branch, author: { id: by, name: by }, mayPassProtection: false, command: null, ...plain, ops };
}

async function log(): Promise<RefLogRow[]> {
  return service.deps.store.refLog(courseId, 0, 1_000);
}

interface Told {
  readonly commit: string;
  readonly logSeq: number;
}

async function told(): Promise<Told[]> {
  const { rows } = await service.database.pool.query<{ data: Told }>(
    `SELECT data FROM outbox WHERE course_id = $1 AND type = 'committed' ORDER BY seq`,
    [courseId],
  );
  return rows.map(({ data }) => ({ commit: data.commit, logSeq: Number(data.logSeq) }));
}

beforeAll(async () => {
  service = await startService();
});

afterAll(() => service.stop());

async function makeCourse(): Promise<void> {
  courseId = newId();
  await createCourse(service.deps, { courseId, fields: { title: 'Logged' }, source: null, author: ada, command: null });
}

describe('the ref log', () => {
  it('names each author of 32 commits that shared one transaction, each with what moved from where to where', async () => {
    await makeCourse();
    const writers = Array.from({ length: 32 }, (_, n) => `writer-${n}`);
    const outcomes = await commitGroup(
      service.deps,
      writers.map((by, n) => ({ ...rename(by), kind: n % 2 === 0 ? 'edit' : 'autosave' })),
    );
    const commits = outcomes.map((outcome) => (outcome.outcome === 'done' ? outcome.result : undefined));
    const rows = await log();
    expect(rows.map(({ seq }) => seq)).toEqual(Array.from({ length: 33 }, (_, n) => n + 1));
    expect(rows.slice(1).map(({ actor, to, reason }) => [actor, to, reason])).toEqual(
      writers.map((by, n) => [by, commits[n]?.commit, n % 2 === 0 ? 'edit' : 'autosave']),
    );
    expect(rows.slice(1).map(({ from }) => from)).toEqual(rows.slice(0, -1).map(({ to }) => to));
    expect(rows.slice(1).map(({ at }) => at.toISOString())).toEqual(commits.map((made) => made?.at));
    expect(brokenLink(rows, LOG_START)).toBeNull();
    expect(await told()).toEqual(rows.map(({ seq, to }) => ({ commit: to, logSeq: seq })));
  });

  it('stays one chain under writers of several branches in two processes, and orders their commits', async () => {
    await makeCourse();
    const branches = ['', 'a', 'b', 'c'];
    for (const name of branches.slice(1))
      await createBranch(service.deps, {
        courseId,
        name,
        from: '',
        isProtected: false,
        metadata: {},
        createdBy: 'ada',
        command: null,
      });
    const queues = [new CommitQueue(service.deps), new CommitQueue(service.sibling())];
    const writes = Array.from({ length: 120 }, (_, n) =>
      (queues[n % 2] as CommitQueue).commit(rename(`writer-${n}`, branches[n % 4])),
    );
    for (const { outcome } of await Promise.all(writes)) expect(outcome).toBe('done');
    const rows = await log();
    expect(rows).toHaveLength(1 + 3 + 120);
    expect(brokenLink(rows, LOG_START)).toBeNull();
    const byCommit = new Map((await told()).map(({ commit, logSeq }) => [commit, logSeq]));
    const heads = new Map<string, string | null>();
    for (const { ref, from, to, seq, reason } of rows) {
      if (heads.has(ref)) expect(from).toBe(heads.get(ref));
      heads.set(ref, to);
      if (reason !== 'branch') expect(byCommit.get(to ?? '')).toBe(seq);
    }
    const at = await resolveRef(service.deps.store, courseId, '');
    expect(heads.get(at.branchId)).toBe(at.commit.hash);
    // What is known of a course as a whole names the same number as the event of its head.
    const state = (await readState(service.deps.store, courseId)) as { head: Told };
    expect(Number(state.head.logSeq)).toBe(byCommit.get(at.commit.hash));
  });
});
