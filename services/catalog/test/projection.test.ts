import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createConsumer } from '@coursewright/platform/consume';
import type { Event } from '@coursewright/platform/event';
import { newId } from '@coursewright/platform/ids';
import { createInbox } from '@coursewright/platform/inbox';
import { createLogger } from '@coursewright/platform/logger';
import { managerOf, openNats } from '@coursewright/platform/nats';
import { createTokenVerifier } from '@coursewright/platform/internal-token';
import { createOutbox, eventSourceService } from '@coursewright/platform/outbox';
import { createLeases } from '@coursewright/platform/leases';
import { createRelay } from '@coursewright/platform/relay';
import { openDatabase } from '@coursewright/platform/sql';
import { EventSourceServiceDefinition } from '@coursewright/proto/coursewright/common/v1/event_source';
import { openChannel } from '@coursewright/platform/rpc-client';
import { createRpcServer } from '@coursewright/platform/rpc-server';
import { eventually } from '@coursewright/platform/testing/eventually';
import { createTestDatabase, testServers } from '@coursewright/platform/testing/servers';
import { versioningEvents } from '../src/consumers/versioning-events.js';
import { projectionRows } from '../src/store/projection-rows.js';
import { registryRows } from '../src/store/registry-rows.js';
import {
  catalogOf,
  catchUp,
  committed,
  hashOf,
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

async function card(courseId: string) {
  const root = await world.callers.as('root', ['admin']);
  const { courses } = await catalogOf(world).listCourses({ limit: 200 }, root);
  return courses.find((course) => course.courseId === courseId);
}

async function tables(): Promise<unknown> {
  const read = (name: string, text: string) => world.database.rows({ name, text });
  return [
    await read('test_cards', 'SELECT * FROM course_card ORDER BY course_id, kind'),
    await read('test_facts', 'SELECT * FROM course_projection ORDER BY course_id'),
    await read('test_inbox', 'SELECT source, course_id, seq, epoch, parked_at FROM inbox ORDER BY source, course_id'),
  ];
}

const deadLetters = async (): Promise<{ course_id: string; type: string }[]> =>
  ((await world.process().command('dead-letters')) as { items: { course_id: string; type: string }[] }).items;

describe('what events do', () => {
  it('moves head, versions, publication and review, and steps over other branches and unknown types', async () => {
    const id = await makeCourse(world, { owner: 'ann', fields: { title: 'one' } });
    const say = (type: string, data: Record<string, unknown>) => world.versioning.emit(id, type, data);
    say('committed', committed(id, { title: 'side' }, 'side', { branch: 'side', defaultBranch: false }));
    say('branch-created', { courseId: id, branch: 'side' });
    say('from-the-future', { anything: true });
    say('committed', committed(id, { title: 'two', topic: 't' }, 'two', { authorId: 'bob' }));
    say('version-cut', { courseId: id, number: 4 });
    world.review.emit(id, 'submitted', { courseId: id, reviewId: 'r1', tree: hashOf('two') });
    await catchUp(world);
    expect(await card(id)).toMatchObject({
      fields: { title: 'two', topic: 't' },
      status: 'in_review',
      updatedBy: 'bob',
      head: hashOf('commit of two'),
      version: 4,
      publishedVersion: 0,
      counts: { units: 1, modules: 2, lessons: 3, assignments: 0 },
      defaultBranch: 'main',
    });
    world.review.emit(id, 'approved', { courseId: id, reviewId: 'r1', tree: hashOf('two') });
    await catchUp(world);
    expect(await card(id)).toMatchObject({ status: 'approved', published: false });
    say('published', published(id, { title: 'two' }, 'two', 5));
    await catchUp(world);
    expect(await card(id)).toMatchObject({
      status: 'published',
      published: true,
      unpublishedChanges: false,
      version: 5,
    });
    say('committed', committed(id, { title: 'three' }, 'three'));
    world.review.emit(id, 'submitted', { courseId: id, reviewId: 'r2', tree: hashOf('three') });
    world.review.emit(id, 'rejected', { courseId: id, reviewId: 'r2', tree: hashOf('three'), reasons: ['no'] });
    await catchUp(world);
    expect(await card(id)).toMatchObject({ status: 'published', unpublishedChanges: true, publishedVersion: 5 });
    say('unpublished', { courseId: id });
    await catchUp(world);
    expect(await card(id)).toMatchObject({ status: 'draft', published: false, version: 5, publishedVersion: 0 });
  });

  it('comes from the state when the events are no longer kept', async () => {
    const id = await makeCourse(world, { owner: 'ann', fields: { title: 'kept' } });
    world.review.emit(id, 'submitted', { courseId: id, reviewId: 'r', tree: hashOf('late') });
    await catchUp(world);
    for (let n = 0; n < 3; n += 1)
      world.versioning.emit(id, 'committed', committed(id, { title: `lost ${n}` }, `lost ${n}`));
    world.versioning.setState(id, {
      courseId: id,
      head: { ...committed(id, { title: 'now' }, 'late'), nodes: [], truncated: true },
      published: published(id, { title: 'out' }, 'early', 2),
      latestVersion: 3,
    });
    world.versioning.forget(id);
    await catchUp(world);
    expect(await card(id)).toMatchObject({
      fields: { title: 'now' },
      status: 'in_review',
      unpublishedChanges: true,
      version: 3,
    });
  });
});

describe('a rebuild', () => {
  it('ends with the very same projection, and leaves the truth alone', async () => {
    const id = await makeCourse(world, { owner: 'ann', fields: { title: 'solid', tags: ['x'] }, publish: true });
    world.versioning.emit(id, 'committed', committed(id, { title: 'newer' }, 'newer'));
    world.review.emit(id, 'submitted', { courseId: id, reviewId: 'r', tree: hashOf('newer') });
    await catchUp(world);
    const service = await world.callers.service('gateway');
    await catalogOf(world).putMember(
      { courseId: id, subject: 'mem', role: 'author' },
      await world.callers.as('root', ['admin']),
    );
    const before = await tables();
    await world.database.rows({ name: 'test_damage', text: `UPDATE course_card SET topic = 'damaged'` });
    expect(await world.process().command('rebuild')).toMatchObject({ failures: 0, failed: [] });
    expect(await tables()).toEqual(before);
    expect(await catalogOf(world).getAccess({ courseId: id, subject: 'mem' }, service)).toMatchObject({
      roles: ['author'],
    });
  });
});

describe('a poison event', () => {
  it('goes to the dead letters and parks its course, no other, until it is replayed', async () => {
    const [sick, well] = [newId(), newId()].sort();
    const content = await world.callers.service('content');
    for (const courseId of [sick!, well!]) await catalogOf(world).registerCourse({ courseId, owner: 'ann' }, content);
    world.versioning.emit(sick!, 'committed', committed(sick!, { title: 'first' }, 'first'));
    const bad = world.versioning.emit(sick!, 'committed', committed(sick!, { title: 'bad' }, 'bad', { commit: '' }));
    world.versioning.emit(sick!, 'committed', committed(sick!, { title: 'third' }, 'third'));
    world.versioning.emit(well!, 'committed', committed(well!, { title: 'fine' }, 'fine'));
    await catchUp(world);
    expect(await card(sick!)).toMatchObject({ fields: { title: 'first' } });
    expect(await card(well!)).toMatchObject({ fields: { title: 'fine' } });
    expect(await deadLetters()).toMatchObject([{ course_id: sick, type: 'committed', seq: bad.seq }]);
    world.versioning.emit(well!, 'committed', committed(well!, { title: 'goes on' }, 'on'));
    await catchUp(world);
    expect(await card(well!)).toMatchObject({ fields: { title: 'goes on' } });
    const replay = `replay?source=versioning&course=${sick}`;
    expect(await world.process().command(replay)).toMatchObject({
      replayed: false,
      reason: expect.stringContaining('EVENT_INVALID'),
    });
    expect(await deadLetters()).toHaveLength(1);
    world.versioning.replace(sick!, bad.seq, committed(sick!, { title: 'mended' }, 'mended'));
    expect(await world.process().command(replay)).toEqual({ replayed: true });
    expect(await card(sick!)).toMatchObject({ fields: { title: 'third' } });
    expect(await deadLetters()).toEqual([]);
  });
});

describe('the inbox of the catalog', () => {
  it('takes each event once and in order, however they come, and fetches what is missing', async () => {
    const id = newId();
    await catalogOf(world).registerCourse({ courseId: id, owner: 'ann' }, await world.callers.service('content'));
    const events = ['a', 'b', 'c', 'd'].map((title) =>
      world.versioning.emit(id, 'committed', committed(id, { title }, title)),
    );
    const effects: number[] = [];
    const deps = { projection: projectionRows, registry: registryRows, cache: noCache };
    const subscription = versioningEvents(deps);
    const watched = {
      ...subscription,
      source: 'versioning',
      apply: async (...args: Parameters<typeof subscription.apply>) => {
        effects.push(...args[1].flatMap(({ events }) => events.map(({ seq }) => seq)));
        await subscription.apply(...args);
      },
    };
    const channel = openChannel('versioning', world.versioning.address);
    const token = (await world.callers.service('catalog')).token!;
    const inbox = createInbox(world.database, watched, {
      client: channel.client(EventSourceServiceDefinition),
      token: async () => token,
    });
    const [a, b, c, d] = events;
    expect(await inbox.apply([b!, a!, a!])).toEqual(['gap', 'applied', 'duplicate']);
    expect(await inbox.apply([d!, b!])).toEqual(['gap', 'applied']);
    expect(effects).toEqual([1, 2]);
    await inbox.catchUp(id);
    expect(await inbox.apply([c!, d!])).toEqual(['duplicate', 'duplicate']);
    expect(effects).toEqual([1, 2, 3, 4]);
    channel.close();
  });
});

const noCache = {
  through: <T>(_key: string, _options: unknown, load: () => Promise<T>): Promise<T> => load(),
  drop: () => undefined,
  isUp: () => false,
  close: async () => undefined,
};

describe('a batch', () => {
  it('of events of several courses, whatever their order, does what they do one by one', async () => {
    const deps = { projection: projectionRows, registry: registryRows, cache: noCache };
    const subscription = versioningEvents(deps);
    const content = await world.callers.service('content');
    // Twice the same story: five courses told of in turn. Of the last one the registry knows nothing.
    const [together, apart] = [0, 1].map(() => Array.from({ length: 5 }, () => newId()));
    for (const courseId of [...together!, ...apart!].filter((_id, n) => n % 5 < 4))
      await catalogOf(world).registerCourse({ courseId, owner: 'ann' }, content);
    const story = (ids: readonly string[]): Event[] =>
      [1, 2, 3, 4].flatMap((seq) =>
        ids.map((id, n): Event => {
          const told = { id: newId(), source: 'versioning', courseId: id, seq, epoch: 'e', at: new Date() };
          const text = `${seq} of ${n}`;
          if (seq === 3) return { ...told, type: 'version-cut', data: { courseId: id, number: n + 1 } };
          if (seq === 2 && n % 2 === 0)
            return { ...told, type: 'published', data: published(id, { title: text }, text, n) };
          if (seq === 4 && n === 2) return { ...told, type: 'unpublished', data: { courseId: id } };
          return { ...told, type: 'committed', data: committed(id, { title: text, tags: [text] }, text) };
        }),
      );
    const byCourse = (events: readonly Event[]) =>
      [...Map.groupBy(events, ({ courseId }) => courseId)].map(([courseId, own]) => ({ courseId, events: own }));
    await world.database.tx((sql) => subscription.apply(sql, byCourse(story(together!)).reverse()));
    for (const event of story(apart!)) await world.database.tx((sql) => subscription.apply(sql, byCourse([event])));
    const made = async (ids: readonly string[]): Promise<unknown[]> => {
      const text = `SELECT to_jsonb(c) - 'course_id' AS card, course_id::text FROM course_card c WHERE course_id = ANY($1::uuid[]) ORDER BY kind`;
      const cards = await world.database.rows<{ card: object; course_id: string }>({ name: 'test_made', text }, [ids]);
      const known = await projectionRows.read(world.database, ids);
      return ids.map((id) => {
        const own = cards.filter((row) => row.course_id === id).map(({ card: columns }) => columns);
        const text = JSON.stringify([known.get(id)!.facts, own]).replaceAll(id, 'id');
        return JSON.parse(text.replaceAll(/\d{4}-\d{2}-\d{2}T[\d:.]+(Z|\+00:00)/g, 'some time')) as unknown;
      });
    };
    const [one, other] = [await made(together!), await made(apart!)];
    expect(one).toEqual(other);
    expect(one.map((it) => (it as [unknown, unknown[]])[1].length)).toEqual([2, 1, 1, 1, 0]);
  });
});

describe('the whole way', () => {
  it('brings an event from the outbox of one database over NATS to the projection in another', async () => {
    const source = `versioning${randomBytes(4).toString('hex')}`;
    const logger = createLogger(source, 'silent');
    const common = await createTestDatabase('source');
    const truth = openDatabase({ url: common.url, maxConnections: 3 });
    await truth.pool.query(readFileSync(new URL('../../../platform/sql/common.sql', import.meta.url), 'utf8'));
    const nats = openNats(testServers().nats, source, logger);
    const outbox = createOutbox();
    const sourceLeases = createLeases({ pool: truth.pool, replica: 'source', logger });
    const leases = createLeases({ pool: world.database.pool, replica: 'catalog', logger });
    const relay = createRelay({ source, pool: truth.pool, outbox, nats, leases: sourceLeases, logger });
    // Whatever was published before the durable was there, the consumer asks of the source itself.
    const server = createRpcServer({
      host: '127.0.0.1',
      port: 0,
      services: [eventSourceService(truth, async () => undefined, ['catalog'])],
      verifier: createTokenVerifier(world.keys.public),
      logger,
    });
    const channel = openChannel('versioning', `127.0.0.1:${await server.start()}`);
    const token = (await world.callers.service('catalog')).token!;
    const deps = { projection: projectionRows, registry: registryRows, cache: noCache };
    const inbox = createInbox(
      world.database,
      { ...versioningEvents(deps), source },
      { client: channel.client(EventSourceServiceDefinition), token: async () => token },
    );
    const consumer = createConsumer({ consumer: 'catalog', source, inbox, nats, leases, logger });
    await Promise.all([sourceLeases, leases].map((one) => one.start()));
    await relay.start();
    await consumer.start();
    try {
      const id = newId();
      await catalogOf(world).registerCourse({ courseId: id, owner: 'ann' }, await world.callers.service('content'));
      const titles = Array.from({ length: 30 }, (_, n) => `title ${n}`);
      for (const title of titles) {
        await truth.tx((sql) =>
          outbox.enqueue(sql, [
            { type: 'committed', courseId: id, at: new Date(), data: committed(id, { title }, title) },
          ]),
        );
      }
      await eventually(async () => {
        const { facts } = (await projectionRows.read(world.database, [id])).get(id)!;
        expect(facts.head?.fields['title']).toBe('title 29');
      }, 20_000);
      const [row] = await world.database.rows<{ seq: number }>(
        { name: 'test_inbox_seq', text: 'SELECT seq FROM inbox WHERE source = $1::text AND course_id = $2::uuid' },
        [source, id],
      );
      expect(row!.seq).toBe(30);
    } finally {
      await consumer.stop();
      await relay.stop();
      await Promise.all([sourceLeases, leases].map((one) => one.stop()));
      const manager = await managerOf(await nats.connected);
      await manager.streams.delete(`CW_${source.toUpperCase()}`);
      await nats.close();
      channel.close();
      await server.stop(100);
      await truth.close();
      await common.drop();
    }
  });
});
