import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import type { CommitResponse, OutlineNode } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { newId } from '@coursewright/platform/ids';
import { bodyHash } from './support/model.js';
import { publish } from './support/publish.js';
import { add, expectRefusal, setFields, type WireOp } from './support/requests.js';
import { startService, type TestService } from './support/service.js';

const HOUR = 3_600_000;
let service: TestService;
let admin: { token: string };
let courseId: string;
/** A unit for everybody with three modules, the second for authors; in the first ten lessons, three of them for staff; a unit for graders. */
let unit: string;
let modules: string[];
let lessons: string[];
let graders: { unit: string; module: string; lesson: string };
let published: string;
let learner: { token: string };

const learnerOf = (commit: string, course = courseId) =>
  service.as('learner', [], { grants: [{ course, role: 'learner', commit }] });

async function commit(...ops: WireOp[]): Promise<CommitResponse> {
  return service.client.commit({ courseId, ops, message: 'A change' }, admin);
}

beforeAll(async () => {
  service = await startService();
  admin = await service.as('admin', [], { roles: ['admin'] });
});
afterAll(() => service.stop());

const STAFF_LESSONS = new Map([
  [2, 'author'],
  [3, 'grader'],
  [9, 'author'],
]);

beforeEach(async () => {
  [courseId, unit] = [newId(), newId()];
  modules = [newId(), newId(), newId()];
  lessons = Array.from({ length: 10 }, newId);
  graders = { unit: newId(), module: newId(), lesson: newId() };
  await service.client.createCourse({ courseId, fields: { title: 'A course' } }, await service.service('catalog'));
  const audience = (word: string | undefined) => (word === undefined ? {} : { audience: word });
  const made = await commit(
    add({ id: graders.unit, parentId: courseId, kind: NodeKind.UNIT, fields: { title: 'Keys', audience: 'grader' } }),
    add({ id: graders.module, parentId: graders.unit, kind: NodeKind.MODULE }),
    add({
      id: graders.lesson,
      parentId: graders.module,
      kind: NodeKind.ASSIGNMENT,
      fields: { title: 'x', audience: 'learner' },
    }),
    add({ id: unit, parentId: courseId, kind: NodeKind.UNIT }),
    ...modules.map((id, i) =>
      add({
        id,
        parentId: unit,
        kind: NodeKind.MODULE,
        fields: { title: `M${i}`, ...audience(i === 1 ? 'author' : undefined) },
      }),
    ),
    ...lessons.map((id, i) =>
      add({
        id,
        parentId: modules[0]!,
        kind: NodeKind.LESSON,
        fields: { title: `L${i}`, ...audience(STAFF_LESSONS.get(i)) },
      }),
    ),
    add({ parentId: modules[1]!, kind: NodeKind.LESSON }),
  );
  published = made.commit;
  await publish(service, courseId, published);
  learner = await learnerOf(published);
});

const seenLessons = () => lessons.filter((_, i) => !STAFF_LESSONS.has(i));
const idsOf = (node: OutlineNode | undefined): string[] => [
  node?.id ?? '',
  ...(node?.children ?? []).flatMap((child) => idsOf(child)),
];

describe('a learner', () => {
  it('meets no trace of a node for staff in outline, lists, counts and positions', async () => {
    const { root } = await service.client.getOutline({ courseId, ref: published, depth: 3 }, learner);
    expect(idsOf(root)).toEqual([courseId, unit, modules[0], ...seenLessons(), modules[2]]);
    expect([root?.childCount, root?.children[0]?.childCount, root?.children[0]?.children[0]?.childCount]).toEqual([
      1, 2, 7,
    ]);
    const flat = await service.client.getOutline({ courseId, ref: published }, learner);
    expect(flat.root?.children[0]?.children.map(({ childCount }) => childCount)).toEqual([7, 0]);
    const course = await service.client.getCourse({ courseId, ref: published }, learner);
    expect(course).toMatchObject({
      counts: { units: 1, modules: 2, lessons: 7, assignments: 0 },
      latestVersion: 1,
      root: { childCount: 1 },
    });
    const seen: [string, number][] = [];
    for (let cursor = '', n = 0; n === 0 || cursor !== ''; n++) {
      const page = await service.client.listChildren(
        { courseId, ref: published, parentId: modules[0]!, cursor, limit: 3 },
        learner,
      );
      expect(page.nodes.length).toBeGreaterThan(0);
      seen.push(...page.nodes.map(({ id, position }): [string, number] => [id, position]));
      cursor = page.next;
    }
    expect(seen).toEqual(seenLessons().map((id, i) => [id, i]));
    const all: string[] = [];
    for (let cursor = '', n = 0; n === 0 || cursor !== ''; n++) {
      const page = await service.client.listNodes({ courseId, ref: published, cursor, limit: 4 }, learner);
      expect(page.nodes.length).toBeGreaterThan(0);
      all.push(...page.nodes.map(({ id }) => id));
      cursor = page.next;
    }
    expect(all).toEqual([courseId, unit, modules[0], ...seenLessons(), modules[2]]);
    const { node } = await service.client.getNode({ courseId, ref: published, nodeId: modules[2]! }, learner);
    expect(node).toMatchObject({ position: 1, audience: 'learner' });
  });

  it('is told of a node for staff, at or below it, what he is told of one that never was', async () => {
    const [draft] = [newId()];
    await commit(add({ id: draft, parentId: modules[0]!, kind: NodeKind.LESSON }));
    const strange = [graders.unit, graders.module, graders.lesson, modules[1]!, lessons[3]!, draft, newId()];
    for (const nodeId of strange) {
      await expectRefusal(
        service.client.getNode({ courseId, ref: published, nodeId }, learner),
        'not_found',
        'NODE_NOT_FOUND',
      );
      const below = { courseId, ref: published };
      await expectRefusal(
        service.client.listChildren({ ...below, parentId: nodeId }, learner),
        'not_found',
        'NODE_NOT_FOUND',
      );
      await expectRefusal(
        service.client.getOutline({ ...below, rootId: nodeId }, learner),
        'not_found',
        'NODE_NOT_FOUND',
      );
    }
    const { homes } = await service.client.locate({ ids: [...strange, unit, lessons[0]!, courseId] }, learner);
    expect(new Set(homes.map(({ nodeId }) => nodeId))).toEqual(new Set([unit, lessons[0], courseId]));
    expect((await service.client.locate({ ids: strange }, await service.service('gateway'))).homes).toHaveLength(6);
  });

  it('has no ref but his own: every other answers as one that is not there', async () => {
    const other = await commit(setFields(unit, { title: 'Later' }));
    await service.client.createBranch({ courseId, name: 'draft' }, admin);
    for (const ref of ['', 'main', 'draft', 'no-such', '1', '3', other.commit, bodyHash(7)])
      await expectRefusal(service.client.getCourse({ courseId, ref }, learner), 'not_found', 'REF_NOT_FOUND');
    expect((await service.client.resolveRef({ courseId, ref: 'published' }, learner)).commit).toBe(published);
    for (const call of [
      service.client.listCommits({ courseId, ref: published }, learner),
      service.client.compare({ courseId, from: published, to: published }, learner),
      service.client.listBranches({ courseId }, learner),
    ])
      await expectRefusal(call, 'permission_denied', 'FORBIDDEN');
  });

  it('loses the course the moment it is unpublished, cursors too', async () => {
    const { next } = await service.client.listChildren(
      { courseId, ref: published, parentId: modules[0]!, limit: 2 },
      learner,
    );
    await publish(service, courseId, null);
    await expectRefusal(
      service.client.getCourse({ courseId, ref: published }, learner),
      'not_found',
      'COURSE_NOT_FOUND',
    );
    await expectRefusal(
      service.client.listChildren({ courseId, cursor: next }, learner),
      'not_found',
      'COURSE_NOT_FOUND',
    );
    expect((await service.client.locate({ ids: [unit] }, learner)).homes).toEqual([]);
    // Another publication does not bring back what was taken away.
    const other = await commit(setFields(unit, { title: 'Anew' }));
    await publish(service, courseId, other.commit);
    await expectRefusal(
      service.client.getCourse({ courseId, ref: published }, learner),
      'not_found',
      'COURSE_NOT_FOUND',
    );
  });

  it('reads on for an hour in what another publication has replaced, then the cursor is stale', async () => {
    const { next } = await service.client.listChildren(
      { courseId, ref: published, parentId: modules[0]!, limit: 2 },
      learner,
    );
    const second = await commit(setFields(unit, { title: 'Second' }));
    await publish(service, courseId, second.commit, HOUR - 600_000);
    const fresh = await learnerOf(second.commit);
    const rest = await service.client.listChildren({ courseId, cursor: next, limit: 10 }, fresh);
    expect(rest.nodes.map(({ id }) => id)).toEqual(seenLessons().slice(2));
    // Who holds a token of the moment before is not thrown out of his page.
    expect((await service.client.getCourse({ courseId, ref: published }, learner)).head).toBe(published);
    const on = await service.client.listChildren(
      { courseId, ref: second.commit, parentId: modules[0]!, limit: 2 },
      fresh,
    );
    const third = await commit(setFields(unit, { title: 'Third' }));
    await publish(service, courseId, third.commit, HOUR + 1_000);
    const freshest = await learnerOf(third.commit);
    await expectRefusal(service.client.listChildren({ courseId, cursor: on.next }, freshest), 'gone', 'CURSOR_STALE');
    await expectRefusal(
      service.client.getCourse({ courseId, ref: second.commit }, fresh),
      'not_found',
      'COURSE_NOT_FOUND',
    );
    expect((await service.client.getCourse({ courseId, ref: third.commit }, freshest)).head).toBe(third.commit);
  });

  it('with a grant or a cursor that names a draft is told nothing of it', async () => {
    const draft = await commit(setFields(unit, { title: 'Draft' }));
    const forged = await learnerOf(draft.commit);
    await expectRefusal(
      service.client.getCourse({ courseId, ref: draft.commit }, forged),
      'not_found',
      'COURSE_NOT_FOUND',
    );
    await expectRefusal(
      service.client.getCourse({ courseId, ref: published }, forged),
      'not_found',
      'COURSE_NOT_FOUND',
    );
    for (const hash of [draft.commit, bodyHash(9)]) {
      const cursor = Buffer.from(JSON.stringify({ commit: hash, parent: unit, from: 0 })).toString('base64url');
      await expectRefusal(service.client.listChildren({ courseId, cursor }, learner), 'gone', 'CURSOR_STALE');
    }
  });
});

describe('staff', () => {
  it('see all of a tree, and of each node for whom it is, its ancestors counted in', async () => {
    const author = await service.as('author', [courseId]);
    const audience = async (nodeId: string) =>
      (await service.client.getNode({ courseId, nodeId }, author)).node?.audience;
    expect(await Promise.all([unit, modules[1]!, lessons[3]!, graders.lesson].map(audience))).toEqual([
      'learner',
      'author',
      'grader',
      'grader',
    ]);
    const { nodes } = await service.client.listNodes({ courseId, limit: 100 }, author);
    expect(nodes.map(({ audience: word }) => word).filter((word) => word !== 'learner')).toHaveLength(3 + 2 + 3);
    const children = await service.client.listChildren({ courseId, parentId: graders.module }, author);
    expect(children.nodes.map(({ audience: word }) => word)).toEqual(['grader']);
    expect((await service.client.getCourse({ courseId }, author)).counts).toMatchObject({
      units: 2,
      modules: 4,
      lessons: 11,
      assignments: 1,
    });
  });

  it('give a node another audience by its field, whose words are three, and never to the course itself', async () => {
    await expectRefusal(commit(setFields(unit, { audience: 'teachers' })), 'unprocessable', 'OPS_REFUSED');
    await expectRefusal(commit(setFields(courseId, { audience: 'author' })), 'unprocessable', 'OPS_REFUSED');
    const opened = await commit(
      setFields(modules[1]!, { audience: null }),
      setFields(lessons[0]!, { audience: 'author' }),
    );
    await publish(service, courseId, opened.commit);
    const fresh = await learnerOf(opened.commit);
    const { root } = await service.client.getOutline({ courseId, ref: opened.commit, depth: 3 }, fresh);
    expect(root?.children[0]?.children.map(({ id, childCount }) => [id, childCount])).toEqual([
      [modules[0], 6],
      [modules[1], 1],
      [modules[2], 0],
    ]);
  });
});
