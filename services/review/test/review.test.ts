import { createHash, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { PrismaPg } from '@prisma/adapter-pg';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EventSourceServiceDefinition } from '@coursewright/proto/coursewright/common/v1/event_source';
import { RecallOutcome, RequestServiceDefinition } from '@coursewright/proto/coursewright/common/v1/requests';
import { ReviewServiceDefinition } from '@coursewright/proto/coursewright/review/v1/review';
import { newId } from '@coursewright/platform/ids';
import { prismaDatabase } from '@coursewright/platform/prisma-sql';
import { openPool } from '@coursewright/platform/sql';
import { eventually } from '@coursewright/platform/testing/eventually';
import { startEventSource, type TestEventSource } from '@coursewright/platform/testing/event-source';
import { createTestKeys } from '@coursewright/platform/testing/keys';
import {
  startProcess,
  testCallers,
  type TestCallers,
  testOpsToken,
  type TestProcess,
} from '@coursewright/platform/testing/process';
import { createTestDatabase, testServers, type TestDatabase } from '@coursewright/platform/testing/servers';
import { removeStreams } from '@coursewright/platform/testing/streams';
import { PrismaClient, type Prisma } from '../src/generated/prisma/client.js';
import { openReviewDatabase } from '../src/store/client.js';
import { createService } from '../src/service.js';

const hashOf = (text: string): string => createHash('sha256').update(text).digest('base64url');

const name = `review-${randomBytes(4).toString('hex')}`;
let testDatabase: TestDatabase;
let versioning: TestEventSource;
let running: TestProcess;
let callers: TestCallers;
let look: ReturnType<typeof openReviewDatabase>;

beforeAll(async () => {
  const keys = await createTestKeys();
  callers = testCallers(keys);
  testDatabase = await createTestDatabase('review', new URL('../prisma/migrations', import.meta.url).pathname);
  versioning = await startEventSource('versioning', keys, {
    fold: (state, { type, data }) => (type === 'committed' && data['defaultBranch'] ? { ...state, head: data } : state),
  });
  const parts = await createService({
    name,
    host: '127.0.0.1',
    port: 0,
    opsPort: 0,
    opsToken: testOpsToken,
    databaseUrl: testDatabase.url,
    natsUrl: testServers().nats,
    versioningAddress: versioning.address,
    tokenKey: keys.private['review']!,
    tokenKeys: keys.public,
    otlpEndpoint: undefined,
    logLevel: process.env['TEST_LOG_LEVEL'] ?? 'silent',
  });
  running = await startProcess(parts);
  look = openReviewDatabase(testDatabase.url, 'look');
});
afterAll(async () => {
  await running.stop();
  await removeStreams(name, ['versioning']);
  await versioning.stop();
  await look.database.close();
  await testDatabase.drop();
});

const committed = (courseId: string, tree: string, more: object = {}): Record<string, unknown> => ({
  courseId,
  branch: 'main',
  defaultBranch: true,
  commit: hashOf(`commit ${tree}`),
  tree: hashOf(tree),
  at: '2026-01-02T03:04:05.678Z',
  ...more,
});

const stateOf = async (courseId: string) =>
  running.channel
    .client(ReviewServiceDefinition)
    .getReviewState({ courseId }, await callers.as('ann', [], { [courseId]: ['author'] }));

async function submit(courseId: string, state: string, tree: string, submittedAt: string): Promise<string> {
  const id = newId();
  const dueAt = new Date('2026-02-01T00:00:00.000Z');
  const review = {
    id,
    courseId,
    state,
    commit: hashOf(`commit ${tree}`),
    tree: hashOf(tree),
    submittedBy: 'ann',
    dueAt,
  };
  await look.database.tx((tx) => tx.client.review.create({ data: { ...review, submittedAt: new Date(submittedAt) } }));
  return id;
}

describe('the state of a review', () => {
  it('is none until something is submitted, and knows the tree of the default branch', async () => {
    const id = newId();
    expect(await stateOf(id)).toEqual({ state: 'none', tree: '', reviewId: '', dueAt: undefined, knownTree: '' });
    versioning.emit(id, 'committed', committed(id, 'one'));
    versioning.emit(id, 'committed', committed(id, 'side', { branch: 'side', defaultBranch: false }));
    versioning.emit(id, 'version-cut', { courseId: id, number: 1 });
    await running.command('catch-up');
    expect(await stateOf(id)).toMatchObject({ state: 'none', knownTree: hashOf('one') });
    versioning.emit(id, 'committed', committed(id, 'two'));
    await running.command('catch-up');
    expect(await stateOf(id)).toMatchObject({ knownTree: hashOf('two') });
  });

  it('is that of the latest live submission, whatever came of others', async () => {
    const id = newId();
    await submit(id, 'rejected', 'one', '2026-01-01T00:00:00.000Z');
    const approved = await submit(id, 'approved', 'two', '2026-01-02T00:00:00.000Z');
    expect(await stateOf(id)).toMatchObject({
      state: 'approved',
      tree: hashOf('two'),
      reviewId: approved,
      dueAt: undefined,
    });
    const open = await submit(id, 'in_review', 'three', '2026-01-03T00:00:00.000Z');
    await submit(id, 'withdrawn', 'four', '2026-01-04T00:00:00.000Z');
    expect(await stateOf(id)).toMatchObject({
      state: 'in_review',
      tree: hashOf('three'),
      reviewId: open,
      dueAt: new Date('2026-02-01T00:00:00.000Z'),
    });
    await expect(submit(id, 'in_review', 'five', '2026-01-05T00:00:00.000Z')).rejects.toThrow();
  });

  it('is told to staff of the course only', async () => {
    const id = newId();
    const review = running.channel.client(ReviewServiceDefinition);
    const ask = async (roles: string[]) =>
      review.getReviewState({ courseId: id }, await callers.as('x', [], { [id]: roles }));
    expect(await ask(['author'])).toMatchObject({ state: 'none' });
    await expect(ask(['learner'])).rejects.toMatchObject({ kind: 'permission_denied', reason: 'FORBIDDEN' });
    await expect(ask([])).rejects.toMatchObject({ kind: 'not_found', reason: 'COURSE_NOT_FOUND' });
    await expect(review.getReviewState({ courseId: 'x' }, await callers.as('root', ['admin']))).rejects.toMatchObject({
      reason: 'COURSE_NOT_FOUND',
    });
  });
});

describe('the projection of heads', () => {
  const heads = () => look.database.tx((tx) => tx.client.courseHead.findMany({ orderBy: { courseId: 'asc' } }));

  it('comes from the state when events are gone, and is rebuilt as it was', async () => {
    const [kept, lost] = [newId(), newId()];
    versioning.emit(kept, 'committed', committed(kept, 'kept'));
    versioning.emit(lost, 'committed', committed(lost, 'before'));
    versioning.setState(lost, { courseId: lost, head: committed(lost, 'state'), latestVersion: 0 });
    versioning.forget(lost);
    await running.command('catch-up');
    expect(await stateOf(lost)).toMatchObject({ knownTree: hashOf('state') });
    const before = await heads();
    await look.database.tx((tx) =>
      tx.client.courseHead.update({ where: { courseId: kept }, data: { tree: 'damaged' } }),
    );
    expect(await running.command('rebuild')).toMatchObject({ failures: 0, failed: [] });
    expect(await heads()).toEqual(before);
    expect(before.map((head) => head.courseId)).toEqual(expect.arrayContaining([kept, lost]));
  });

  it('parks a course whose event is broken, and no other', async () => {
    const [sick, well] = [newId(), newId()];
    const bad = versioning.emit(sick, 'committed', committed(sick, 'bad', { tree: '' }));
    versioning.emit(well, 'committed', committed(well, 'well'));
    await running.command('catch-up');
    expect(await stateOf(well)).toMatchObject({ knownTree: hashOf('well') });
    const { items } = (await running.command('dead-letters')) as { items: unknown[] };
    expect(items).toMatchObject([{ source: 'versioning', course_id: sick, seq: bad.seq }]);
    versioning.replace(sick, bad.seq, committed(sick, 'mended'));
    expect(await running.command(`replay?source=versioning&course=${sick}`)).toEqual({ replayed: true });
    expect(await stateOf(sick)).toMatchObject({ knownTree: hashOf('mended') });
  });
});

describe('what every service answers', () => {
  it('tells the state behind its events, and of commands nobody has used', async () => {
    const id = newId();
    await submit(id, 'approved', 'tree', '2026-01-01T00:00:00.000Z');
    const catalog = await callers.service('catalog');
    const answer = await running.channel.client(EventSourceServiceDefinition).getState({ courseId: id }, catalog);
    expect(answer).toMatchObject({ seq: 0, state: { state: 'approved', tree: hashOf('tree') } });
    const recall = running.channel
      .client(RequestServiceDefinition)
      .recall({ actor: 'a', key: 'k', fingerprint: 'f' }, await callers.service('gateway'));
    expect(await recall).toEqual({ outcome: RecallOutcome.NONE, result: undefined });
    const ready = await fetch(`${running.opsUrl}/readyz`);
    expect(await ready.json()).toMatchObject({ checks: { postgres: 'up' } });
  });
});

describe('transactions of Prisma', () => {
  const away = { kind: 'unavailable', reason: 'DATABASE_UNAVAILABLE' };
  type Look = ReturnType<typeof openReviewDatabase>;
  type Tx = Parameters<Parameters<Look['database']['tx']>[0]>[0];

  async function twoHeads(): Promise<[string, string]> {
    const ids: [string, string] = [newId(), newId()];
    const head = { commit: 'c', tree: 't', at: new Date() };
    await look.database.tx((tx) =>
      tx.client.courseHead.createMany({ data: ids.map((courseId) => ({ courseId, ...head })) }),
    );
    return ids;
  }
  const byModel = (tx: Tx, courseId: string) =>
    tx.client.courseHead.update({ where: { courseId }, data: { tree: newId() } });
  const byStatement = (tx: Tx, courseId: string) =>
    tx.rows({ name: 'touch', text: 'UPDATE course_head SET tree = tree WHERE course_id = $1::uuid' }, [courseId]);

  it.each([
    ['a model', byModel],
    ['a statement', byStatement],
  ])('that wait for each other over %s fail as something that passes', async (_name, touch) => {
    const [first, second] = await twoHeads();
    let reached = 0;
    let go: () => void = () => undefined;
    const both = new Promise<void>((resolve) => (go = resolve));
    const cross = (own: string, other: string) =>
      look.database.tx(async (tx) => {
        await touch(tx, own);
        if ((reached += 1) === 2) go();
        await both;
        await touch(tx, other);
      });
    const results = await Promise.allSettled([cross(first, second), cross(second, first)]);
    expect(results.filter((result) => result.status === 'rejected')).toMatchObject([{ reason: away }]);
  });

  it('that conflict under serializable isolation fail as something that passes, when they commit as well', async () => {
    const [first, second] = await twoHeads();
    let reached = 0;
    let go: () => void = () => undefined;
    const both = new Promise<void>((resolve) => (go = resolve));
    // Each reads what the other writes: only one order of them can be true.
    const skew = (read: string, written: string) =>
      look.database.tx(async (tx) => {
        await tx.client.$executeRawUnsafe('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE');
        await tx.client.courseHead.findUnique({ where: { courseId: read } });
        if ((reached += 1) === 2) go();
        await both;
        await byModel(tx, written);
      });
    const results = await Promise.allSettled([skew(first, second), skew(second, first)]);
    expect(results.filter((result) => result.status === 'rejected')).toMatchObject([{ reason: away }]);
  });

  it('that find no free connection, or last too long, fail as something that passes, by the limit of the pool', async () => {
    const crowded = openReviewDatabase(testDatabase.url, 'crowded');
    let isReleased = false;
    try {
      const held = Array.from({ length: 16 }, () =>
        crowded.database.tx(async (tx) => {
          // Busy: a transaction in which nothing happens would be ended.
          while (!isReleased) await tx.rows({ name: 'sleep', text: 'SELECT 1 FROM pg_sleep(0.2)' });
        }),
      );
      await eventually(() => expect(crowded.pool.totalCount).toBe(16));
      await eventually(() => expect(crowded.pool.idleCount).toBe(0));
      const error: unknown = await crowded.database
        .tx((tx) => tx.client.courseHead.count())
        .catch((caught: unknown) => caught);
      expect(error).toMatchObject(away);
      expect(JSON.stringify(inspect(error))).toMatch(/timeout exceeded when trying to connect/);
      isReleased = true;
      await Promise.all(held);
    } finally {
      isReleased = true;
      await crowded.database.close();
    }
    const pool = openPool({ url: testDatabase.url });
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    const hasty = prismaDatabase<Prisma.TransactionClient>(prisma, pool, { maxWait: 5_000, timeout: 200 });
    const late = hasty.tx(async (tx) => {
      await tx.rows({ name: 'sleep', text: 'SELECT 1 FROM pg_sleep(0.5)' });
      await tx.client.courseHead.count();
    });
    await expect(late).rejects.toMatchObject(away);
    await hasty.close();
  });

  it('do not come back to a server that stands still: what follows has another connection', async () => {
    const pool = openPool({ url: testDatabase.url, statementTimeoutMs: 200, maxConnections: 1 });
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    const own = prismaDatabase<Prisma.TransactionClient>(prisma, pool);
    const pid = { name: 'pid', text: 'SELECT pg_backend_pid() AS pid' };
    let stopped = 0;
    try {
      const since = performance.now();
      const silent = own.tx(async (tx) => {
        const [row] = await tx.rows<{ pid: number }>(pid);
        stopped = row!.pid;
        process.kill(stopped, 'SIGSTOP');
        await tx.rows(pid);
      });
      await expect(silent).rejects.toMatchObject(away);
      const [row] = await own.tx((tx) => tx.rows<{ pid: number }>(pid));
      expect(row!.pid).not.toBe(stopped);
      expect(performance.now() - since).toBeLessThan(8_000);
    } finally {
      process.kill(stopped, 'SIGCONT');
      await own.close();
    }
  }, 30_000);
});
