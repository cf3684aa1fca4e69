import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
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

  it.each(['', ' ', 'a b', 'ä', 'x'.repeat(256)])('is refused with the key %j', async (key) => {
    // fetch itself would not send what is no Latin-1, nor keep white space at the ends.
    const sent = key.trim() === '' ? ',' + ' ' + ',' : key;
    const answer = await ask('POST', `/courses/${courseId}/units`, sent, { json: { title: 'U' } });
    expect([answer.status, answer.body.errors[0].pointer]).toEqual([400, '/header/idempotency-key']);
  });

  it('carries its key to the owner as the client sent it, and an id of our own without one', async () => {
    const key = newKey();
    await ask('POST', `/courses/${courseId}/units`, key, { json: { title: 'U' } });
    expect(system.versioning.requests.seen.at(-1)).toMatchObject({ id: key, kept: 'client' });
    await ask('POST', `/courses/${courseId}/units`, undefined, { json: { title: 'U' } });
    expect(system.versioning.requests.seen.at(-1)).toMatchObject({ kept: 'minted' });
  });
});
