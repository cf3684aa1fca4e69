import { createHash, randomBytes } from 'node:crypto';
import { anyone } from '@coursewright/platform/testing/anyone';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import { DeploymentServiceDefinition } from '@coursewright/proto/coursewright/deployment/v1/deployment';
import {
  VersioningServiceDefinition,
  type ListNodesRequest,
} from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import { serve } from '@coursewright/platform/rpc-server';
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
import { openDeploymentDatabase } from '../src/store/client.js';
import { createService } from '../src/service.js';

const hashOf = (text: string): string => createHash('sha256').update(text).digest('base64url');
const at = '2026-01-02T03:04:05.678Z';

const name = `deployment-${randomBytes(4).toString('hex')}`;
let testDatabase: TestDatabase;
let versioning: TestEventSource;
let running: TestProcess;
let callers: TestCallers;
let look: ReturnType<typeof openDeploymentDatabase>;
/** Trees by course and commit: id → title. */
const trees = new Map<string, Map<string, string>>();
let listed: ListNodesRequest[] = [];
let areLean = false;
let beforeAnswer: (request: ListNodesRequest) => Promise<void> = async () => undefined;

beforeAll(async () => {
  const keys = await createTestKeys();
  callers = testCallers(keys);
  testDatabase = await createTestDatabase('deployment', new URL('../prisma/migrations', import.meta.url).pathname);
  const { listNodes } = VersioningServiceDefinition.methods;
  const onlyList = { ...VersioningServiceDefinition, methods: { listNodes } };
  versioning = await startEventSource('versioning', keys, {
    services: [
      serve(onlyList, anyone(onlyList), {
        async listNodes(request, call) {
          expect(call.actor.sub).toBe('service:deployment');
          listed.push(request);
          await beforeAnswer(request);
          const tree = trees.get(`${request.courseId} ${request.ref}`) ?? trees.get(`${request.courseId} `);
          if (tree === undefined) throw new AppError('not_found', 'COMMIT_NOT_FOUND');
          // Two nodes a page, so that paging is needed; or one or none, as where nodes are large and few of them can be deployed on.
          const start = parseInt(request.cursor || '0', 10);
          const all = [...tree];
          if (areLean && !request.cursor.endsWith('!')) return { nodes: [], next: `${start}!` };
          const count = areLean ? 1 : 2;
          return {
            nodes: all.slice(start, start + count).map(([id, title]) => ({
              ...{ id, courseId: request.courseId, kind: NodeKind.ASSIGNMENT, fields: { title, submittable: true } },
              ...{ commit: hashOf('listed'), updatedAt: new Date(at) },
            })),
            next: start + count < all.length ? String(start + count) : '',
          };
        },
      }),
    ],
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
    tokenKey: keys.private['deployment']!,
    tokenKeys: keys.public,
    otlpEndpoint: undefined,
    logLevel: process.env['TEST_LOG_LEVEL'] ?? 'silent',
  });
  running = await startProcess(parts);
  look = openDeploymentDatabase(testDatabase.url, 'look');
});
beforeEach(() => {
  listed = [];
  areLean = false;
  beforeAnswer = async () => undefined;
});
afterAll(async () => {
  await running.stop();
  await removeStreams(name, ['versioning']);
  await versioning.stop();
  await look.database.close();
  await testDatabase.drop();
});

const node = (id: string, title: string, more: object = {}) => ({
  id,
  kind: 'NODE_KIND_ASSIGNMENT',
  what: ['added'],
  title,
  submittable: true,
  ...more,
});

const committed = (courseId: string, commit: string, nodes: object[], more: object = {}): Record<string, unknown> => ({
  ...{
    courseId,
    branch: 'main',
    defaultBranch: true,
    commit: hashOf(commit),
    tree: hashOf(`tree ${commit}`),
    at,
    nodes,
  },
  ...more,
});

const rowsOf = (courseId: string) =>
  look.database.tx((tx) => tx.client.submittableContent.findMany({ where: { courseId }, orderBy: { nodeId: 'asc' } }));

const catchUp = () => running.command('catch-up');

/** Titles of the present contents, as staff see them. */
async function titles(courseId: string): Promise<string[]> {
  const deployment = running.channel.client(DeploymentServiceDefinition);
  const caller = await callers.as('dep', [], { [courseId]: ['deployer'] });
  const found: string[] = [];
  for (let cursor = ''; ;) {
    const page = await deployment.listSubmittableContents({ courseId, cursor, limit: 2 }, caller);
    found.push(...page.contents.map((content) => content.title));
    if (page.next === '') return found;
    cursor = page.next;
  }
}

const setTree = (courseId: string, commit: string, nodes: readonly (readonly [string, string])[]): void =>
  void trees.set(`${courseId} ${commit === '' ? '' : hashOf(commit)}`, new Map(nodes));

describe('the table of contents', () => {
  it('follows what commits say of submittable nodes, on the default branch alone', async () => {
    const course = newId();
    const [a, b, c] = [newId(), newId(), newId()];
    versioning.emit(
      course,
      'committed',
      committed(course, 'one', [node(a, 'A'), node(b, 'B', { submittable: false }), node(c, 'C')]),
    );
    versioning.emit(course, 'committed', committed(course, 'side', [node(newId(), 'side')], { defaultBranch: false }));
    await catchUp();
    expect(await titles(course)).toEqual(['A', 'C']);
    versioning.emit(
      course,
      'committed',
      committed(course, 'two', [
        node(a, 'A renamed', { what: ['edited'] }),
        node(b, 'B', { what: ['edited'] }),
        node(c, 'C', { what: ['removed'] }),
      ]),
    );
    await catchUp();
    expect(await titles(course)).toEqual(['A renamed', 'B']);
    versioning.emit(
      course,
      'committed',
      committed(course, 'three', [node(a, 'A renamed', { what: ['edited'], submittable: false })]),
    );
    await catchUp();
    expect(await titles(course)).toEqual(['B']);
    const rows = await rowsOf(course);
    expect(rows.map((row) => [row.nodeId, row.removedAt !== null])).toEqual([
      [a, true],
      [b, false],
      [c, true],
    ]);
    expect(rows[1]).toMatchObject({ kind: 'assignment', commit: hashOf('two'), updatedAt: new Date(at) });
    versioning.emit(course, 'committed', committed(course, 'four', [node(c, 'C back', { what: ['added'] })]));
    await catchUp();
    expect(await titles(course)).toEqual(['B', 'C back']);
    expect(listed).toEqual([]);
  });

  it('is left alone by another text of what nobody can deploy on, and by no other change', async () => {
    const course = newId();
    const [a, b] = [newId(), newId()];
    const edited = (id: string, more: object) => node(id, 'B', { what: ['edited'], bodyOnly: true, ...more });
    const say = (name: string, nodes: object[]): void => {
      versioning.emit(course, 'committed', committed(course, name, nodes));
    };
    say('one', [node(a, 'A'), node(b, 'B', { submittable: false })]);
    await catchUp();
    const before = await rowsOf(course);
    say('text', [edited(b, { submittable: false })]);
    await catchUp();
    expect(await rowsOf(course)).toEqual(before);
    say('own text', [edited(b, { submittable: false }), node(a, 'A', { what: ['edited'], bodyOnly: true })]);
    await catchUp();
    expect((await rowsOf(course)).map(({ nodeId, commit }) => [nodeId, commit])).toEqual([[a, hashOf('own text')]]);
    say('taken off', [edited(b, { submittable: false }), edited(a, { submittable: false, bodyOnly: false })]);
    await catchUp();
    expect(await titles(course)).toEqual([]);
  });

  it('of other courses follows although the event of one cannot be read', async () => {
    const [bad, good, node1] = [newId(), newId(), newId()];
    versioning.emit(bad, 'committed', committed(bad, 'one', [node(newId(), 'A')]));
    versioning.emit(bad, 'committed', { ...committed(bad, 'two', []), nodes: [null] });
    versioning.emit(good, 'committed', committed(good, 'one', [node(node1, 'G')]));
    await catchUp();
    expect(await titles(good)).toEqual(['G']);
    const { items } = (await running.command('dead-letters')) as { items: { course_id: string; seq: number }[] };
    expect(items).toContainEqual(expect.objectContaining({ course_id: bad, seq: 2 }));
  });

  it('is listed anew at the very commit when an event names too few nodes', async () => {
    const course = newId();
    const ids = Array.from({ length: 5 }, newId);
    versioning.emit(course, 'committed', committed(course, 'first', [node(ids[0]!, 'zero'), node(newId(), 'goes')]));
    setTree(
      course,
      'big',
      ids.map((id, n) => [id, `node ${n}`] as const),
    );
    versioning.emit(course, 'committed', committed(course, 'big', [], { truncated: true }));
    await catchUp();
    await eventually(async () =>
      expect(await titles(course)).toEqual(['node 0', 'node 1', 'node 2', 'node 3', 'node 4']),
    );
    expect(listed.map(({ ref, submittableOnly, cursor }) => [ref, submittableOnly, cursor])).toEqual([
      [hashOf('big'), true, ''],
      [hashOf('big'), true, '2'],
      [hashOf('big'), true, '4'],
    ]);
    expect(await rowsOf(course)).toHaveLength(6);
  });

  it('is listed whole from pages of one node and of none, and stays leased while it is', async () => {
    const course = newId();
    const ids = Array.from({ length: 4 }, () => newId()).sort();
    areLean = true;
    const leases: number[] = [];
    beforeAnswer = async () => {
      await new Promise((resolve) => setImmediate(resolve));
      const text =
        'SELECT extract(epoch FROM lease_until)::float8 AS until FROM content_sync WHERE course_id = $1::uuid';
      const [row] = await look.database.rows<{ until: number }>({ name: 'test_lease', text }, [course]);
      leases.push(row?.until ?? 0);
    };
    trees.set(`${course} ${hashOf('big')}`, new Map(ids.map((id, i) => [id, `node ${i}`])));
    versioning.emit(course, 'committed', committed(course, 'big', [], { truncated: true }));
    await catchUp();
    await eventually(async () => expect(await titles(course)).toEqual(ids.map((_, i) => `node ${i}`)));
    expect(listed).toHaveLength(8);
    expect(leases.every((until, i) => i === 0 || until > leases[i - 1]!)).toBe(true);
  });

  it('never lets an older listing undo a commit that came while it was fetched', async () => {
    const course = newId();
    const [a, b] = [newId(), newId()];
    setTree(course, 'big', [[a, 'old']]);
    setTree(course, 'next', [
      [a, 'new'],
      [b, 'more'],
    ]);
    let held = false;
    beforeAnswer = async ({ ref }) => {
      if (ref !== hashOf('big') || held) return;
      held = true;
      versioning.emit(
        course,
        'committed',
        committed(course, 'next', [node(a, 'new', { what: ['edited'] }), node(b, 'more')]),
      );
      await catchUp();
    };
    versioning.emit(course, 'committed', committed(course, 'big', [], { truncated: true }));
    await catchUp();
    await eventually(async () => expect(await titles(course)).toEqual(['new', 'more']));
    expect(listed.map(({ ref }) => ref)).toEqual([hashOf('big'), hashOf('next')]);
  });

  it('waits for versioning when it is away, and comes from the state when events are gone', async () => {
    const course = newId();
    const a = newId();
    let failures = 1;
    beforeAnswer = async () => {
      if (failures-- > 0) throw new AppError('unavailable', 'AWAY');
    };
    versioning.emit(course, 'committed', committed(course, 'lost', [node(newId(), 'never seen')]));
    versioning.setState(course, { courseId: course, head: committed(course, 'head', [], { truncated: true }) });
    versioning.forget(course);
    setTree(course, 'head', [[a, 'from the tree']]);
    await catchUp();
    await eventually(async () => expect(await titles(course)).toEqual(['from the tree']));
    expect(listed).toHaveLength(2);
  });

  it('is rebuilt as it was, rows of removed nodes among them, and mended where it was wrong', async () => {
    const course = newId();
    const [a, b] = [newId(), newId()];
    versioning.emit(course, 'committed', committed(course, 'one', [node(a, 'A'), node(b, 'B')]));
    versioning.emit(course, 'committed', committed(course, 'two', [node(b, 'B', { what: ['removed'] })]));
    await catchUp();
    const before = await rowsOf(course);
    const wrong = newId();
    await look.database.tx(async (tx) => {
      await tx.client.submittableContent.create({
        data: { nodeId: wrong, courseId: course, kind: 'lesson', title: 'wrong', commit: '', updatedAt: new Date() },
      });
      await tx.client.submittableContent.update({ where: { nodeId: a }, data: { title: 'damaged' } });
    });
    setTree(course, 'two', [[a, 'A']]);
    versioning.setState(course, { courseId: course, head: committed(course, 'two', [], { truncated: true }) });
    expect(await running.command('rebuild')).toMatchObject({ failures: 0, failed: [] });
    await eventually(async () => {
      const after = await rowsOf(course);
      expect(after.find((row) => row.nodeId === wrong)?.removedAt).toBeInstanceOf(Date);
      expect(after.filter((row) => row.nodeId !== wrong)).toEqual([
        { ...before[0]!, commit: hashOf('listed') },
        before[1],
      ]);
    });
  });

  it('is empty, its rows kept, once versioning has no such course any more', async () => {
    const course = newId();
    const a = newId();
    versioning.emit(course, 'committed', committed(course, 'one', [node(a, 'A')]));
    await catchUp();
    expect(await titles(course)).toEqual(['A']);
    await running.command('rebuild');
    expect(await titles(course)).toEqual([]);
    expect(await rowsOf(course)).toMatchObject([{ nodeId: a, removedAt: expect.any(Date) }]);
  });

  it('parks a course whose event is broken, and no other', async () => {
    const [sick, well] = [newId(), newId()].sort();
    const bad = versioning.emit(sick!, 'committed', committed(sick!, 'bad', [node('no id', 'x')]));
    versioning.emit(well!, 'committed', committed(well!, 'ok', [node(newId(), 'well')]));
    await catchUp();
    expect(await titles(well!)).toEqual(['well']);
    const { items } = (await running.command('dead-letters')) as { items: unknown[] };
    expect(items).toMatchObject([{ source: 'versioning', course_id: sick, seq: bad.seq }]);
    versioning.replace(sick!, bad.seq, committed(sick!, 'mended', [node(newId(), 'mended')]));
    await running.command(`replay?source=versioning&course=${sick}`);
    expect(await titles(sick!)).toEqual(['mended']);
  });
});

describe('the list of contents', () => {
  it('is for staff, in pages, with cursors of this course only', async () => {
    const [course, other] = [newId(), newId()];
    const nodes = ['a', 'b', 'c'].map((title) => node(newId(), title));
    versioning.emit(course, 'committed', committed(course, 'one', nodes));
    await catchUp();
    const deployment = running.channel.client(DeploymentServiceDefinition);
    const as = (roles: string[]) => callers.as('x', [], { [course]: roles, [other]: roles });
    const page = await deployment.listSubmittableContents({ courseId: course, limit: 2 }, await as(['reviewer']));
    expect(page.contents).toMatchObject([
      {
        nodeId: nodes[0]!.id,
        courseId: course,
        kind: NodeKind.ASSIGNMENT,
        title: 'a',
        commit: hashOf('one'),
        updatedAt: new Date(at),
      },
      { title: 'b' },
    ]);
    const bad = [
      { courseId: other, cursor: page.next },
      { courseId: course, cursor: 'x' },
    ];
    for (const request of bad)
      await expect(deployment.listSubmittableContents(request, await as(['admin']))).rejects.toMatchObject({
        reason: 'CURSOR_INVALID',
      });
    await expect(
      deployment.listSubmittableContents({ courseId: course, limit: 201 }, await as(['admin'])),
    ).rejects.toMatchObject({
      reason: 'INVALID_REQUEST',
    });
    await expect(deployment.listSubmittableContents({ courseId: course }, await as(['learner']))).rejects.toMatchObject(
      { reason: 'FORBIDDEN' },
    );
    await expect(deployment.listSubmittableContents({ courseId: course }, await as([]))).rejects.toMatchObject({
      reason: 'COURSE_NOT_FOUND',
    });
    await expect(deployment.listSubmittableContents({ courseId: 'x' }, await as([]))).rejects.toMatchObject({
      kind: 'not_found',
    });
  });
});
