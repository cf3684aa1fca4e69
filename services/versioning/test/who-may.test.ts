import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import { VersioningServiceDefinition } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { newId } from '@coursewright/platform/ids';
import { publish } from './support/publish.js';
import { add } from './support/requests.js';
import { startService, type TestService } from './support/service.js';

type Method = keyof typeof VersioningServiceDefinition.methods;

const PEOPLE = [
  'nobody',
  'learner',
  'author',
  'reviewer',
  'publisher',
  'deployer',
  'admin',
  'platform admin',
  'admin elsewhere',
] as const;
const SERVICES = ['gateway', 'catalog', 'content', 'review', 'versioning', 'deployment'] as const;
type Who = (typeof PEOPLE)[number] | (typeof SERVICES)[number];

const STAFF: Who[] = ['author', 'reviewer', 'publisher', 'deployer', 'admin', 'platform admin'];
const WRITERS: Who[] = ['author', 'admin', 'platform admin'];
const STRANGERS: Who[] = ['nobody', 'admin elsewhere'];

/** Who may call what on a course that is published. Strangers among those who could otherwise are told that there is no such course. */
const MAY: Record<Method, Who[]> = {
  createCourse: ['catalog', 'content'],
  commit: WRITERS,
  graft: ['content'],
  dropImport: ['content'],
  closeCourse: ['catalog'],
  locate: [...PEOPLE, 'gateway'],
  resolveRef: [...STAFF, 'learner'],
  getPublished: ['gateway'],
  getCourse: [...STAFF, 'learner', 'content'],
  getOutline: [...STAFF, 'learner'],
  getNode: [...STAFF, 'learner'],
  listChildren: [...STAFF, 'learner'],
  listNodes: [...STAFF, 'learner', 'content', 'deployment'],
  listCommits: STAFF,
  compare: STAFF,
  createBranch: WRITERS,
  getBranch: STAFF,
  listBranches: STAFF,
  checkIntegrity: STAFF,
};
/** Calls that are for services alone tell nobody else whether there is a course. */
const FOR_SERVICES: Method[] = ['createCourse', 'graft', 'dropImport', 'closeCourse', 'getPublished'];

let service: TestService;
let courseId: string;
let unit: string;
let published: string;

/** A request of each method that is good but for who asks; a method without one does not compile. */
const REQUESTS: Record<Method, () => Promise<object> | object> = {
  createCourse: () => ({ courseId: newId(), fields: { title: 'New' } }),
  commit: () => ({ courseId, ops: [add({ parentId: unit, kind: NodeKind.MODULE })], message: 'May I' }),
  graft: async () => ({ courseId, from: await imported() }),
  dropImport: async () => ({ courseId, name: await imported() }),
  closeCourse: () => ({ courseId, closed: false }),
  locate: () => ({ ids: [unit] }),
  resolveRef: () => ({ courseId, ref: published }),
  getPublished: () => ({ courseId }),
  getCourse: () => ({ courseId, ref: published }),
  getOutline: () => ({ courseId, ref: published }),
  getNode: () => ({ courseId, ref: published, nodeId: unit }),
  listChildren: () => ({ courseId, ref: published, parentId: unit }),
  listNodes: () => ({ courseId, ref: published }),
  listCommits: () => ({ courseId, ref: published }),
  compare: () => ({ courseId, from: published, to: published }),
  createBranch: () => ({ courseId, name: `b-${newId()}` }),
  getBranch: () => ({ courseId, name: 'main' }),
  listBranches: () => ({ courseId }),
  checkIntegrity: () => ({ courseId }),
};

async function imported(): Promise<string> {
  const branch = `import/${newId()}`;
  const ops = [add({ parentId: courseId, kind: NodeKind.UNIT })];
  await service.client.commit({ courseId, branch, ops, kind: 'import' }, await service.service('content'));
  return branch;
}

function as(who: Who): Promise<{ token: string }> {
  if ((SERVICES as readonly Who[]).includes(who)) return service.service(who);
  if (who === 'nobody') return service.as('author', []);
  if (who === 'platform admin') return service.as('admin', [], { roles: ['admin'] });
  if (who === 'admin elsewhere') return service.as('admin', [newId()]);
  if (who === 'learner')
    return service.as('learner', [], { grants: [{ course: courseId, role: 'learner', commit: published }] });
  return service.as(who, [courseId]);
}

/** What comes of a call: `ok`, or the reason of its refusal. */
async function outcomeOf(method: Method, who: Who): Promise<string> {
  const request = await REQUESTS[method]();
  const options = await as(who);
  try {
    const answer = (service.client[method] as (request: object, options: object) => unknown)(request, options);
    if (VersioningServiceDefinition.methods[method].responseStream) {
      for await (const message of answer as AsyncIterable<unknown>) void message;
    } else await (answer as Promise<unknown>);
    return 'ok';
  } catch (error) {
    return (error as { reason: string }).reason;
  }
}

function expected(method: Method, who: Who): string {
  if (MAY[method].includes(who)) return 'ok';
  const isStranger = STRANGERS.includes(who) && !FOR_SERVICES.includes(method);
  return isStranger ? 'COURSE_NOT_FOUND' : 'FORBIDDEN';
}

beforeAll(async () => {
  service = await startService();
  [courseId, unit] = [newId(), newId()];
  await service.client.createCourse({ courseId, fields: { title: 'A course' } }, await service.service('catalog'));
  const ops = [add({ id: unit, parentId: courseId, kind: NodeKind.UNIT })];
  published = (await service.client.commit({ courseId, ops, message: 'A unit' }, await as('platform admin'))).commit;
  await publish(service, courseId, published);
});
afterAll(() => service.stop());

describe('who may call', () => {
  it('each RPC is decided for everybody', () => {
    const methods = Object.keys(VersioningServiceDefinition.methods).sort();
    expect([Object.keys(MAY).sort(), Object.keys(REQUESTS).sort()]).toEqual([methods, methods]);
  });

  it.each(Object.keys(VersioningServiceDefinition.methods) as Method[])(
    '%s is what the table says, for each role and service',
    async (method) => {
      const everybody = [...PEOPLE, ...SERVICES];
      const outcomes: [Who, string][] = [];
      for (const who of everybody) outcomes.push([who, await outcomeOf(method, who)]);
      expect(outcomes).toEqual(everybody.map((who) => [who, expected(method, who)]));
    },
  );

  it('tells strangers of nodes no more than of a course', async () => {
    for (const who of STRANGERS)
      expect((await service.client.locate({ ids: [unit, courseId] }, await as(who))).homes).toEqual([]);
  });

  it('a course that is not published is not there for learners, whatever their token says', async () => {
    await publish(service, courseId, null);
    const reads = (Object.keys(MAY) as Method[]).filter(
      (method) => MAY[method].includes('learner') && method !== 'locate',
    );
    for (const method of reads)
      expect([method, await outcomeOf(method, 'learner')]).toEqual([method, 'COURSE_NOT_FOUND']);
    await publish(service, courseId, published);
  });
});
