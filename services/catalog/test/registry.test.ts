import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { RecallOutcome } from '@coursewright/proto/coursewright/common/v1/requests';
import type { Actor } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import { eventually } from '@coursewright/platform/testing/eventually';
import { testCommand } from '@coursewright/platform/testing/process';
import {
  catalogOf,
  catchUp,
  committed,
  hashOf,
  listAll,
  makeCourse,
  requestsOf,
  startWorld,
  type World,
} from './support/world.js';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
beforeEach(() => {
  world.onCreate = async () => undefined;
});
afterAll(() => world.stop());

const fields = { title: 'Made here', tags: ['a'] };

async function intents(): Promise<{ id: string; state: string; reason: string | null }[]> {
  return world.database.rows({
    name: 'test_intents',
    text: 'SELECT id, state, reason FROM course_intent ORDER BY created_at, id',
  });
}

async function eventsOf(courseId: string): Promise<{ type: string; data: Record<string, unknown> }[]> {
  const statement = {
    name: 'test_events',
    text: 'SELECT type, data FROM outbox WHERE course_id = $1::uuid ORDER BY seq',
  };
  return world.database.rows(statement, [courseId]);
}

const recall = async (key: string, fingerprint = 'one', actor = 'ann') =>
  requestsOf(world).recall({ actor, key, fingerprint }, await world.callers.service('gateway'));

describe('making a course', () => {
  it('asks versioning in the name of the author, writes the registry and tells of it once', async () => {
    const asked: [string, Record<string, unknown>, Actor][] = [];
    world.onCreate = async (...args) => void asked.push(args);
    const course = await catalogOf(world).createCourse({ fields }, await world.callers.as('ann', ['author']));
    expect(course).toMatchObject({
      owner: 'ann',
      createdBy: 'ann',
      revision: 1,
      commit: hashOf(`first ${course.courseId}`),
    });
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject([course.courseId, fields, { sub: 'service:catalog', onBehalfOf: { sub: 'ann' } }]);
    expect(await eventsOf(course.courseId)).toMatchObject([
      { type: 'course-created', data: { courseId: course.courseId, owner: 'ann', createdBy: 'ann' } },
    ]);
    const read = await catalogOf(world).getCourse(
      { courseId: course.courseId },
      await world.callers.as('ann', ['author'], { [course.courseId]: ['admin'] }),
    );
    expect(read).toMatchObject({ courseId: course.courseId, createdAt: course.createdAt, reviewState: 'none' });
  });

  it('is for authors and admins of the platform', async () => {
    for (const roles of [[], ['learner'], ['reviewer']]) {
      const caller = await world.callers.as('lea', roles);
      await expect(catalogOf(world).createCourse({ fields }, caller)).rejects.toMatchObject({ reason: 'FORBIDDEN' });
    }
    await expect(
      catalogOf(world).createCourse({ fields: { title: 'a\0b' } }, await world.callers.as('ann', ['author'])),
    ).rejects.toMatchObject({ reason: 'INVALID_REQUEST', fields: [{ pointer: '/fields/title' }] });
  });

  it('answers a repeat of the command with the first result, and refuses the key for another request', async () => {
    const caller = await world.callers.as('ann', ['author']);
    const command = testCommand();
    const first = await catalogOf(world).createCourse({ fields }, { ...caller, command });
    const again = await catalogOf(world).createCourse({ fields }, { ...caller, command });
    expect(again).toEqual(first);
    expect(await recall(command.id)).toMatchObject({
      outcome: RecallOutcome.DONE,
      result: { courseId: first.courseId, commit: first.commit },
    });
    expect((await recall(command.id, 'two')).outcome).toBe(RecallOutcome.MISMATCH);
    await expect(
      catalogOf(world).createCourse({ fields }, { ...caller, command: { ...command, fingerprint: 'two' } }),
    ).rejects.toMatchObject({ reason: 'IDEMPOTENCY_KEY_REUSED' });
    expect(await eventsOf(first.courseId)).toHaveLength(1);
  });

  it('makes one course of the same command sent many times at once', async () => {
    const caller = { ...(await world.callers.as('ann', ['author'])), command: testCommand() };
    const results = await Promise.allSettled(
      [1, 2, 3, 4, 5].map(() => catalogOf(world).createCourse({ fields }, caller)),
    );
    const made = new Set(results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.courseId] : [])));
    expect(made.size).toBe(1);
    for (const result of results)
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ reason: 'IN_PROGRESS' });
    expect(await eventsOf([...made][0]!)).toHaveLength(1);
  });

  it('is nowhere under way while many only ask for it', async () => {
    for (let round = 0; round < 10; round += 1) {
      const key = newId();
      const asked = await Promise.all(Array.from({ length: 16 }, () => recall(key)));
      expect(new Set(asked.map(({ outcome }) => outcome))).toEqual(new Set([RecallOutcome.NONE]));
    }
  });

  it('closes the intent when versioning refuses the fields, and passes the refusal on', async () => {
    world.onCreate = async () => {
      throw new AppError(
        'unprocessable',
        'FIELDS_INVALID',
        {},
        { fields: [{ pointer: '/title', code: 'x', message: 'y' }] },
      );
    };
    const command = testCommand();
    const caller = { ...(await world.callers.as('ann', ['author'])), command };
    await expect(catalogOf(world).createCourse({ fields }, caller)).rejects.toMatchObject({
      kind: 'unprocessable',
      reason: 'FIELDS_INVALID',
      fields: [{ pointer: '/title' }],
    });
    expect((await intents()).at(-1)).toMatchObject({ state: 'refused', reason: 'FIELDS_INVALID' });
    expect((await recall(command.id)).outcome).toBe(RecallOutcome.NONE);
  });

  it('finishes a course whose making was cut off after the repository was made, under the same id and command', async () => {
    const created: string[] = [];
    world.onCreate = async (courseId) => {
      created.push(courseId);
      throw new AppError('unavailable', 'LOST_ON_THE_WAY');
    };
    const command = testCommand();
    const caller = { ...(await world.callers.as('ann', ['author'])), command };
    await expect(catalogOf(world).createCourse({ fields }, caller)).rejects.toMatchObject({ kind: 'unavailable' });
    expect((await recall(command.id)).outcome).toBe(RecallOutcome.IN_FLIGHT);
    await world.restart();
    world.onCreate = async (courseId) => void created.push(courseId);
    const done = await eventually(async () => {
      const answer = await recall(command.id);
      expect(answer.outcome).toBe(RecallOutcome.DONE);
      return answer.result!;
    });
    expect(new Set(created)).toEqual(new Set([done['courseId']]));
    expect(await eventsOf(String(done['courseId']))).toHaveLength(1);
    const again = await catalogOf(world).createCourse({ fields }, caller);
    expect(again).toMatchObject({ courseId: done['courseId'], owner: 'ann' });
  });

  it('finishes what a killed process left, once, and gives up what fails for ever', async () => {
    const leave = {
      name: 'test_leave_intent',
      text: `INSERT INTO course_intent (id, actor, person, key, fingerprint, kept, fields, state, attempts, lease_until, created_at)
             VALUES ($1::uuid, 'zoe', 'zoe', $2::text, 'one', 'client', '{"title": "Left"}', 'open', $3::int, now(), now())`,
    };
    const [left, doomed] = [newId(), newId()];
    world.onCreate = async (courseId) => {
      if (courseId === doomed) throw new Error('broken for ever');
    };
    await world.database.rows(leave, [left, 'k1', 1]);
    await world.database.rows(leave, [doomed, 'k2', 30]);
    await eventually(async () => {
      const states = new Map((await intents()).map((intent) => [intent.id, intent.state]));
      expect([states.get(left), states.get(doomed)]).toEqual(['done', 'failed']);
    });
    expect(await eventsOf(left)).toMatchObject([{ type: 'course-created', data: { owner: 'zoe' } }]);
    expect(await eventsOf(doomed)).toEqual([]);
    expect((await recall('k1', 'one', 'zoe')).outcome).toBe(RecallOutcome.DONE);
  });
});

describe('registering an imported course', () => {
  it('is for services, happens once, and finds the commits that came before it', async () => {
    const courseId = newId();
    world.versioning.emit(courseId, 'committed', committed(courseId, { title: 'Grafted' }, 'graft'));
    await catchUp(world);
    const content = await world.callers.service('content', { sub: 'ivy' });
    await expect(
      catalogOf(world).registerCourse({ courseId, owner: 'ivy' }, await world.callers.as('ivy', ['admin'])),
    ).rejects.toMatchObject({ reason: 'FORBIDDEN' });
    const first = await catalogOf(world).registerCourse({ courseId, owner: 'ivy' }, content);
    expect(await catalogOf(world).registerCourse({ courseId, owner: 'bob' }, content)).toEqual(first);
    expect(first).toMatchObject({ owner: 'ivy', createdBy: 'ivy', revision: 1 });
    expect(await eventsOf(courseId)).toHaveLength(1);
    expect(await listAll(world, await world.callers.as('ivy'))).toEqual([courseId]);
    await expect(catalogOf(world).registerCourse({ courseId: 'no', owner: 'x' }, content)).rejects.toMatchObject({
      reason: 'INVALID_REQUEST',
    });
  });
});

describe('deleting and restoring', () => {
  it('hides the course from everybody but platform admins, under the expected revision', async () => {
    const id = await makeCourse(world, { owner: 'own', publish: true });
    const owner = await world.callers.as('own', ['author'], { [id]: ['admin'] });
    const root = await world.callers.as('root', ['admin']);
    const author = await world.callers.as('aut', ['author'], { [id]: ['author'] });
    const service = await world.callers.service('gateway');
    await expect(catalogOf(world).deleteCourse({ courseId: id }, author)).rejects.toMatchObject({
      reason: 'FORBIDDEN',
    });
    await expect(catalogOf(world).deleteCourse({ courseId: id, expectedRevision: 7 }, owner)).rejects.toMatchObject({
      kind: 'stale',
      reason: 'STALE',
      details: { revision: 1 },
    });
    const command = testCommand();
    const gone = await catalogOf(world).deleteCourse({ courseId: id, expectedRevision: 1 }, { ...owner, command });
    expect(gone.deletedAt).toBeInstanceOf(Date);
    expect(gone.revision).toBe(2);
    expect(await catalogOf(world).deleteCourse({ courseId: id, expectedRevision: 1 }, { ...owner, command })).toEqual(
      gone,
    );
    // The owner's token was made before: it still names a role that he has no more.
    await expect(catalogOf(world).getCourse({ courseId: id }, owner)).rejects.toMatchObject({
      reason: 'COURSE_NOT_FOUND',
    });
    await expect(catalogOf(world).restoreCourse({ courseId: id }, owner)).rejects.toMatchObject({ kind: 'not_found' });
    expect(await catalogOf(world).getAccess({ courseId: id, subject: 'own' }, service)).toEqual({
      exists: false,
      deleted: true,
      archived: false,
      roles: [],
    });
    expect(await listAll(world, await world.callers.as('own'))).toEqual([]);
    expect(await listAll(world, await world.callers.as('eve'))).not.toContain(id);
    expect((await catalogOf(world).getCourse({ courseId: id }, root)).deletedAt).toEqual(gone.deletedAt);
    const back = await catalogOf(world).restoreCourse({ courseId: id, expectedRevision: 2 }, root);
    expect(back).toMatchObject({ deletedAt: undefined, revision: 3 });
    expect(await listAll(world, await world.callers.as('own'))).toEqual([id]);
    expect((await eventsOf(id)).map((event) => [event.type, event.data['what'] ?? null])).toEqual([
      ['course-created', null],
      ['course-deleted', null],
      ['course-changed', ['restored']],
    ]);
  });
});

describe('access', () => {
  it('tells services, and them only, the roles of a subject as they are now', async () => {
    const id = await makeCourse(world, { owner: 'own', publish: true });
    const service = await world.callers.service('gateway');
    const owner = await world.callers.as('own', [], { [id]: ['admin'] });
    const access = async (subject: string, courseId = id) =>
      (await catalogOf(world).getAccess({ courseId, subject }, service)).roles;
    expect(await access('own')).toEqual(['admin']);
    expect(await access('bea')).toEqual([]);
    const command = testCommand();
    for (const role of ['reviewer', 'author'])
      await catalogOf(world).putMember({ courseId: id, subject: 'bea', role }, owner);
    const member = await catalogOf(world).putMember(
      { courseId: id, subject: 'cid', role: 'learner' },
      { ...owner, command },
    );
    expect(member).toMatchObject({ subject: 'cid', role: 'learner', addedBy: 'own' });
    expect(
      await catalogOf(world).putMember({ courseId: id, subject: 'cid', role: 'learner' }, { ...owner, command }),
    ).toEqual(member);
    expect(await catalogOf(world).putMember({ courseId: id, subject: 'cid', role: 'learner' }, owner)).toEqual(member);
    expect(await access('bea')).toEqual(['author', 'reviewer']);
    expect((await eventsOf(id)).filter((event) => event.type === 'course-changed')).toHaveLength(3);
    const full = await catalogOf(world).getAccess({ courseId: id, subject: 'cid' }, service);
    expect(full).toEqual({
      exists: true,
      deleted: false,
      archived: false,
      roles: ['learner'],
    });
    expect(await access('own', newId())).toEqual([]);
    expect(await access('own', 'no id')).toEqual([]);
    await expect(catalogOf(world).getAccess({ courseId: id, subject: 'own' }, owner)).rejects.toMatchObject({
      reason: 'FORBIDDEN',
    });
  });

  it('lists members in pages to staff, and lets only managers add them', async () => {
    const id = await makeCourse(world, { owner: 'own' });
    const owner = await world.callers.as('own', [], { [id]: ['admin'] });
    for (const subject of ['c', 'a', 'b'])
      await catalogOf(world).putMember({ courseId: id, subject, role: 'author' }, owner);
    await catalogOf(world).putMember({ courseId: id, subject: 'a', role: 'reviewer' }, owner);
    const first = await catalogOf(world).listMembers({ courseId: id, limit: 2 }, owner);
    const second = await catalogOf(world).listMembers({ courseId: id, limit: 2, cursor: first.next }, owner);
    expect([...first.members, ...second.members].map(({ subject, role }) => `${subject} ${role}`)).toEqual([
      'a author',
      'a reviewer',
      'b author',
      'c author',
    ]);
    expect(second.next).toBe('');
    const author = await world.callers.as('a', [], { [id]: ['author'] });
    const learner = await world.callers.as('l', [], { [id]: ['learner'] });
    const stranger = await world.callers.as('s', ['author']);
    const put = { courseId: id, subject: 'x', role: 'author' };
    await expect(catalogOf(world).putMember(put, author)).rejects.toMatchObject({ reason: 'FORBIDDEN' });
    await expect(catalogOf(world).listMembers({ courseId: id }, learner)).rejects.toMatchObject({
      reason: 'FORBIDDEN',
    });
    await expect(catalogOf(world).listMembers({ courseId: id }, stranger)).rejects.toMatchObject({
      reason: 'COURSE_NOT_FOUND',
    });
    await expect(catalogOf(world).putMember(put, stranger)).rejects.toMatchObject({ reason: 'COURSE_NOT_FOUND' });
    await expect(catalogOf(world).listMembers({ courseId: id, cursor: '%' }, owner)).rejects.toMatchObject({
      reason: 'CURSOR_INVALID',
    });
    await expect(catalogOf(world).putMember({ ...put, role: 'boss' }, owner)).rejects.toMatchObject({
      reason: 'INVALID_REQUEST',
    });
  });

  it('tells learners nothing about reviews', async () => {
    const id = await makeCourse(world, { owner: 'own', publish: true });
    world.review.emit(id, 'submitted', { courseId: id, reviewId: newId(), tree: hashOf(`tree of ${id}`) });
    await catchUp(world);
    const read = async (role: string) =>
      catalogOf(world).getCourse({ courseId: id }, await world.callers.as('x', [], { [id]: [role] }));
    expect(await read('reviewer')).toMatchObject({ reviewState: 'in_review', reviewTree: hashOf(`tree of ${id}`) });
    expect(await read('learner')).toMatchObject({ reviewState: '', reviewTree: '' });
  });
});
