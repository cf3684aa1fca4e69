import { createHash, randomBytes } from 'node:crypto';
import { anyone } from '@coursewright/platform/testing/anyone';
import { CatalogServiceDefinition, type ListCoursesRequest } from '@coursewright/proto/coursewright/catalog/v1/catalog';
import { RequestServiceDefinition } from '@coursewright/proto/coursewright/common/v1/requests';
import {
  VersioningServiceDefinition,
  type CloseCourseRequest,
} from '@coursewright/proto/coursewright/versioning/v1/versioning';
import type { Actor } from '@coursewright/platform/actor';
import { newId } from '@coursewright/platform/ids';
import type { CallOptions } from '@coursewright/platform/rpc-client';
import { serve } from '@coursewright/platform/rpc-server';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { startEventSource, type Fold, type TestEventSource } from '@coursewright/platform/testing/event-source';
import { createTestKeys, type TestKeys } from '@coursewright/platform/testing/keys';
import {
  startProcess,
  testCallers,
  type TestCallers,
  testOpsToken,
  type TestProcess,
} from '@coursewright/platform/testing/process';
import { createTestDatabase, testServers } from '@coursewright/platform/testing/servers';
import { removeStreams } from '@coursewright/platform/testing/streams';
import { createService } from '../../src/service.js';

export const hashOf = (text: string): string => createHash('sha256').update(text).digest('base64url');

/** A catalog that runs, with peers the test decides and a look into its database. */
export interface World {
  readonly versioning: TestEventSource;
  readonly review: TestEventSource;
  /** What versioning does when a repository is asked for. */
  onCreate: (courseId: string, fields: Record<string, unknown>, actor: Actor) => Promise<void>;
  /** What versioning does when a repository is to be closed or opened. */
  onClose: (request: CloseCourseRequest, actor: Actor) => Promise<void>;
  readonly callers: TestCallers;
  readonly keys: TestKeys;
  readonly database: PgDatabase;
  readonly databaseUrl: string;
  process(): TestProcess;
  /** Starts the catalog anew, as after a crash. */
  restart(): Promise<void>;
  /** Starts one more process of the same catalog; the caller stops it. */
  another(): Promise<TestProcess>;
  stop(): Promise<void>;
}

const migrations = new URL('../../prisma/migrations', import.meta.url).pathname;

export async function startWorld(options: { redisUrl?: string } = {}): Promise<World> {
  const keys = await createTestKeys();
  const servers = testServers();
  const testDatabase = await createTestDatabase('catalog', migrations);
  const name = `catalog-${randomBytes(4).toString('hex')}`;
  const { createCourse, closeCourse } = VersioningServiceDefinition.methods;
  const some = { ...VersioningServiceDefinition, methods: { createCourse, closeCourse } };
  const versioning = await startEventSource('versioning', keys, {
    services: [
      serve(some, anyone(some), {
        async createCourse({ courseId, fields }, call) {
          await world.onCreate(courseId, fields ?? {}, call.actor);
          return { courseId, branch: 'main', commit: hashOf(`first ${courseId}`) };
        },
        async closeCourse(request, call) {
          await world.onClose(request, call.actor);
          return { tree: hashOf(`tree of ${request.courseId}`), closed: request.closed };
        },
      }),
    ],
    fold: foldVersioning,
  });
  const review = await startEventSource('review', keys, { fold: foldReview });
  const start = async (): Promise<TestProcess> =>
    startProcess(
      await createService({
        name,
        host: '127.0.0.1',
        port: 0,
        opsPort: 0,
        opsToken: testOpsToken,
        databaseUrl: testDatabase.url,
        natsUrl: servers.nats,
        redisUrl: options.redisUrl ?? servers.redis,
        versioningAddress: versioning.address,
        reviewAddress: review.address,
        tokenKey: keys.private['catalog']!,
        tokenKeys: keys.public,
        otlpEndpoint: undefined,
        logLevel: process.env['TEST_LOG_LEVEL'] ?? 'silent',
      }),
    );
  let running = await start();
  const database = openDatabase({ url: testDatabase.url, maxConnections: 4 });
  const world: World = {
    versioning,
    review,
    onCreate: async () => undefined,
    onClose: async () => undefined,
    callers: testCallers(keys),
    keys,
    database,
    databaseUrl: testDatabase.url,
    process: () => running,
    async restart() {
      await running.stop();
      running = await start();
    },
    another: start,
    async stop() {
      await running.stop();
      await Promise.all([versioning.stop(), review.stop(), database.close()]);
      await removeStreams(name, ['versioning', 'review']);
      await testDatabase.drop();
    },
  };
  return world;
}

export const catalogOf = (world: World) => world.process().channel.client(CatalogServiceDefinition);
export const requestsOf = (world: World) => world.process().channel.client(RequestServiceDefinition);

/** Brings in everything the peers have said. */
export const catchUp = (world: World): Promise<unknown> => world.process().command('catch-up');

const foldVersioning: Fold = (state, { type, data }) => {
  if (type === 'committed') return data['defaultBranch'] === true ? { ...state, head: data } : state;
  if (type === 'published') return { ...state, published: data, latestVersion: data['version'] };
  if (type === 'unpublished') return { ...state, published: undefined };
  return type === 'version-cut' ? { ...state, latestVersion: data['number'] } : state;
};

const foldReview: Fold = (state, { type, data }) =>
  type === 'rejected' ? { ...state, state: 'none' } : { ...data, state: type === 'submitted' ? 'in_review' : type };

const counts = { units: 1, modules: 2, lessons: 3, assignments: 0 };

/** The data of `committed`, on the default branch unless another is named. */
export function committed(courseId: string, fields: object, tree: string, more: object = {}): Record<string, unknown> {
  return {
    courseId,
    branchId: newId(),
    branch: 'main',
    defaultBranch: true,
    commit: hashOf(`commit of ${tree}`),
    tree: hashOf(tree),
    authorId: 'ann',
    at: new Date().toISOString(),
    kind: 'edit',
    rootFields: fields,
    counts,
    ...more,
  };
}

export function published(courseId: string, fields: object, tree: string, version: number): Record<string, unknown> {
  return {
    courseId,
    commit: hashOf(`commit of ${tree}`),
    tree: hashOf(tree),
    version,
    publishedBy: 'pub',
    at: new Date().toISOString(),
    rootFields: fields,
    counts,
  };
}

/** A registered course with one commit that the catalog has heard of, and a publication when wanted. */
export async function makeCourse(
  world: World,
  options: { owner?: string; fields?: object; publish?: boolean },
): Promise<string> {
  const courseId = newId();
  const fields = { title: 'A course', ...options.fields };
  await catalogOf(world).registerCourse(
    { courseId, owner: options.owner ?? 'ann' },
    await world.callers.service('content'),
  );
  world.versioning.emit(courseId, 'committed', committed(courseId, fields, `tree of ${courseId}`));
  if (options.publish)
    world.versioning.emit(courseId, 'published', published(courseId, fields, `tree of ${courseId}`, 1));
  await catchUp(world);
  return courseId;
}

/** Ids of a list, page after page. */
export async function listAll(
  world: World,
  caller: CallOptions,
  request: Partial<ListCoursesRequest> = {},
): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor = ''; ;) {
    const page = await catalogOf(world).listCourses({ ...request, cursor }, caller);
    ids.push(...page.courses.map((course) => course.courseId));
    if (page.next === '') return ids;
    cursor = page.next;
  }
}
