import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '@coursewright/platform/ids';
import { eventually } from '@coursewright/platform/testing/eventually';
import type { Api } from '../src/api.js';
import { importCourse, makeCourse, saveLesson, type ImportBody, type SmallCourse } from '../src/course.js';
import { archiveOf } from '../src/olx.js';
import { apiFor, giveRole } from '../src/people.js';
import { apiOf, sqlOf, startTestSystem, type System } from '../src/system.js';

const ALL = ['learner', 'author', 'reviewer', 'publisher', 'deployer', 'admin'];
const STAFF = ALL.slice(1);
const WRITERS = ['author', 'admin'];

/** Who may use each route on a course of theirs; `anyone`: whoever is signed in; a route without a line fails. */
const may: Readonly<Record<string, readonly string[] | 'anyone' | 'public'>> = {
  'GET /courses': 'anyone',
  'POST /courses': [],
  'GET /courses/{id}': ALL,
  'PUT /courses/{id}': WRITERS,
  'PATCH /courses/{id}': WRITERS,
  'DELETE /courses/{id}': ['admin'],
  'POST /courses/{id}/restore': [],
  'GET /courses/{id}/units': ALL,
  'POST /courses/{id}/units': WRITERS,
  'GET /courses/{id}/modules': ALL,
  'POST /courses/{id}/modules': WRITERS,
  'GET /units/{id}/modules': ALL,
  'POST /units/{id}/modules': WRITERS,
  'GET /modules/{id}/lessons': ALL,
  'POST /modules/{id}/lessons': WRITERS,
  'GET /nodes/{id}/children': ALL,
  'GET /courses/{id}/outline': ALL,
  'GET /nodes/{id}': ALL,
  'PATCH /nodes/{id}': WRITERS,
  'DELETE /nodes/{id}': WRITERS,
  'GET /nodes/{id}/history': STAFF,
  'GET /lessons/{id}/content': STAFF,
  'PUT /lessons/{id}/content': WRITERS,
  'GET /lessons/{id}/rendered': ALL,
  'GET /courses/{id}/commits': STAFF,
  'GET /courses/{id}/compare': STAFF,
  'GET /courses/{id}/branches': STAFF,
  'POST /courses/{id}/branches': WRITERS,
  'GET /courses/{id}/branches/{name}': STAFF,
  'POST /imports': WRITERS,
  'GET /imports/{id}': STAFF,
  'GET /imports/{id}/losses': STAFF,
  'GET /imports/{id}/kept': STAFF,
  'GET /assets/{hash}': STAFF,
  'GET /openapi.json': 'public',
  'GET /schemas/lesson-content': 'public',
  'GET /docs': 'public',
};

interface Place extends SmallCourse {
  readonly import: string;
  /** Hash of a file of it. */
  readonly asset: string;
  /** A lesson that was added after the course was published. */
  readonly draft: string;
}

let system: System;
let owner: Api;
let published: Place;
let draft: Place;
let operations: { name: string; method: string; path: string }[];
const people = new Map<string, Api>();

beforeAll(async () => {
  system = await startTestSystem();
  owner = apiOf(system);
  for (const role of ALL) people.set(role, apiFor(system, { sub: `member-${role}` }));
  published = await makePlace(true);
  draft = await makePlace(false);
  const { body } = await owner.get<{ paths: Record<string, Record<string, unknown>> }>('/openapi.json');
  operations = Object.entries(body.paths).flatMap(([path, item]) =>
    Object.keys(item)
      .filter((method) => /^(get|put|post|patch|delete)$/.test(method))
      .map((method) => {
        const short = path.replace(/^\/api/, '');
        return { name: `${method.toUpperCase()} ${short}`, method: method.toUpperCase(), path: short };
      }),
  );
}, 180_000);
afterAll(() => system?.stop(), 60_000);

async function makePlace(isPublished: boolean): Promise<Place> {
  const course = await makeCourse(owner, 'Routes', 1);
  for (const role of ALL) await giveRole(system, course.id, `member-${role}`, role);
  await saveLesson(owner, course.lessons[0]!, 'for all');
  // JSON, so that its answer is read as every other.
  const text = `"A file of ${course.id}"`;
  await importCourse(
    owner,
    archiveOf({ 'course.xml': '<course url_name="c"><wiki/></course>', 'static/a.txt': text }),
    course.id,
  );
  const { body } = await owner.get<{ head: string }>(`/courses/${course.id}`);
  if (isPublished) {
    // Nothing publishes yet: the pointer is set where publishing will set it.
    await sqlOf(system, 'versioning').run(
      'UPDATE course SET published = $1, published_version = 1 WHERE course_id = $2',
      [Buffer.from(body.head, 'base64url'), course.id],
    );
  }
  const job = await owner.send<ImportBody>('POST', `/imports?format=olx&course=${course.id}`, archive());
  const later = await owner.send<{ id: string }>('POST', `/modules/${course.modules[0]!}/lessons`, {
    json: { title: 'Not yet' },
  });
  const asset = createHash('sha256').update(text).digest('base64url');
  return { ...course, import: job.body.id, asset, draft: later.body.id };
}

const archive = () => ({
  body: Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0]),
  headers: { 'content-type': 'application/gzip' },
});

/** A request that would pass but for who asks: reads as they are, writes without If-Match or with a title. */
async function ask(api: Api, operation: { method: string; path: string }, place: Place): Promise<number> {
  const kind = operation.path.split('/')[1]!;
  const ids: Record<string, string> = {
    courses: place.id,
    units: place.unit,
    modules: place.modules[0]!,
    lessons: place.lessons[0]!,
    nodes: place.lessons[0]!,
    imports: place.import,
  };
  const path = operation.path.replace('{id}', ids[kind]!).replace('{name}', 'main').replace('{hash}', place.asset);
  const query =
    operation.path === '/imports'
      ? `?format=olx&course=${place.id}`
      : operation.path.endsWith('/compare')
        ? '?from=main&to=main'
        : '';
  const how =
    operation.path === '/imports'
      ? archive()
      : operation.method === 'GET' || operation.path.endsWith('/restore')
        ? {}
        : operation.path.endsWith('/branches')
          ? { json: { name: `b-${newId()}` } }
          : { json: { title: 'T' } };
  return (await api.send(operation.method, path + query, how)).status;
}

// 400: the body is no lesson document; 428: If-Match is missing. Both are told only to who may.
const passes = (status: number): boolean => status < 300 || status === 400 || status === 428;

describe('every route of the API', () => {
  it('has a line in the table of who may use it', () => {
    expect(operations.map(({ name }) => name).sort()).toEqual(Object.keys(may).sort());
  });

  it('passes just those roles on a published course of theirs', async () => {
    for (const operation of operations) {
      const rule = may[operation.name]!;
      if (rule === 'public' || operation.name === 'DELETE /courses/{id}') continue;
      for (const [role, api] of people) {
        const status = await ask(api, operation, published);
        const isAllowed = rule === 'anyone' || rule.includes(role);
        const seen = isAllowed ? passes(status) : status;
        // An import or a file that only staff see is nothing that learners know of.
        const refused = /^GET \/(?:imports|assets)\//.test(operation.name) ? 404 : 403;
        expect([operation.name, role, seen]).toEqual([operation.name, role, isAllowed ? true : refused]);
      }
    }
  }, 60_000);

  it('is one that never was to strangers and learners of a course that is not published', async () => {
    const strangers = [apiFor(system, { sub: 'stranger' }), people.get('learner')!];
    for (const operation of operations) {
      const rule = may[operation.name]!;
      if (!Array.isArray(rule) || operation.path === '/courses') continue;
      for (const api of strangers)
        expect([operation.name, await ask(api, operation, draft)]).toEqual([operation.name, 404]);
    }
  }, 60_000);

  it('asks for a token, unless it is a public document', async () => {
    for (const operation of operations) {
      const response = await fetch(
        `${system.gateway}/api${operation.path.replace('{id}', published.id).replace('{name}', 'main')}`,
        { method: operation.method },
      );
      await response.arrayBuffer();
      expect([operation.name, response.status]).toEqual([operation.name, may[operation.name] === 'public' ? 200 : 401]);
    }
  });
});

describe('a learner', () => {
  it('cannot tell a lesson that is only in the draft from one that never was', async () => {
    const learner = people.get('learner')!;
    for (const operation of operations.filter(({ path }) => /^\/(nodes|lessons|modules|units)\//.test(path))) {
      const answers = [published.draft, newId()].map(async (id) => {
        const answer = await learner.send(operation.method, operation.path.replace('{id}', id), {
          ...(operation.method === 'GET' ? {} : { json: { title: 'T' } }),
        });
        const { instance, requestId, ...problem } = answer.body;
        return [answer.status, problem, typeof instance, typeof requestId];
      });
      const [ofDraft, ofNothing] = await Promise.all(answers);
      expect([operation.name, ofDraft]).toEqual([operation.name, ofNothing]);
      expect(ofDraft?.[0]).toBe(404);
    }
  });

  it('gets nothing of a course within a second after it was unpublished', async () => {
    const place = await makePlace(true);
    const learner = people.get('learner')!;
    expect((await learner.get(`/courses/${place.id}`)).status).toBe(200);
    expect((await learner.get(`/lessons/${place.lessons[0]!}/rendered`)).status).toBe(200);
    const versioning = sqlOf(system, 'versioning');
    await versioning.run('UPDATE course SET published = NULL, published_version = NULL WHERE course_id = $1', [
      place.id,
    ]);
    const unpublished = performance.now();
    await eventually(async () => {
      expect((await learner.get(`/courses/${place.id}`)).status).toBe(404);
      expect((await learner.get(`/lessons/${place.lessons[0]!}/rendered`)).status).toBe(404);
    }, 1_500);
    expect(performance.now() - unpublished).toBeLessThan(1_500);
  });
});
