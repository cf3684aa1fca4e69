import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import type { CommitResponse, Node, Op } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { newId } from '@coursewright/platform/ids';
import { lastChanges } from '../src/operations/last-changes.js';
import { resolveRef } from '../src/operations/refs.js';
import { startService, type TestService } from './support/service.js';

let service: TestService;
let owner: { token: string };
let courseId: string;
let moduleId: string;
let lessons: string[];

function body(text: string): string {
  return Buffer.from(text.padEnd(32, '.')).toString('base64url');
}

function add(id: string, parentId: string, kind: NodeKind): { op: Op['op'] } {
  return { op: { $case: 'add', value: { id, parentId, kind, fields: { title: 'x' }, body: '', source: undefined } } };
}

function setBody(nodeId: string, text: string): { op: Op['op'] } {
  return { op: { $case: 'setBody', value: { nodeId, body: body(text) } } };
}

function commit(branch: string, ops: { op: Op['op'] }[], as = owner): Promise<CommitResponse> {
  return service.client.commit({ courseId, branch, ops, message: 'A change' }, as);
}

async function nodeAt(ref: string, nodeId: string): Promise<Node | undefined> {
  return (await service.client.getNode({ courseId, ref, nodeId }, owner)).node;
}

beforeAll(async () => {
  service = await startService();
});

afterAll(() => service.stop());

async function makeCourse(lessonCount: number): Promise<void> {
  [courseId, moduleId] = [newId(), newId()];
  lessons = Array.from({ length: lessonCount }, newId);
  owner = await service.as('author', [courseId]);
  await service.client.createCourse({ courseId, fields: { title: 'Branches' } }, await service.service('content'));
  const below = lessons.map((id) => add(id, moduleId, NodeKind.LESSON));
  await commit('', [add(moduleId, courseId, NodeKind.MODULE), ...below]);
}

describe('who changed a lesson last', () => {
  it('shows the last save on each of 50 branches that left one head', async () => {
    await makeCourse(3);
    const [lesson = '', other = '', untouched = ''] = lessons;
    const before = await nodeAt('', untouched);
    const saves = new Map<string, { made: CommitResponse; by: string }>();
    for (let n = 0; n < 50; n++) {
      const name = `branch-${n}`;
      await service.client.createBranch({ courseId, name }, owner);
      const by = `writer-${n}`;
      const made = await commit(name, [setBody(lesson, name)], await service.as('author', [courseId], { sub: by }));
      saves.set(name, { made, by });
      // On every other branch the other lesson is saved too, so that the rows of a page are not all of one node.
      if (n % 2 === 0) await commit(name, [setBody(other, name)]);
    }
    for (const [name, { made, by }] of saves) {
      const node = await nodeAt(name, lesson);
      expect(node).toMatchObject({ commit: made.commit, updatedAt: made.at, updatedBy: by, body: body(name) });
      expect(node).toEqual(await nodeAt(made.commit, lesson));
      expect(await nodeAt(name, untouched)).toEqual(before);
    }
    // One answer for many nodes, by a process that has nothing in memory.
    const { store } = service.sibling();
    for (const name of ['branch-0', 'branch-17', 'branch-48']) {
      const at = await resolveRef(store, courseId, name);
      const changed = await lastChanges(store, courseId, at.commit, [courseId, moduleId, ...lessons]);
      expect([lesson, other, untouched].map((id) => changed.get(id)?.hash)).toEqual([
        saves.get(name)?.made.commit,
        (await nodeAt(name, other))?.commit,
        before?.commit,
      ]);
    }
  });

  it('lists the saves of a lesson on its own branch alone, page by page, each once', async () => {
    await makeCourse(1);
    const [lesson = ''] = lessons;
    await service.client.createBranch({ courseId, name: 'quiet' }, owner);
    const branches = Array.from({ length: 150 }, (_, n) => `side-${n}`);
    for (const name of branches) await service.client.createBranch({ courseId, name }, owner);
    const own: string[] = [];
    for (let round = 0; round < 3; round++) {
      own.unshift((await commit('quiet', [setBody(lesson, `quiet ${round}`)])).commit);
      for (const name of branches) await commit(name, [setBody(lesson, `${name} ${round}`)]);
    }
    const seen: string[] = [];
    for (let cursor = '', n = 0; n === 0 || cursor !== ''; n++) {
      const page = await service.client.listCommits(
        { courseId, ref: 'quiet', nodeId: lesson, cursor, limit: 1 },
        owner,
      );
      seen.push(...page.commits.map(({ hash }) => hash));
      cursor = page.next;
    }
    expect(seen.slice(0, 3)).toEqual(own);
    // The lesson came with its module, in the second commit of all.
    expect(seen).toHaveLength(4);
  });
});

describe('an id that comes back as another kind', () => {
  type Told = {
    defaultBranch: boolean;
    changes: object;
    counts: object;
    nodes: { id: string; kind: string; what: string[] }[];
  };
  const told = async (): Promise<Told> => {
    const { rows } = await service.database.pool.query<{ data: Told }>(
      'SELECT data FROM outbox WHERE course_id = $1 ORDER BY seq DESC LIMIT 1',
      [courseId],
    );
    return rows[0]?.data as Told;
  };
  const remove = (nodeId: string): { op: Op['op'] } => ({ op: { $case: 'remove', value: { nodeId } } });
  const counts = async (): Promise<unknown> => (await service.client.getCourse({ courseId }, owner)).counts;

  it('in one change is counted, told, compared and dated as what it has become', async () => {
    await makeCourse(3);
    const lesson = lessons.at(-1) ?? '';
    const before = (await service.client.getCourse({ courseId }, owner)).head;
    const made = await commit('', [remove(lesson), add(lesson, moduleId, NodeKind.ASSIGNMENT)]);
    expect(await counts()).toEqual({ units: 0, modules: 1, lessons: 2, assignments: 1 });
    expect(await told()).toMatchObject({
      changes: { added: 0, removed: 0, moved: 0, edited: 1 },
      counts: { lessons: 2, assignments: 1 },
      nodes: [{ id: lesson, kind: 'NODE_KIND_ASSIGNMENT', what: ['kind_changed'] }],
    });
    expect(await nodeAt('', lesson)).toMatchObject({ commit: made.commit, kind: NodeKind.ASSIGNMENT });
    const compared = await service.client.compare({ courseId, from: before, to: made.commit }, owner);
    expect(compared.summary).toMatchObject({ added: 0, removed: 0, edited: 0, kindChanged: 1 });
    expect(compared.items).toMatchObject([
      { nodeId: lesson, changes: ['kind_changed'], kind: NodeKind.ASSIGNMENT, fromKind: NodeKind.LESSON },
    ]);
    const { commits } = await service.client.listCommits({ courseId, nodeId: lesson }, owner);
    expect(commits[0]?.hash).toBe(made.commit);
  });

  it('in two changes is compared as what it has become, across both', async () => {
    await makeCourse(2);
    const [lesson = ''] = lessons;
    const before = (await service.client.getCourse({ courseId }, owner)).head;
    await commit('', [remove(lesson)]);
    const made = await commit('', [add(lesson, moduleId, NodeKind.ASSIGNMENT)]);
    expect(await counts()).toEqual({ units: 0, modules: 1, lessons: 1, assignments: 1 });
    const compared = await service.client.compare({ courseId, from: before, to: '' }, owner);
    expect(compared.items.find(({ nodeId }) => nodeId === lesson)).toMatchObject({
      changes: expect.arrayContaining(['kind_changed']),
      fromKind: NodeKind.LESSON,
    });
    expect((await nodeAt('', lesson))?.commit).toBe(made.commit);
  });

  it('as a part of the tree, a unit that becomes a module, takes its own below away', async () => {
    await makeCourse(1);
    const [unit, inner] = [newId(), newId()];
    await commit('', [add(unit, courseId, NodeKind.UNIT), add(inner, unit, NodeKind.MODULE)]);
    expect(await counts()).toMatchObject({ units: 1, modules: 2 });
    // Its place is another one, too: it comes last.
    await commit('', [remove(unit), add(unit, courseId, NodeKind.MODULE)]);
    expect(await counts()).toMatchObject({ units: 0, modules: 2 });
    expect((await told()).nodes).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ id: unit, what: ['kind_changed'] }),
        expect.objectContaining({ id: inner, what: ['removed'] }),
      ]),
    );
  });

  it('by an import that brings a whole course anew is counted, told and shown as what it has become', async () => {
    await makeCourse(3);
    const lesson = lessons.at(-1) ?? '';
    const start = (await service.client.getCourse({ courseId }, owner)).head;
    const content = await service.service('content', { sub: 'ivy' });
    const from = `import/${newId()}`;
    const ops = [remove(lesson), add(lesson, moduleId, NodeKind.ASSIGNMENT)];
    await service.client.commit({ courseId, branch: from, start, ops, message: 'Again', kind: 'import' }, content);
    const made = await service.client.graft({ courseId, from, start }, content);
    expect(await counts()).toEqual({ units: 0, modules: 1, lessons: 2, assignments: 1 });
    expect(await told()).toMatchObject({
      changes: { added: 0, removed: 0, edited: 1 },
      counts: { lessons: 2, assignments: 1 },
      nodes: [{ id: lesson, kind: 'NODE_KIND_ASSIGNMENT', what: ['kind_changed'] }],
    });
    expect(await nodeAt('', lesson)).toMatchObject({ commit: made.commit, kind: NodeKind.ASSIGNMENT });
  });

  it('with another source only is an edit', async () => {
    await makeCourse(1);
    const [lesson = ''] = lessons;
    const anew = add(lesson, moduleId, NodeKind.LESSON);
    const source = { format: 'olx', key: 'problem/x' };
    if (anew.op?.$case === 'add') anew.op.value.source = source;
    const made = await commit('', [remove(lesson), anew]);
    expect((await told()).nodes).toMatchObject([{ id: lesson, what: ['edited'] }]);
    expect(await nodeAt('', lesson)).toMatchObject({ commit: made.commit, source });
  });
});

describe('fields that are called like what every object inherits', () => {
  const names = ['toString', 'valueOf', 'hasOwnProperty', 'isPrototypeOf', 'toLocaleString', 'propertyIsEnumerable'];
  const setFields = (fields: Record<string, unknown>): { op: Op['op'] } => ({
    op: { $case: 'setFields', value: { nodeId: lessons[0] ?? '', fields } },
  });

  it('are kept, compared, changed and taken away as any other', async () => {
    await makeCourse(1);
    const before = (await service.client.getCourse({ courseId }, owner)).head;
    const given = Object.fromEntries(names.map((name) => [name, `a ${name}`]));
    const made = await commit('', [setFields(given)]);
    expect((await nodeAt('', lessons[0] ?? ''))?.fields).toEqual({ title: 'x', ...given });
    const edited = await commit('', [setFields({ toString: 7, valueOf: null })]);
    const compare = async (from: string, to: string): Promise<unknown[][]> => {
      const { items } = await service.client.compare({ courseId, from, to }, owner);
      return (items[0]?.fields ?? []).map((field) => [field.pointer, field.from, field.to]);
    };
    const added = names.toSorted().map((name) => [`/fields/${name}`, undefined, `a ${name}`]);
    expect(await compare(before, made.commit)).toEqual(added);
    expect(await compare(made.commit, before)).toEqual(added.map(([pointer, from, to]) => [pointer, to, from]));
    expect(await compare(made.commit, edited.commit)).toEqual([
      ['/fields/toString', 'a toString', 7],
      ['/fields/valueOf', 'a valueOf', undefined],
    ]);
  });

  it('are refused where they would change what an object is', async () => {
    await makeCourse(1);
    for (const name of ['constructor', 'prototype'])
      await expect(commit('', [setFields({ [name]: 1 })])).rejects.toMatchObject({
        reason: 'OPS_REFUSED',
        fields: [{ pointer: `/ops/0/fields/${name}`, code: 'field_name' }],
      });
  });
});
