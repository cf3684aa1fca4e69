import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import { eventually } from '@coursewright/platform/testing/eventually';
import { testServers } from '@coursewright/platform/testing/servers';
import { connect } from '@nats-io/transport-node';
import { seedCourse, startSystem, type Ask, type System } from './support/system.js';

let system: System;
let courseId: string;
beforeAll(async () => {
  system = await startSystem();
  ({ courseId } = seedCourse(system));
});
afterAll(() => system.stop());

let count = 0;
const newKey = (): string => `key-${++count}`;
const ask = (method: string, path: string, key: string | undefined, how: Ask = {}) =>
  system.ask(method, `/api${path}`, {
    as: 'owner',
    roles: ['author'],
    ...how,
    headers: { ...how.headers, ...(key === undefined ? {} : { 'idempotency-key': key }) },
  });

/** Status, body and the headers that say what was done. */
async function told(asked: ReturnType<typeof ask>) {
  const { status, text, headers } = await asked;
  const names = ['etag', 'commit', 'location', 'content-location'];
  return { status, text, headers: names.map((name) => headers.get(name)) };
}

/** Has the gateway forget what it knows of roles, as catalog's events do. */
async function forget(id: string): Promise<void> {
  const { host: servers, username: user, password: pass } = new URL(testServers().nats);
  const nats = await connect({ servers, user, pass });
  nats.publish(`cw.v1.catalog.course-changed.${id.slice(-1)}.${id}`, '{}');
  await nats.close();
  await eventually(async () => {
    const asked = system.catalog.accessAsked.length;
    await ask('GET', `/courses/${id}`, undefined);
    expect(system.catalog.accessAsked.length).toBeGreaterThan(asked);
  });
}

async function unitAndLesson(): Promise<{ unit: string; lesson: string }> {
  const unit = await ask('POST', `/courses/${courseId}/units`, undefined, { json: { title: 'U' } });
  const module = await ask('POST', `/units/${unit.body.id}/modules`, undefined, { json: { title: 'M' } });
  const lesson = await ask('POST', `/modules/${module.body.id}/lessons`, undefined, { json: { title: 'L' } });
  return { unit: String(unit.body.id), lesson: String(lesson.body.id) };
}

describe('a keyed write', () => {
  it.each([
    ['POST /courses', async () => ['POST', '/courses', { json: { title: 'C' } }]],
    ['PATCH /courses/{id}', async () => ['PATCH', `/courses/${courseId}`, { json: { topic: newKey() }, ifMatch: '*' }]],
    ['POST …/units', async () => ['POST', `/courses/${courseId}/units`, { json: { title: 'U' } }]],
    [
      'PATCH /nodes/{id}',
      async () => ['PATCH', `/nodes/${(await unitAndLesson()).unit}`, { json: { title: 'V' }, ifMatch: '*' }],
    ],
    ['DELETE /nodes/{id}', async () => ['DELETE', `/nodes/${(await unitAndLesson()).unit}`, { ifMatch: '*' }]],
    [
      'PUT …/content',
      async () => ['PUT', `/lessons/${(await unitAndLesson()).lesson}/content`, { json: { order: [] }, ifMatch: '*' }],
    ],
    ['POST …/branches', async () => ['POST', `/courses/${courseId}/branches`, { json: { name: newKey() } }]],
    [
      'POST /imports',
      async () => [
        'POST',
        '/imports?format=olx',
        { raw: Buffer.alloc(9), headers: { 'content-type': 'application/zip' } },
      ],
    ],
  ] as [string, () => Promise<[string, string, Ask]>][])(
    '%s answers as the first time, whatever happened since',
    async (_name, make) => {
      const [method, path, how] = await make();
      const key = newKey();
      const first = await told(ask(method, path, key, how));
      expect(first.status).toBeLessThan(300);
      const commits = system.versioning.commits;
      if (path !== '/courses')
        await ask('POST', `/courses/${courseId}/units`, undefined, { json: { title: 'Meanwhile' } });
      const again = await told(ask(method, path, key, how));
      expect(again).toEqual(first);
      expect(system.versioning.commits - commits).toBe(path === '/courses' ? 0 : 1);
      const replay = await ask(method, path, key, how);
      expect(replay.headers.get('idempotent-replay')).toBe('true');
    },
  );

  it('answers even when what it did took the thing away, and the right to it', async () => {
    const made = await ask('POST', '/courses', undefined, { json: { title: 'Short-lived' } });
    const key = newKey();
    for (let i = 0; i < 2; i++)
      expect((await ask('DELETE', `/courses/${made.body.id}`, key, { ifMatch: '*' })).status).toBe(204);
  });

  it('answers a creation as the first time after the course has been deleted', async () => {
    const key = newKey();
    const how = { json: { title: 'Gone soon', tags: ['x'] } };
    const first = await told(ask('POST', '/courses', key, how));
    const { id } = JSON.parse(first.text) as { id: string };
    await ask('PATCH', `/courses/${id}`, undefined, { json: { title: 'Another' }, ifMatch: '*' });
    await ask('POST', `/courses/${id}/units`, undefined, { json: { title: 'Below' } });
    expect(await told(ask('POST', '/courses', key, how))).toEqual(first);
    expect((await ask('DELETE', `/courses/${id}`, undefined, { ifMatch: '*' })).status).toBe(204);
    expect(first.status).toBe(201);
    expect(await told(ask('POST', '/courses', key, how))).toEqual(first);
    expect((await ask('GET', `/courses/${id}`, undefined)).status).toBe(404);
  });

  it('answers a creation as the first time after the course has been published', async () => {
    const key = newKey();
    const how = { json: { title: 'Public soon' } };
    const first = await told(ask('POST', '/courses', key, how));
    const { id } = JSON.parse(first.text) as { id: string };
    const repository = system.versioning.repository(id);
    repository.published = repository.branches.get('main')!;
    expect(await told(ask('POST', '/courses', key, how))).toEqual(first);
    expect((await ask('GET', `/courses/${id}`, undefined)).body).toMatchObject({ published: true, version: 1 });
  });

  it('answers with the branch as it was made after it has moved', async () => {
    const key = newKey();
    const name = newKey();
    const first = await told(ask('POST', `/courses/${courseId}/branches`, key, { json: { name } }));
    await ask('POST', `/courses/${courseId}/units?branch=${name}`, undefined, { json: { title: 'U' } });
    expect(await told(ask('POST', `/courses/${courseId}/branches`, key, { json: { name } }))).toEqual(first);
    const now = await ask('GET', `/courses/${courseId}/branches/${name}`, undefined);
    expect(now.body.head).not.toBe((JSON.parse(first.text) as { head: string }).head);
  });

  it('is answered after its node has been removed, and shows nothing to who has lost the course', async () => {
    const { courseId: id } = seedCourse(system, 'owner');
    const add = (key: string) => ask('POST', `/courses/${id}/units`, key, { json: { title: 'U' }, as: 'author' });
    const key = newKey();
    const first = await add(key);
    const { members } = system.catalog.courses.get(id)!;
    await ask('DELETE', `/nodes/${first.body.id}`, undefined, { ifMatch: '*' });
    expect((await add(key)).text).toBe(first.text);
    members.delete('author');
    await forget(id);
    const lost = await add(key);
    expect([lost.status, lost.body.reason]).toEqual([404, 'COURSE_NOT_FOUND']);
  });

  it('does not ask for a fresh ETag when it is repeated', async () => {
    const { unit } = await unitAndLesson();
    const read = await ask('GET', `/nodes/${unit}`, undefined);
    const how = { json: { title: 'Once' }, ifMatch: read.headers.get('etag') };
    const key = newKey();
    expect((await ask('PATCH', `/nodes/${unit}`, key, how)).status).toBe(200);
    expect((await ask('PATCH', `/nodes/${unit}`, key, how)).status).toBe(200);
    expect((await ask('PATCH', `/nodes/${unit}`, newKey(), how)).status).toBe(412);
  });

  it.each([
    ['another body', `/courses/COURSE/units`, { title: 'Other' }],
    ['the same body with another space', `/courses/COURSE/units`, '{"title": "U"}'],
    ['another query', `/courses/COURSE/units?message=x`, { title: 'U' }],
    ['another path', `/courses/COURSE/modules`, { title: 'U' }],
  ])('is refused for %s', async (_what, path, body) => {
    const key = newKey();
    await ask('POST', `/courses/${courseId}/units`, key, { json: { title: 'U' } });
    const how =
      typeof body === 'string' ? { raw: body, headers: { 'content-type': 'application/json' } } : { json: body };
    const answer = await ask('POST', path.replace('COURSE', courseId), key, how);
    expect([answer.status, answer.body.reason]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
  });

  it('is refused for another request whichever service owns the effect of that', async () => {
    const key = newKey();
    const title = newKey();
    expect((await ask('POST', '/courses', key, { json: { title } })).status).toBe(201);
    for (const path of [`/courses/${courseId}/units`, '/imports?format=olx']) {
      const how = path.startsWith('/imports')
        ? { raw: Buffer.alloc(9), headers: { 'content-type': 'application/zip' } }
        : { json: { title } };
      const commits = system.versioning.commits;
      const answer = await ask('POST', path, key, how);
      expect([answer.status, answer.body.reason]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
      expect(system.versioning.commits).toBe(commits);
    }
    expect(system.content.requests.kept.has(`owner\n${key}`)).toBe(false);
  });

  it('is bound and looked for at the same time, as each takes a while', async () => {
    // Each of the two waits until the other one is there, too.
    const meet = (): (() => Promise<void>) => {
      let arrived = 0;
      let open: () => void = () => undefined;
      const both = new Promise<void>((resolve) => (open = resolve));
      return async () => {
        if (++arrived === 2) open();
        await both;
      };
    };
    const wait = meet();
    [system.catalog.beforeClaim, system.versioning.requests.beforeRecall] = [wait, wait];
    try {
      const answer = await ask('POST', `/courses/${courseId}/units`, newKey(), { json: { title: 'U' } });
      expect(answer.status).toBe(201);
    } finally {
      const free = async (): Promise<void> => undefined;
      [system.catalog.beforeClaim, system.versioning.requests.beforeRecall] = [free, free];
    }
  });

  it('is not bound by what may not be done, nor by what is no valid request', async () => {
    const key = newKey();
    const path = `/courses/${courseId}/units`;
    system.versioning.repository(courseId).published = system.versioning.at(courseId, '').commit.hash;
    expect((await ask('POST', path, key, { json: { title: 'U' }, as: 'reviewer' })).status).toBe(403);
    expect((await ask('POST', path, key, { json: { name: 'U' } })).status).toBe(400);
    for (const who of ['reviewer', 'owner']) expect(system.catalog.claims.has(`${who}\n${key}`)).toBe(false);
    expect((await ask('POST', path, key, { json: { title: 'U' } })).status).toBe(201);
    expect(system.catalog.claims.has(`owner\n${key}`)).toBe(true);
  });

  it('is answered while catalog is away, if it has been carried out', async () => {
    const key = newKey();
    const path = `/courses/${courseId}/units`;
    const first = await told(ask('POST', path, key, { json: { title: 'U' } }));
    system.catalog.beforeClaim = async () => {
      throw new AppError('unavailable', 'DATABASE_UNAVAILABLE');
    };
    try {
      expect(await told(ask('POST', path, key, { json: { title: 'U' } }))).toEqual(first);
      expect((await ask('POST', path, newKey(), { json: { title: 'U' } })).status).toBe(503);
    } finally {
      system.catalog.beforeClaim = async () => undefined;
    }
  });

  it('belongs to its actor', async () => {
    const key = newKey();
    const mine = await ask('POST', `/courses/${courseId}/units`, key, { json: { title: 'U' } });
    const theirs = await ask('POST', `/courses/${courseId}/units`, key, { json: { title: 'U' }, as: 'author' });
    expect([mine.status, theirs.status]).toEqual([201, 201]);
    expect(theirs.body.id).not.toBe(mine.body.id);
  });

  it('waits for nobody: while the first is under way it is 409', async () => {
    const key = newKey();
    system.versioning.requests.open.add(key);
    const answer = await ask('POST', `/courses/${courseId}/units`, key, { json: { title: 'U' } });
    expect([answer.status, answer.body.reason, answer.headers.get('retry-after')]).toEqual([409, 'IN_PROGRESS', '1']);
  });

  it.each(['', 'a b', ', ,', 'ä', 'x'.repeat(256)])('is refused with the key %j', async (key) => {
    const answer = await ask('POST', `/courses/${courseId}/units`, key, { json: { title: 'U' } });
    expect([answer.status, answer.body.errors[0].pointer]).toEqual([400, '/header/idempotency-key']);
  });

  it('tells two archives of one length apart, and the same archive again', async () => {
    const key = newKey();
    const archive = (byte: number): Ask => ({
      raw: Buffer.alloc(2000, byte),
      headers: { 'content-type': 'application/gzip' },
    });
    const first = await ask('POST', '/imports?format=olx', key, archive(1));
    expect([first.status, first.headers.get('idempotent-replay')]).toEqual([202, null]);
    const other = await ask('POST', '/imports?format=olx', key, archive(2));
    expect([other.status, other.body.reason]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
    const again = await ask('POST', '/imports?format=olx', key, archive(1));
    expect([again.status, again.text, again.headers.get('idempotent-replay')]).toEqual([202, first.text, 'true']);
    expect(again.headers.get('location')).toBe(first.headers.get('location'));
    const elsewhere = await ask('POST', `/imports?format=olx&course=${courseId}`, key, archive(1));
    expect([elsewhere.status, elsewhere.body.reason]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
  });

  it('of a course that never was is refused as any other', async () => {
    const answer = await ask('POST', `/courses/${newId()}/units`, newKey(), { json: { title: 'U' } });
    expect([answer.status, answer.body.reason]).toEqual([404, 'COURSE_NOT_FOUND']);
  });

  it('carries its key to the owner as the client sent it, and an id of our own without one', async () => {
    const key = newKey();
    await ask('POST', `/courses/${courseId}/units`, key, { json: { title: 'U' } });
    expect(system.versioning.requests.seen.at(-1)).toMatchObject({ id: key, kept: 'client' });
    await ask('POST', `/courses/${courseId}/units`, undefined, { json: { title: 'U' } });
    expect(system.versioning.requests.seen.at(-1)).toMatchObject({ kept: 'minted' });
  });
});
