import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import type { CommitResponse, Op } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { newId } from '@coursewright/platform/ids';
import { eventually } from '@coursewright/platform/testing/eventually';
import { dropImport } from '../src/operations/drop-import.js';
import { bodyHash } from './support/model.js';
import { integrityOf, startService, type TestService } from './support/service.js';

let service: TestService;
let content: { token: string };
let catalog: { token: string };
let admin: { token: string };
let courseId: string;
let name: string;
let unitId: string;

function add(id: string, parentId: string, kind: NodeKind, body = ''): { op: Op['op'] } {
  return { op: { $case: 'add', value: { id, parentId, kind, fields: { title: 'x' }, body, source: undefined } } };
}

function write(ops: { op: Op['op'] }[], branch: string, more: object = {}): Promise<CommitResponse> {
  const writer = branch.startsWith('import/') ? content : admin;
  return service.client.commit({ courseId, branch, ops, message: 'A step', kind: 'import', ...more }, writer);
}

/** A step of the import: a module and its lessons below the unit; answers the ids. */
async function step(lessons: number, branch = name): Promise<string[]> {
  const ids = Array.from({ length: lessons + 1 }, () => newId());
  const [moduleId = '', ...rest] = ids;
  const below = rest.map((id) => add(id, moduleId, NodeKind.LESSON, bodyHash(1)));
  await write([add(moduleId, unitId, NodeKind.MODULE), ...below], branch);
  return ids;
}

async function drop(more: object = {}): Promise<boolean> {
  return (await service.client.dropImport({ courseId, name, ...more }, content)).dropped;
}

async function count(text: string, values: unknown[] = [courseId]): Promise<number> {
  const { rows } = await service.database.pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${text}`, values);
  return rows[0]?.n ?? -1;
}

const homesOf = (ids: readonly string[]) => count('node_home WHERE node_id = ANY($1::uuid[])', [ids]);

/** Tables in which the course has rows, as a fresh look at the schema finds them. */
async function traces(): Promise<string[]> {
  const tables = await service.database.pool.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.columns WHERE column_name = 'course_id' AND table_schema = 'public'`,
  );
  const found: string[] = [];
  for (const { name: table } of tables.rows)
    if ((await count(`"${table}" WHERE course_id = $1`)) > 0) found.push(table);
  return found.sort();
}

beforeAll(async () => {
  service = await startService();
  content = await service.service('content');
  catalog = await service.service('catalog');
  admin = await service.as('admin', [], { roles: ['admin'] });
});

afterAll(() => service.stop());

beforeEach(async () => {
  [courseId, unitId, name] = [newId(), newId(), `import/${newId()}`];
  await service.client.createCourse({ courseId, fields: { title: 'Imported' } }, content);
});

describe('an import into a course that is dropped', () => {
  it('loses its branch and frees the ids of all nodes that nobody saw, and of no others', async () => {
    const seen = newId();
    const base = await write([add(unitId, courseId, NodeKind.UNIT), add(seen, unitId, NodeKind.MODULE)], 'main');
    const first = newId();
    await write([add(first, unitId, NodeKind.MODULE)], name, { start: base.commit });
    // More than one statement takes.
    const unseen = [first, ...(await step(1_999)), ...(await step(1_999)), ...(await step(1_500))];
    expect(await homesOf(unseen)).toBe(unseen.length);
    const other = newId();
    await service.client.createCourse({ courseId: other, fields: { title: 'Other' } }, content);
    const taking = () =>
      service.client.commit({ courseId: other, ops: [add(first, other, NodeKind.UNIT)], message: 'Mine' }, admin);
    await expect(taking()).rejects.toMatchObject({ kind: 'already_exists', reason: 'ID_TAKEN' });

    expect(await drop()).toBe(true);
    expect(await homesOf(unseen)).toBe(0);
    expect(await homesOf([courseId, unitId, seen])).toBe(3);
    await expect(service.client.graft({ courseId, from: name }, content)).rejects.toMatchObject({
      kind: 'not_found',
      reason: 'BRANCH_NOT_FOUND',
    });
    expect((await taking()).unchanged).toBe(false);
    expect((await service.client.getCourse({ courseId }, content)).head).toBe(base.commit);
    expect((await integrityOf(service.sibling(), courseId)).problems).toEqual([]);
  });

  it('is written to the ref log once, however often it is asked for', async () => {
    await write([add(unitId, courseId, NodeKind.UNIT)], name);
    const made = await write([add(newId(), unitId, NodeKind.MODULE)], name);
    const before = await service.deps.store.refLog(courseId, 0, 100);
    expect([await drop(), await drop(), await drop({ name: `import/${newId()}` })]).toEqual([true, false, false]);
    const log = await service.deps.store.refLog(courseId, 0, 100);
    expect(log.slice(before.length)).toMatchObject([
      { ref: made.branchId, from: made.commit, to: null, actor: 'importer', reason: 'drop-import' },
    ]);
    expect(await drop({ courseId: newId() })).toBe(false);
  });

  it('keeps what its graft has made visible', async () => {
    await write([add(unitId, courseId, NodeKind.UNIT)], name);
    const ids = await step(3);
    const { commit } = await service.client.graft({ courseId, from: name, message: 'Import' }, content);
    expect(await drop({ courseUnregistered: true })).toBe(true);
    expect(await homesOf([unitId, ...ids])).toBe(5);
    expect((await service.client.getCourse({ courseId }, content)).head).toBe(commit);
    expect((await integrityOf(service.sibling(), courseId)).problems).toEqual([]);
  });

  it('is never a visible branch', async () => {
    await service.client.createBranch({ courseId, name: 'draft' }, admin);
    for (const visible of ['', 'main', 'draft', 'published', 'imports/x', 'x/import/y'])
      await expect(drop({ name: visible, courseUnregistered: true })).rejects.toMatchObject({
        kind: 'invalid_argument',
        reason: 'INVALID_REQUEST',
        fields: [{ pointer: '/name', code: 'hidden' }],
      });
    const { branches } = await service.client.listBranches({ courseId }, admin);
    expect(branches.map((branch) => branch.name)).toEqual(['draft', 'main']);
  });

  it('is dropped by services alone', async () => {
    await write([add(unitId, courseId, NodeKind.UNIT)], name);
    const people = [
      await service.as('author', [courseId]),
      await service.as('admin', [courseId], { roles: ['admin'] }),
      await service.as('author', []),
    ];
    for (const person of people)
      await expect(service.client.dropImport({ courseId, name }, person)).rejects.toMatchObject({
        kind: 'permission_denied',
        reason: 'FORBIDDEN',
      });
    expect(await drop()).toBe(true);
  });
});

describe('the course of an import that failed', () => {
  it('goes with all its rows but its log and its events, and its ids may be used again', async () => {
    await write([add(unitId, courseId, NodeKind.UNIT)], name);
    const ids = await step(400);
    expect(await traces()).toEqual(expect.arrayContaining(['body_use', 'branch', 'commit', 'node_home', 'object']));
    expect(await drop({ courseUnregistered: true })).toBe(true);
    expect(await traces()).toEqual(['course_seq', 'outbox', 'ref_log']);
    expect(await homesOf([courseId, unitId, ...ids])).toBe(0);
    await expect(service.client.getCourse({ courseId }, content)).rejects.toMatchObject({ reason: 'COURSE_NOT_FOUND' });
    const { seq, state } = await service.events.getState({ courseId }, catalog);
    expect([seq, state]).toEqual([1, { courseId, latestVersion: 0 }]);
    await expect(service.events.getState({ courseId: newId() }, catalog)).rejects.toMatchObject({ kind: 'not_found' });
    expect(await drop({ courseUnregistered: true })).toBe(false);

    await service.client.createCourse({ courseId, fields: { title: 'Again' } }, content);
    await write([add(unitId, courseId, NodeKind.UNIT)], 'main');
    await step(3, 'main');
    const { commits, problems } = await integrityOf(service.sibling(), courseId);
    expect([commits, problems]).toEqual([3, []]);
  });

  it('goes also when the import failed before it wrote anything', async () => {
    expect(await drop({ courseUnregistered: true })).toBe(true);
    expect(await traces()).toEqual(['course_seq', 'outbox', 'ref_log']);
  });

  it('stays unless the caller says that nobody registered it', async () => {
    await write([add(unitId, courseId, NodeKind.UNIT)], name);
    expect(await drop()).toBe(true);
    expect((await service.client.getCourse({ courseId }, content)).root?.fields).toEqual({ title: 'Imported' });
  });

  it.each([
    ['a commit beside its first', () => write([add(unitId, courseId, NodeKind.UNIT)], 'main')],
    ['another branch', () => service.client.createBranch({ courseId, name: 'draft' }, admin)],
    ['another import', () => write([add(newId(), courseId, NodeKind.UNIT)], `import/${newId()}`)],
  ])('stays when it has %s', async (_what, make) => {
    await write([add(newId(), courseId, NodeKind.UNIT)], name);
    await make();
    expect(await drop({ courseUnregistered: true })).toBe(true);
    expect(await count('branch WHERE course_id = $1 AND name = $2', [courseId, name])).toBe(0);
    expect((await service.client.getCourse({ courseId }, content)).courseId).toBe(courseId);
    expect((await integrityOf(service.sibling(), courseId)).problems).toEqual([]);
  });

  it('is dropped by one of many who ask at once', async () => {
    await write([add(unitId, courseId, NodeKind.UNIT)], name);
    await step(200);
    const input = { courseId, name, actor: 'importer', courseUnregistered: true };
    const all = [service.deps, service.sibling(), service.sibling(), service.deps].map((deps) =>
      dropImport(deps, input),
    );
    expect((await Promise.all(all)).sort()).toEqual([false, false, false, true]);
    expect(await traces()).toEqual(['course_seq', 'outbox', 'ref_log']);
    // The hidden branch and the default one, each left once.
    const log = await service.deps.store.refLog(courseId, 0, 100);
    expect(log.map(({ reason }) => reason)).toEqual(['edit', 'drop-import', 'drop-import']);
  });

  it('is dropped with what a writer wrote who held the branch before, as soon as he is done', async () => {
    await write([add(unitId, courseId, NodeKind.UNIT)], name);
    let [isOpen, goOn] = [(): void => undefined, (): void => undefined];
    const opened = new Promise<void>((resolve) => (isOpen = resolve));
    const mayGoOn = new Promise<void>((resolve) => (goOn = resolve));
    // A writer that has the branch and does not let go.
    const holding = service.deps.store.write(async (tx) => {
      await tx.openBranch(courseId, name, []);
      isOpen();
      await mayGoOn;
    });
    await opened;
    let isDropped = false;
    const dropping = drop({ courseUnregistered: true }).finally(() => (isDropped = true));
    await eventually(async () => expect(await waiting()).toBe(1));
    expect(isDropped).toBe(false);
    goOn();
    await holding;
    expect(await dropping).toBe(true);
    expect(await traces()).toEqual(['course_seq', 'outbox', 'ref_log']);
  });

  it('tells a writer who comes after it that there is no such course', async () => {
    await write([add(unitId, courseId, NodeKind.UNIT)], name);
    expect(await drop({ courseUnregistered: true })).toBe(true);
    await expect(step(3)).rejects.toMatchObject({ kind: 'not_found', reason: 'COURSE_NOT_FOUND' });
    await expect(step(3, 'main')).rejects.toMatchObject({ kind: 'not_found', reason: 'COURSE_NOT_FOUND' });
  });

  it('tells a writer who comes after the branch alone is gone that his parent is gone, and starts no branch', async () => {
    await write([add(unitId, courseId, NodeKind.UNIT)], name);
    expect(await drop()).toBe(true);
    await expect(step(3)).rejects.toMatchObject({ kind: 'conflict', reason: 'PARENT_GONE' });
    expect(await count('branch WHERE course_id = $1 AND hidden')).toBe(0);
  });
});

/** How many transactions wait for a lock. */
function waiting(): Promise<number> {
  return count(
    `pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = current_database()`,
    [],
  );
}
