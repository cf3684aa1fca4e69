import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '@coursewright/platform/ids';
import { eventually } from '@coursewright/platform/testing/eventually';
import {
  catalogOf,
  catchUp,
  committed,
  hashOf,
  listAll,
  makeCourse,
  published,
  startWorld,
  type World,
} from './support/world.js';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

/** Lists restricted to courses of one test. */
const mark = (): string => `topic ${newId()}`;

describe('what an actor sees', () => {
  it('shows staff the draft, everybody else what is published, and never both', async () => {
    const topic = mark();
    const fields = { title: 'Public title', topic };
    const own = await makeCourse(world, { owner: 'ann', fields, publish: true });
    const hidden = await makeCourse(world, { owner: 'ann', fields });
    const foreign = await makeCourse(world, { owner: 'bob', fields, publish: true });
    const draft = { title: 'Secret draft title', topic };
    for (const id of [own, hidden, foreign])
      world.versioning.emit(id, 'committed', committed(id, draft, `second ${id}`, { authorId: 'writer' }));
    await catchUp(world);

    const ann = await catalogOf(world).listCourses({ topic }, await world.callers.as('ann', ['author']));
    const titles = Object.fromEntries(ann.courses.map((course) => [course.courseId, course.fields?.['title']]));
    expect(titles).toEqual({ [own]: 'Secret draft title', [hidden]: 'Secret draft title', [foreign]: 'Public title' });

    for (const stranger of ['eve', 'lea']) {
      const seen = await catalogOf(world).listCourses(
        { topic, facets: true },
        await world.callers.as(stranger, ['learner']),
      );
      expect(seen.courses.map((course) => course.courseId).sort()).toEqual([own, foreign].sort());
      expect(JSON.stringify(seen)).not.toMatch(/Secret|writer|second/);
      expect(seen.courses.every((course) => course.head === '' && !course.unpublishedChanges)).toBe(true);
      const probe = await catalogOf(world).listCourses({ query: 'secret', topic }, await world.callers.as(stranger));
      expect(probe.courses).toEqual([]);
      const status = await catalogOf(world).listCourses({ status: 'draft', topic }, await world.callers.as(stranger));
      expect(status.courses).toEqual([]);
    }
    expect((await listAll(world, await world.callers.as('root', ['admin']), { topic })).sort()).toEqual(
      [own, hidden, foreign].sort(),
    );
  });

  it('shows a member the draft from the moment he is staff; a learner role changes nothing', async () => {
    const topic = mark();
    const id = await makeCourse(world, { owner: 'ann', fields: { topic } });
    const admin = await world.callers.as('root', ['admin']);
    const ben = await world.callers.as('ben', ['author']);
    expect(await listAll(world, ben, { topic })).toEqual([]);
    await catalogOf(world).putMember({ courseId: id, subject: 'ben', role: 'learner' }, admin);
    expect(await listAll(world, ben, { topic })).toEqual([]);
    await catalogOf(world).putMember({ courseId: id, subject: 'ben', role: 'reviewer' }, admin);
    expect(await listAll(world, ben, { topic })).toEqual([id]);
  });

  it('leaves out archived and deleted courses unless asked, and deleted ones to all but admins', async () => {
    const topic = mark();
    const [open, archived, gone] = await Promise.all(
      [0, 1, 2].map(() => makeCourse(world, { owner: 'ann', fields: { topic }, publish: true })),
    );
    const root = await world.callers.as('root', ['admin']);
    await catalogOf(world).deleteCourse({ courseId: gone! }, root);
    const archive = {
      name: 'test_archive',
      text: 'UPDATE course_registry SET archived_at = now() WHERE course_id = $1::uuid',
    };
    await world.database.rows(archive, [archived]);
    await world.process().command('rebuild');
    const ann = await world.callers.as('ann');
    const eve = await world.callers.as('eve');
    for (const caller of [ann, eve, root]) {
      expect(await listAll(world, caller, { topic })).toEqual([open]);
      expect(await listAll(world, caller, { topic, status: 'archived' })).toEqual([archived]);
    }
    expect(await listAll(world, root, { topic, deleted: true })).toEqual([gone]);
    await expect(listAll(world, ann, { topic, deleted: true })).rejects.toMatchObject({ reason: 'FORBIDDEN' });
  });
});

describe('filters, search and facets', () => {
  it('find by each filter, by words without accents and case, and count what was found', async () => {
    const topic = mark();
    const spanish = {
      title: 'Español básico',
      topic,
      cefrLevel: 'A1',
      language: 'es',
      tags: ['verbs', 'food'],
      description: 'Ordering in a café',
    };
    const first = await makeCourse(world, { owner: 'cas', fields: spanish, publish: true });
    const second = await makeCourse(world, {
      owner: 'dan',
      fields: { title: 'Deutsch', topic, cefrLevel: 'B2', language: 'de', tags: ['food'] },
      publish: true,
    });
    const root = await world.callers.as('root', ['admin']);
    const find = (request: object) => listAll(world, root, { topic, ...request });
    expect(await find({ level: 'A1' })).toEqual([first]);
    expect(await find({ language: 'de' })).toEqual([second]);
    expect(await find({ tag: 'verbs' })).toEqual([first]);
    expect(await find({ owner: 'dan' })).toEqual([second]);
    expect(await find({ published: false })).toEqual([]);
    expect((await find({ status: 'published' })).sort()).toEqual([first, second].sort());
    expect(await find({ query: 'ESPANOL cafe' })).toEqual([first]);
    expect(await find({ query: '"ordering in" -deutsch' })).toEqual([first]);
    expect(await find({ query: `';--` })).toEqual([]);
    const { facets } = await catalogOf(world).listCourses({ topic, facets: true }, root);
    const values = Object.fromEntries(facets.map((facet) => [facet.name, facet.values.map((v) => [v.value, v.count])]));
    expect(values).toEqual({
      topic: [[topic, 2]],
      level: [
        ['A1', 1],
        ['B2', 1],
      ],
      status: [['published', 2]],
      language: [
        ['de', 1],
        ['es', 1],
      ],
      tag: [
        ['food', 2],
        ['verbs', 1],
      ],
    });
  });

  it('find words that are written without blanks, and each in any case, whoever may see them', async () => {
    const topic = mark();
    const fields = { topic, title: '我家在上海东边', tags: ['Straße'], description: 'Über die Straßen von Łódź' };
    const id = await makeCourse(world, { owner: 'cas', fields, publish: true });
    for (const caller of [await world.callers.as('cas'), await world.callers.as('eve')]) {
      for (const query of ['上海', '海', '"上海东边" -北京', 'STRASSE', 'uber lodz', '广州 or 上海'])
        expect([query, await listAll(world, caller, { topic, query })]).toEqual([query, [id]]);
      for (const query of ['海上', '上海 -家', '"straße lodz"'])
        expect([query, await listAll(world, caller, { topic, query })]).toEqual([query, []]);
    }
  });

  it('find a tag in any of its spellings, and count it once, as most have written it', async () => {
    const topic = mark();
    const spelled = ['STRASSE', 'Straße', 'straße', 'Straße'];
    const made: string[] = [];
    for (const tag of spelled) made.push(await makeCourse(world, { fields: { topic, tags: [tag, 'caf\u00e9'] } }));
    const root = await world.callers.as('root', ['admin']);
    for (const tag of [...spelled, 'strasse', 'CAFE\u0301'])
      expect((await listAll(world, root, { topic, tag })).sort()).toEqual([...made].sort());
    expect(await listAll(world, root, { topic, tag: 'cafe' })).toEqual([]);
    const { facets } = await catalogOf(world).listCourses({ topic, facets: true }, root);
    expect(facets.find(({ name }) => name === 'tag')?.values).toEqual([
      { value: 'Straße', count: 4 },
      { value: 'café', count: 4 },
    ]);
  });

  it('rank a title above a description', async () => {
    const topic = mark();
    const below = await makeCourse(world, { fields: { topic, title: 'Sea', description: 'about whales' } });
    const above = await makeCourse(world, { fields: { topic, title: 'Whales', description: 'of the sea' } });
    const root = await world.callers.as('root', ['admin']);
    expect(await listAll(world, root, { topic, query: 'whales' })).toEqual([above, below]);
    expect(await listAll(world, root, { topic, query: 'whales', limit: 1 })).toEqual([above, below]);
  });
});

describe('pages', () => {
  it('hold every course once in each order, also when courses come in between', async () => {
    const topic = mark();
    const made: string[] = [];
    for (const title of ['b', 'a', 'c', 'B', 'á', 'z', 'y']) {
      const owner = made.length % 2 === 0 ? 'ann' : 'bob';
      made.push(await makeCourse(world, { owner, fields: { title, topic }, publish: true }));
    }
    const root = await world.callers.as('root', ['admin']);
    const ann = await world.callers.as('ann');
    for (const caller of [root, ann]) {
      for (const sort of ['updatedAt', '-updatedAt', 'title', '-title', 'createdAt', '-createdAt']) {
        const whole = await listAll(world, caller, { topic, sort });
        expect([...whole].sort()).toEqual([...made].sort());
        expect(await listAll(world, caller, { topic, sort, limit: 2 })).toEqual(whole);
        const reverse = sort.startsWith('-') ? sort.slice(1) : `-${sort}`;
        expect(await listAll(world, caller, { topic, sort: reverse, limit: 3 })).toEqual(whole.toReversed());
      }
    }
    const first = await catalogOf(world).listCourses({ topic, sort: 'title', limit: 3 }, root);
    await makeCourse(world, { fields: { title: '0 before all', topic } });
    const rest = await listAll(world, root, { topic, sort: 'title', cursor: '' });
    expect(rest).toHaveLength(8);
    const second = await catalogOf(world).listCourses({ topic, sort: 'title', limit: 200, cursor: first.next }, root);
    expect(new Set([...first.courses, ...second.courses].map((course) => course.courseId))).toEqual(new Set(made));
  });

  it('refuse a cursor of another list, and what is no cursor', async () => {
    const topic = mark();
    await makeCourse(world, { fields: { topic } });
    await makeCourse(world, { fields: { topic } });
    const root = await world.callers.as('root', ['admin']);
    const { next } = await catalogOf(world).listCourses({ topic, limit: 1 }, root);
    for (const request of [
      { topic: 'another', cursor: next },
      { topic, sort: 'title', cursor: next },
      { topic, cursor: 'x' },
    ]) {
      await expect(catalogOf(world).listCourses(request, root)).rejects.toMatchObject({
        kind: 'invalid_argument',
        reason: 'CURSOR_INVALID',
      });
    }
  });
});

describe('the cache', () => {
  it('is invalidated by the event, for staff and for strangers', async () => {
    const topic = mark();
    const id = await makeCourse(world, { owner: 'ann', fields: { title: 'old', topic }, publish: true });
    const callers = [
      await world.callers.as('ann'),
      await world.callers.as('eve'),
      await world.callers.as('root', ['admin']),
    ];
    const titles = async () => {
      const lists = await Promise.all(callers.map((caller) => catalogOf(world).listCourses({ topic }, caller)));
      return lists.map((list) => String(list.courses[0]?.fields?.['title']));
    };
    expect(await titles()).toEqual(['old', 'old', 'old']);
    world.versioning.emit(id, 'committed', committed(id, { title: 'new', topic }, 'new tree'));
    await catchUp(world);
    await eventually(async () => expect(await titles()).toEqual(['new', 'old', 'new']));
    world.versioning.emit(id, 'published', published(id, { title: 'new', topic }, 'new tree', 2));
    await catchUp(world);
    await eventually(async () => expect(await titles()).toEqual(['new', 'new', 'new']));
    world.versioning.emit(id, 'unpublished', { courseId: id });
    await catchUp(world);
    await eventually(async () => expect(await titles()).toEqual(['new', 'undefined', 'new']));
  });

  it('is what a list is read from', async () => {
    const topic = mark();
    const id = await makeCourse(world, { fields: { topic } });
    const root = await world.callers.as('root', ['admin']);
    expect(await listAll(world, root, { topic })).toEqual([id]);
    await world.database.rows({ name: 'test_drop_card', text: 'DELETE FROM course_card WHERE course_id = $1::uuid' }, [
      id,
    ]);
    expect(await listAll(world, root, { topic })).toEqual([id]);
    await makeCourse(world, { fields: { topic: 'another' } });
    await eventually(async () => expect(await listAll(world, root, { topic })).toEqual([]));
  });

  it('may be away: lists stay right', async () => {
    const without = await startWorld({ redisUrl: 'redis://127.0.0.1:1' });
    try {
      const id = await makeCourse(without, { owner: 'ann', fields: { title: 'one' } });
      expect(await listAll(without, await without.callers.as('ann'))).toEqual([id]);
      without.versioning.emit(id, 'committed', committed(id, { title: 'two' }, 'two'));
      await catchUp(without);
      const { courses } = await catalogOf(without).listCourses({}, await without.callers.as('ann'));
      expect(courses[0]).toMatchObject({ fields: { title: 'two' }, head: hashOf('commit of two') });
      const ready = await fetch(`${without.process().opsUrl}/readyz`);
      expect(await ready.json()).toMatchObject({ status: 'degraded', checks: { redis: 'down' } });
    } finally {
      await without.stop();
    }
  });
});
