import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '@coursewright/platform/testing/eventually';
import { testServers } from '@coursewright/platform/testing/servers';
import { newId } from '@coursewright/platform/ids';
import { connect } from '@nats-io/transport-node';
import { createRoutes } from '../src/routes/table.js';
import type { Route } from '../src/http/route.js';
import { seedCourse, startSystem, type System } from './support/system.js';

const routes = createRoutes('http://gateway.test');
let system: System;
const ids: Record<string, string> = {};

beforeAll(async () => {
  system = await startSystem();
  await fill('published');
  await fill('draft');
  const repository = system.versioning.repository(ids['published']!);
  repository.published = repository.branches.get('main')!;
});
afterAll(() => system.stop());

async function fill(name: string): Promise<void> {
  const { courseId } = seedCourse(system);
  ids[name] = courseId;
  const add = async (path: string, title: string): Promise<string> => {
    const made = await system.ask('POST', `/api${path}`, { as: 'owner', json: { title } });
    expect(made.status).toBe(201);
    return String(made.body.id);
  };
  const unit = (ids[`${name} units`] = await add(`/courses/${courseId}/units`, 'U'));
  const module = (ids[`${name} modules`] = await add(`/units/${unit}/modules`, 'M'));
  ids[`${name} lessons`] = ids[`${name} nodes`] = await add(`/modules/${module}/lessons`, 'L');
  const archive = { raw: Buffer.alloc(1), headers: { 'content-type': 'application/gzip' } };
  const job = await system.ask('POST', `/api/imports?format=olx&course=${courseId}`, { as: 'owner', ...archive });
  ids[`${name} imports`] = String(job.body.id);
}

/** A request that would pass but for the permission: reads as they are, writes with an unusable body. */
async function probe(route: Route, name: string, as: string | undefined, roles: string[] = []): Promise<number> {
  const kind = route.path.split('/')[1]!;
  const id = kind === 'courses' ? ids[name] : ids[`${name} ${kind}`];
  const path = route.path.replace('{id}', id ?? newId()).replace('{name}', 'main');
  const query = route.path.endsWith('compare')
    ? '?from=main'
    : route.path === '/imports'
      ? `?format=olx&course=${ids[name]}`
      : '';
  const bodies: Record<string, object> = {
    '/lessons/{id}/content': { json: { order: [] } },
    '/courses/{id}/branches': { json: { name: `b${newId().slice(-12)}` } },
    '/courses/{id}': {
      json:
        route.method === 'put'
          ? { title: 'T', description: '', topic: '', cefrLevel: null, language: null, tags: [] }
          : { title: 'T' },
    },
    '/nodes/{id}': { json: { title: 'T' } },
  };
  const archive = { raw: Buffer.alloc(1), headers: { 'content-type': 'application/gzip' } };
  const how =
    route.body?.kind === 'archive' ? archive : route.body ? (bodies[route.path] ?? { json: { title: 'T' } }) : {};
  const answer = await system.ask(route.method.toUpperCase(), `/api${path}${query}`, {
    roles,
    ...(as ? { as } : {}),
    ...how,
  });
  return answer.status;
}

const courseRoutes = routes.filter(({ permission }) => ['course', 'node', 'import-target'].includes(permission.of));
const actionOf = ({ permission }: Route): string =>
  'action' in permission ? permission.action : permission.of === 'import-target' ? permission.inCourse : '';
const may: Record<string, readonly string[]> = {
  'course.read-draft': ['author', 'reviewer', 'publisher', 'deployer', 'owner', 'root'],
  'body.read-raw': ['author', 'reviewer', 'publisher', 'deployer', 'owner', 'root'],
  'course.read-published': ['learner', 'author', 'reviewer', 'publisher', 'deployer', 'owner', 'root', 'stranger'],
  'course.write': ['author', 'owner', 'root'],
  'course.manage': ['owner', 'root'],
};
// A write with the right, but without If-Match, shows that it passed by 428.
const passes = (status: number): boolean => status < 300 || status === 428;

describe('every route', () => {
  it('needs a permission, and nothing but documents is public', () => {
    const open = routes.filter(({ permission }) => permission.of === 'public').map(({ path }) => path);
    expect(open).toEqual(['/openapi.json', '/schemas/lesson-content', '/docs']);
  });

  it.each(
    routes
      .filter(({ permission }) => permission.of !== 'public')
      .map((route) => [`${route.method} ${route.path}`, route] as const),
  )('%s wants a token', async (_name, route) => expect(await probe(route, 'published', undefined)).toBe(401));

  it.each(courseRoutes.map((route) => [`${route.method} ${route.path}`, route] as const))(
    '%s lets exactly the right roles pass',
    async (_name, route) => {
      for (const as of ['learner', 'author', 'reviewer', 'publisher', 'deployer', 'owner', 'root', 'stranger']) {
        const status = await probe(route, 'published', as, as === 'root' ? ['admin'] : []);
        const allowed = may[actionOf(route)]!.includes(as);
        expect([as, allowed ? passes(status) : status]).toEqual([as, allowed ? true : 403]);
      }
    },
  );

  it.each(courseRoutes.map((route) => [`${route.method} ${route.path}`, route] as const))(
    '%s tells learners and strangers nothing of a course that is not published',
    async (_name, route) => {
      for (const as of ['learner', 'stranger']) expect([as, await probe(route, 'draft', as)]).toEqual([as, 404]);
    },
  );
});

describe('learners', () => {
  const ask = (path: string) => system.ask('GET', `/api${path}`, { as: 'learner' });

  it('see the published snapshot and no hash of what they do not see whole', async () => {
    const course = ids['published']!;
    const added = await system.ask('POST', `/api/courses/${course}/units`, { as: 'owner', json: { title: 'Draft' } });
    const { commits } = system.versioning.repository(course);
    const hashes = [...commits.values()].flatMap(({ hash, tree }) => [
      hash,
      ...Object.keys(tree).flatMap((id) => {
        const { selfEtag, treeEtag, childrenEtag, body } = system.versioning.node(course, tree, id);
        return [selfEtag!, treeEtag!, childrenEtag!, body!];
      }),
    ]);
    const secrets = hashes.filter((hash) => hash !== '');
    expect(secrets.length).toBeGreaterThan(20);
    const paths = [
      `/courses/${course}`,
      `/courses/${course}/outline?depth=5`,
      `/courses/${course}/units`,
      `/nodes/${ids['published lessons']}`,
    ];
    for (const path of [...paths, `/lessons/${ids['published lessons']}/rendered`]) {
      const answer = await ask(path);
      expect(answer.status).toBe(200);
      const whole = answer.text + JSON.stringify([...answer.headers]);
      expect(whole.includes(added.body.id) || whole.includes('Draft')).toBe(false);
      for (const secret of secrets) expect(whole.includes(secret)).toBe(false);
    }
    const page = await ask(`/courses/${course}`);
    expect(page.body).toMatchObject({ head: null, version: 1, publishedVersion: 1, status: 'published' });
    expect(page.headers.get('etag')).toMatch(/^"[\w-]{16}"$/);
    expect((await ask(`/nodes/${ids['published lessons']}`)).body).toMatchObject({ body: null, commit: null });
  });

  it('name no other state, not even the same by another name', async () => {
    for (const query of ['branch=main', 'at=1']) {
      const answer = await ask(`/courses/${ids['published']}?${query}`);
      expect([answer.status, answer.body.reason]).toEqual([403, 'PUBLISHED_ONLY']);
    }
  });

  it('travel as learners of exactly that commit', async () => {
    await ask(`/courses/${ids['published']}/outline`);
    const { call } = system.versioning.calls.at(-1)!;
    const commit = system.versioning.repository(ids['published']!).published;
    expect(call.actor).toMatchObject({
      sub: 'learner',
      grants: [{ course: ids['published'], role: 'learner', commit }],
    });
  });
});

describe('what is hidden', () => {
  let draft: string;
  const ask = (method: string, path: string, how = {}) => system.ask(method, `/api${path}`, { as: 'learner', ...how });
  beforeAll(async () => {
    const made = await system.ask('POST', `/api/modules/${ids['published modules']}/lessons`, {
      as: 'owner',
      json: { title: 'Not yet published' },
    });
    draft = String(made.body.id);
  });

  const attempts: [string, string, object][] = [
    ['GET', '/nodes/ID', {}],
    ['GET', '/nodes/ID?branch=main', {}],
    ['GET', '/nodes/ID?at=1', {}],
    ['GET', '/nodes/ID/history', {}],
    ['GET', '/nodes/ID/children', {}],
    ['GET', '/lessons/ID/content', {}],
    ['GET', '/lessons/ID/rendered', {}],
    ['GET', '/modules/ID/lessons', {}],
    ['PUT', '/lessons/ID/content', { json: {}, ifMatch: '*' }],
    ['PATCH', '/nodes/ID', { json: { title: 'X' }, ifMatch: '*' }],
    ['DELETE', '/nodes/ID', { ifMatch: '*' }],
    ['POST', '/modules/ID/lessons', { json: { title: 'X' } }],
    ['POST', '/units/ID/modules', { json: { title: 'X' }, headers: { 'idempotency-key': 'a-key' } }],
  ];
  it.each(attempts)(
    'from learners is, to %s %s, what never was: in status, words and time',
    async (method, path, how) => {
      const answers = [];
      for (const id of [draft, newId(), ids['draft lessons']!]) {
        const began = performance.now();
        const answer = await ask(method, path.replace('ID', id), how);
        expect(performance.now() - began).toBeGreaterThanOrEqual(11);
        const { requestId: _requestId, instance: _instance, ...said } = answer.body;
        answers.push([answer.status, said, answer.headers.get('etag')]);
      }
      expect(answers[0]).toEqual([404, expect.objectContaining({ reason: 'NODE_NOT_FOUND' }), null]);
      expect(answers[1]).toEqual(answers[0]);
      expect(answers[2]).toEqual(answers[0]);
    },
  );

  it('is not what learners see but may not change: that is refused', async () => {
    const seen = ids['published lessons']!;
    for (const [method, path, how] of attempts.slice(8, 11)) {
      const answer = await ask(method, path.replace('ID', seen), how);
      expect([method, answer.status, answer.body.reason]).toEqual([method, 403, 'FORBIDDEN']);
    }
    const elsewhere = await ask('GET', `/nodes/${seen}?branch=main`);
    expect([elsewhere.status, elsewhere.body.reason]).toEqual([403, 'PUBLISHED_ONLY']);
  });

  it('costs the same questions whether it is there or not, the second time as the first', async () => {
    const questions = async (courseId: string): Promise<unknown> => {
      const [access, published] = [system.catalog.accessAsked.length, system.versioning.publishedAsked.length];
      const answer = await ask('GET', `/courses/${courseId}`);
      const { requestId: _requestId, instance: _instance, ...said } = answer.body;
      const asked = [system.catalog.accessAsked.length - access, system.versioning.publishedAsked.length - published];
      return { said, asked };
    };
    const unknown = [await questions(ids['draft']!), await questions(ids['draft']!)];
    const absent = newId();
    expect(unknown).toEqual([await questions(absent), await questions(absent)]);
    expect(unknown[0]).toMatchObject({ said: { reason: 'COURSE_NOT_FOUND' }, asked: [1, 1] });
  });

  it('opens as soon as it is published, and closes within a second after it is withdrawn', async () => {
    const { courseId } = seedCourse(system);
    expect((await ask('GET', `/courses/${courseId}`)).status).toBe(404);
    const repository = system.versioning.repository(courseId);
    repository.published = repository.branches.get('main')!;
    expect((await ask('GET', `/courses/${courseId}`)).status).toBe(200);
    repository.published = '';
    const began = performance.now();
    await eventually(async () => expect((await ask('GET', `/courses/${courseId}`)).status).toBe(404));
    expect(performance.now() - began).toBeLessThan(1_500);
  });
});

describe('a deleted course', () => {
  it('is shown to the admin of the platform, never to its owner who asks at the same moment', async () => {
    const { courseId } = seedCourse(system);
    const read = (as: string, roles: string[] = []) => system.ask('GET', `/api/courses/${courseId}`, { as, roles });
    expect((await read('owner')).status).toBe(200);
    system.catalog.courses.get(courseId)!.record.deletedAt = new Date();
    const answers = await Promise.all([read('root', ['admin']), read('owner'), read('root', ['admin']), read('owner')]);
    expect(answers.map(({ status }) => status)).toEqual([200, 404, 200, 404]);
  });
});

describe('what is known of roles', () => {
  it('is asked once in five seconds, and dropped when catalog says that it changed', async () => {
    const { courseId } = seedCourse(system);
    const read = () => system.ask('GET', `/api/courses/${courseId}/commits`, { as: 'author' });
    const asked = () => system.catalog.accessAsked.filter((one) => one === `${courseId} author`).length;
    await read();
    await read();
    expect(asked()).toBe(1);
    system.catalog.courses.get(courseId)!.members.delete('author');
    const { host: servers, username: user, password: pass } = new URL(testServers().nats);
    const nats = await connect({ servers, user, pass });
    await eventually(async () => {
      nats.publish(`cw.v1.catalog.course-changed.${courseId.slice(-1)}.${courseId}`, '{}');
      await nats.flush();
      expect((await read()).status).toBe(404);
    }, 3_000);
    await nats.close();
  });

  it('is asked anew for a course that was not there', async () => {
    const { courseId } = seedCourse(system);
    const { record, members } = system.catalog.courses.get(courseId)!;
    system.catalog.courses.delete(courseId);
    expect((await system.ask('GET', `/api/courses/${courseId}`, { as: 'author' })).status).toBe(404);
    system.catalog.courses.set(courseId, { record, members });
    expect((await system.ask('GET', `/api/courses/${courseId}`, { as: 'author' })).status).toBe(200);
  });
});
