import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CatalogServiceDefinition } from '@coursewright/proto/coursewright/catalog/v1/catalog';
import { newId } from '@coursewright/platform/ids';
import type { CallOptions } from '@coursewright/platform/rpc-client';
import { catalogOf, makeCourse, startWorld, type World } from './support/world.js';

type Method = keyof typeof CatalogServiceDefinition.methods;

const ROLES = ['learner', 'author', 'reviewer', 'publisher', 'deployer', 'admin'] as const;
const PEOPLE = ['nobody', 'platform author', 'platform admin', 'admin elsewhere', ...ROLES] as const;
const SERVICES = ['gateway', 'catalog', 'content', 'review', 'versioning', 'deployment'] as const;
type Who = (typeof PEOPLE)[number] | (typeof SERVICES)[number];

const STAFF: Who[] = ['author', 'reviewer', 'publisher', 'deployer', 'admin', 'platform admin'];
const STRANGERS: Who[] = ['nobody', 'platform author', 'admin elsewhere'];

/** Who may call what on a course that is there; what is for services or goes by platform roles tells nobody whether there is one. */
const MAY: Record<Method, { who: Who[]; strangers: 'COURSE_NOT_FOUND' | 'FORBIDDEN' }> = {
  createCourse: { who: ['platform author', 'platform admin'], strangers: 'FORBIDDEN' },
  registerCourse: { who: ['content'], strangers: 'FORBIDDEN' },
  getCourse: { who: [...STAFF, 'learner'], strangers: 'COURSE_NOT_FOUND' },
  listCourses: { who: [...PEOPLE], strangers: 'FORBIDDEN' },
  deleteCourse: { who: ['admin', 'platform admin'], strangers: 'COURSE_NOT_FOUND' },
  restoreCourse: { who: ['platform admin'], strangers: 'COURSE_NOT_FOUND' },
  getAccess: { who: ['gateway', 'content'], strangers: 'FORBIDDEN' },
  claimKey: { who: ['gateway'], strangers: 'FORBIDDEN' },
  putMember: { who: ['admin', 'platform admin'], strangers: 'COURSE_NOT_FOUND' },
  listMembers: { who: STAFF, strangers: 'COURSE_NOT_FOUND' },
};

let world: World;
let shared: string;

/** A request of each method that is good but for who asks; a method without one does not compile. */
const REQUESTS: Record<Method, (courseId: string) => object> = {
  createCourse: () => ({ fields: { title: 'New' } }),
  registerCourse: () => ({ courseId: newId(), owner: 'ann' }),
  getCourse: (courseId) => ({ courseId }),
  listCourses: () => ({}),
  deleteCourse: (courseId) => ({ courseId, expectedTree: '' }),
  restoreCourse: (courseId) => ({ courseId }),
  getAccess: (courseId) => ({ courseId, subject: 'ann' }),
  claimKey: () => ({ actor: 'ann', key: newId(), fingerprint: 'one' }),
  putMember: (courseId) => ({ courseId, subject: 'bea', role: 'author' }),
  listMembers: (courseId) => ({ courseId }),
};

function as(who: Who, courseId: string): Promise<CallOptions> {
  if ((SERVICES as readonly Who[]).includes(who)) return world.callers.service(who);
  if (who === 'nobody') return world.callers.as('who', ['learner']);
  if (who === 'platform author') return world.callers.as('who', ['author']);
  if (who === 'platform admin') return world.callers.as('who', ['admin']);
  return world.callers.as('who', [], {
    [who === 'admin elsewhere' ? newId() : courseId]: [who === 'admin elsewhere' ? 'admin' : who],
  });
}

/** What comes of a call: `ok`, or the reason of its refusal. What is not built yet lets pass who may. */
async function outcomeOf(method: Method, who: Who): Promise<string> {
  const courseId = method === 'deleteCourse' ? await makeCourse(world, { owner: 'ann' }) : shared;
  const call = catalogOf(world)[method] as (request: object, options: CallOptions) => Promise<unknown>;
  return call(REQUESTS[method](courseId), await as(who, courseId)).then(
    () => 'ok',
    ({ reason }: { reason: string }) => (reason === 'UNIMPLEMENTED' ? 'ok' : reason),
  );
}

beforeAll(async () => {
  world = await startWorld();
  shared = await makeCourse(world, { owner: 'ann' });
});
afterAll(() => world.stop());

describe('who may call', () => {
  it('each RPC is decided for everybody', () => {
    const methods = Object.keys(CatalogServiceDefinition.methods).sort();
    expect([Object.keys(MAY).sort(), Object.keys(REQUESTS).sort()]).toEqual([methods, methods]);
  });

  it.each(Object.keys(CatalogServiceDefinition.methods) as Method[])(
    '%s is what the table says, for each role and service',
    async (method) => {
      const { who: allowed, strangers } = MAY[method];
      const expected = (who: Who): string =>
        allowed.includes(who) ? 'ok' : STRANGERS.includes(who) ? strangers : 'FORBIDDEN';
      const outcomes: [Who, string][] = [];
      for (const who of [...PEOPLE, ...SERVICES]) outcomes.push([who, await outcomeOf(method, who)]);
      expect(outcomes).toEqual([...PEOPLE, ...SERVICES].map((who) => [who, expected(who)]));
    },
  );
});
