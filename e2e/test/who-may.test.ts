import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CatalogServiceDefinition } from '@coursewright/proto/coursewright/catalog/v1/catalog';
import { EventSourceServiceDefinition } from '@coursewright/proto/coursewright/common/v1/event_source';
import { RequestServiceDefinition } from '@coursewright/proto/coursewright/common/v1/requests';
import { ContentServiceDefinition } from '@coursewright/proto/coursewright/content/v1/content';
import { DeploymentServiceDefinition } from '@coursewright/proto/coursewright/deployment/v1/deployment';
import { ReviewServiceDefinition } from '@coursewright/proto/coursewright/review/v1/review';
import { VersioningServiceDefinition } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { AppError } from '@coursewright/platform/errors';
import type { CallOptions } from '@coursewright/platform/rpc-client';
import type { ServiceDefinition } from '@coursewright/platform/rpc-definition';
import type { ImportBody } from '../src/course.js';
import { importCourse, makeCourse } from '../src/course.js';
import { archiveOf } from '../src/olx.js';
import { callersOf, type Callers, type Grant, type ServiceName } from '../src/callers.js';
import { apiOf, publishByHand, startTestSystem, type System } from '../src/system.js';
import * as table from '../src/who-may.js';
import type { Place, Rule } from '../src/who-may.js';

const ROLES = ['learner', 'author', 'reviewer', 'publisher', 'deployer', 'admin'] as const;
const PROCESSES = ['gateway', 'catalog', 'content', 'review', 'versioning', 'deployment'] as const;
const services: readonly (readonly [ServiceName, ServiceDefinition, Readonly<Record<string, Rule>>])[] = [
  ['versioning', VersioningServiceDefinition, table.versioning],
  ['versioning', EventSourceServiceDefinition, table.eventSource(['catalog', 'deployment', 'review'])],
  ['versioning', RequestServiceDefinition, table.requests(['gateway', 'content'])],
  ['content', ContentServiceDefinition, table.content],
  ['content', EventSourceServiceDefinition, table.eventSource([])],
  ['content', RequestServiceDefinition, table.requests(['gateway'])],
  ['catalog', CatalogServiceDefinition, table.catalog],
  ['catalog', EventSourceServiceDefinition, table.eventSource([])],
  ['catalog', RequestServiceDefinition, table.requests(['gateway'])],
  ['review', ReviewServiceDefinition, table.review],
  ['review', EventSourceServiceDefinition, table.eventSource(['catalog'])],
  ['review', RequestServiceDefinition, table.requests(['gateway'])],
  ['deployment', DeploymentServiceDefinition, table.deployment],
  ['deployment', EventSourceServiceDefinition, table.eventSource([])],
  ['deployment', RequestServiceDefinition, table.requests(['gateway'])],
];
const methods = services.flatMap(([service, definition, rules]) =>
  Object.keys(definition.methods).map((method) => ({
    name: `${service} ${definition.name}.${method}`,
    service,
    definition,
    method,
    rule: rules[method]!,
  })),
);

let system: System;
let callers: Callers;
let own: Place;
let foreign: Place;

beforeAll(async () => {
  system = await startTestSystem();
  callers = await callersOf(system);
  own = await makePlace();
  foreign = await makePlace();
}, 180_000);
afterAll(async () => {
  callers?.close();
  await system?.stop();
}, 60_000);

/** A course with a lesson and an import that failed; its head is published by hand, since nothing publishes yet. */
async function makePlace(): Promise<Place> {
  const api = apiOf(system);
  const course = await makeCourse(api, 'Who may', 1);
  const job = await api.send<ImportBody>('POST', `/imports?format=olx&course=${course.id}`, {
    body: Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0]),
    headers: { 'content-type': 'application/gzip' },
  });
  const text = `A file of ${course.id}`;
  const files = { 'course.xml': '<course url_name="c" display_name="C"/>', 'static/a.txt': text };
  expect(await importCourse(api, archiveOf(files), course.id)).toMatchObject({ state: 'done' });
  const { body } = await api.get<{ head: string }>(`/courses/${course.id}`);
  await publishByHand(system, course.id, body.head);
  return {
    course: course.id,
    module: course.modules[0]!,
    lesson: course.lessons[0]!,
    head: body.head,
    import: job.body.id,
    asset: createHash('sha256').update(text).digest('base64url'),
  };
}

/** Errors that say nothing about who may. */
const broken = new Set([
  'unimplemented',
  'internal',
  'unauthenticated',
  'unavailable',
  'deadline_exceeded',
  'resource_exhausted',
]);

type Outcome = 'passes' | 'refused' | 'unknown' | 'empty';

/** What became of a call: it passed (also when its request was of no use), was refused, or was told of nothing. */
async function outcome(of: (typeof methods)[number], place: Place, options: CallOptions): Promise<Outcome> {
  const client = callers.channel(of.service).client(of.definition) as Record<string, (...args: unknown[]) => unknown>;
  const { requestStream, responseStream } = of.definition.methods[of.method]!;
  const request = of.rule.request(place);
  const input = requestStream ? (request as readonly object[]) : request;
  try {
    const answer = client[of.method]!(input, { ...options, deadlineMs: 10_000 });
    if (responseStream) {
      for await (const message of answer as AsyncIterable<unknown>) void message;
      return 'passes';
    }
    const lists = Object.values((await answer) as object).filter((value) => Array.isArray(value));
    return of.method === 'locate' && lists.length > 0 && lists.every((list) => list.length === 0) ? 'empty' : 'passes';
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    if (broken.has(error.kind)) throw error;
    if (error.reason === 'FORBIDDEN') return 'refused';
    return /^(COURSE|NODE|REF|IMPORT|ASSET)_NOT_FOUND$|^NOT_PUBLISHED$/.test(error.reason) ? 'unknown' : 'passes';
  }
}

async function placeFor({ rule }: (typeof methods)[number], place: Place): Promise<Place> {
  return rule.destroys ? makePlace() : place;
}

const grantOf = (role: string, place: Place): Grant => ({
  course: place.course,
  role,
  ...(role === 'learner' ? { commit: place.head } : {}),
});

describe.each(methods.map((of) => [of.name, of] as const))('%s', (_name, of) => {
  it('lets just the roles pass that the table names, on their own course', async () => {
    expect(of.rule).toBeDefined();
    for (const role of ROLES) {
      const place = await placeFor(of, own);
      const caller = await callers.person(`person-${role}`, [], [grantOf(role, place)]);
      const isAllowed = of.rule.people === 'anyone' || (of.rule.people !== 'platform' && of.rule.people.includes(role));
      const got = await outcome(of, place, caller);
      expect([role, isAllowed ? got : got === 'passes']).toEqual([role, isAllowed ? 'passes' : false]);
    }
  });

  it('tells them nothing of the course of others', async () => {
    for (const role of ROLES) {
      const caller = await callers.person(`person-${role}`, [], [grantOf(role, own)]);
      const got = await outcome(of, foreign, caller);
      if (of.method === 'listCourses') continue;
      expect([role, ['unknown', 'refused', 'empty']]).toEqual([role, expect.arrayContaining([got])]);
      // Where people may pass at all, a course that is not theirs is one that never was.
      if (Array.isArray(of.rule.people) && of.rule.people.length > 0) expect([role, got]).toEqual([role, 'unknown']);
    }
  });

  it('opens to no process but those that the table names', async () => {
    for (const process of PROCESSES) {
      const place = await placeFor(of, own);
      const isAllowed = of.rule.processes.includes(process);
      const got = await outcome(of, place, await callers.process(process));
      expect([process, isAllowed ? got !== 'refused' : got]).toEqual([process, isAllowed ? true : 'refused']);
    }
  });
});

describe('somebody with platform roles alone', () => {
  it('makes courses as an author or an admin, and not otherwise', async () => {
    const create = methods.find(({ name }) => name.startsWith('catalog') && name.endsWith('.createCourse'))!;
    for (const role of ROLES) {
      const got = await outcome(create, own, await callers.person(`platform-${role}`, [role]));
      expect([role, got]).toEqual([role, role === 'author' || role === 'admin' ? 'passes' : 'refused']);
    }
  });

  it.each(methods.filter(({ rule }) => Array.isArray(rule.people)).map((of) => [of.name, of] as const))(
    'is told nothing by %s unless they are an admin',
    async (_name, of) => {
      const isOpen = (of.rule.people as readonly string[]).includes('admin') || of.method === 'restoreCourse';
      const author = await outcome(of, own, await callers.person('platform-author', ['author']));
      expect(author).toBe(isOpen ? 'unknown' : 'refused');
      const place = await placeFor(of, own);
      const admin = await outcome(of, place, await callers.person('platform-admin', ['admin']));
      expect(admin).toBe(isOpen ? 'passes' : 'refused');
    },
  );
});
