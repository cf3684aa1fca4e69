import { AppError } from '@coursewright/platform/errors';
import { CourseRecord } from '@coursewright/proto/coursewright/catalog/v1/catalog';
import { Part } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { expected, isExpected, type Match } from '../http/etag.js';
import { route, type Context, type Reply, type Route } from '../http/route.js';
import { courseSelf, listedCourse, newCourse } from '../present/course.js';
import * as common from '../shapes/common.js';
import * as shapes from '../shapes/course.js';
import { commitFields, commitOf, keptCommit, refOf, repointed } from './common.js';
import { readCourse } from './read-course.js';
import { z } from 'zod';

const commitQuery = z.strictObject(common.commitQuery);

const listCourses = route({
  method: 'get',
  path: '/courses',
  feature: 'A3',
  tag: 'Courses',
  summary: 'Find courses: search, filter, sort, page by page',
  description:
    'Staff find their courses as drafts; everybody finds what is published. A projection: behind by an event.',
  params: common.noQuery,
  query: shapes.courseListQuery,
  permission: { of: 'signed-in' },
  responses: { 200: shapes.courseListShape },
  async handle({ query }, context) {
    const { published, facets, deleted, ...texts } = query;
    const found = await repointed(
      context.peers.catalog.listCourses(
        {
          ...texts,
          facets: facets ?? false,
          deleted: deleted ?? false,
          ...(published === undefined ? {} : { published }),
        },
        context.read,
      ),
      (pointer) => `/query${pointer}`,
    );
    const items = found.courses.map(listedCourse);
    const counted = found.facets.map(
      ({ name, values }) => [name, values.map(({ value, count }) => ({ value, count }))] as const,
    );
    const body = {
      items,
      next: context.next(found.next),
      ...(facets ? { facets: Object.fromEntries<unknown>(counted) } : {}),
    };
    return { status: 200, body };
  },
});

const createCourse = route({
  method: 'post',
  path: '/courses',
  feature: 'A1',
  tag: 'Courses',
  summary: 'Make a course',
  params: common.noQuery,
  query: common.noQuery,
  body: { kind: 'json', schema: shapes.courseCreate },
  permission: { of: 'platform', action: 'course.create' },
  write: 'catalog',
  responses: { 201: shapes.courseShape },
  reasons: ['OPS_REFUSED'],
  async handle({ body }, context) {
    const fields = Object.fromEntries(Object.entries(toFields(body)).filter(([, value]) => value !== null));
    const creating = context.peers.catalog.createCourse({ fields }, context.write);
    return created(await repointed(creating, fromFields), context);
  },
  replay: async (result, _input, open) => created(CourseRecord.fromJSON(result), await open()),
});

/** The course as it began: its row as it was kept, its first commit read again. It may have changed or be gone since. */
async function created(record: CourseRecord, context: Context): Promise<Reply> {
  const { courseId, commit } = record;
  const maker = await context.asMaker(courseId);
  const repository = await maker.peers.versioning.getCourse({ courseId, ref: commit }, maker.read);
  return { ...newCourse(repository, record), status: 201, commit, location: `/courses/${courseId}` };
}

const getCourse = route({
  method: 'get',
  path: '/courses/{id}',
  feature: 'A1',
  tag: 'Courses',
  summary: 'Read a course',
  params: common.byId,
  query: z.strictObject(common.place),
  permission: { of: 'course', param: 'id', action: 'course.read-published' },
  responses: { 200: shapes.courseShape },
  handle: ({ query }, context) => readCourse(context, refOf(context, query)),
});

type CourseInput = {
  readonly query: z.output<typeof commitQuery>;
  readonly match: Match;
};

const current = ({ query }: CourseInput, context: Context): Promise<Reply> => readCourse(context, query.branch ?? '');

const replaceCourse = route({
  method: 'put',
  path: '/courses/{id}',
  feature: 'A1',
  tag: 'Courses',
  summary: 'Set all fields of a course',
  params: common.byId,
  query: commitQuery,
  body: { kind: 'json', schema: shapes.courseReplace },
  permission: { of: 'course', param: 'id', action: 'course.write' },
  write: 'versioning',
  current,
  responses: { 200: shapes.courseShape },
  reasons: ['OPS_REFUSED'],
  handle: (input, context) => changeCourse(toFields(input.body), input, context),
  replay: async (result, _input, open) => changedCourse(result, await open()),
});

const patchCourse = route({
  method: 'patch',
  path: '/courses/{id}',
  feature: 'A1',
  tag: 'Courses',
  summary: 'Change some fields of a course',
  params: common.byId,
  query: commitQuery,
  body: { kind: 'json', schema: shapes.coursePatch },
  permission: { of: 'course', param: 'id', action: 'course.write' },
  write: 'versioning',
  current,
  responses: { 200: shapes.courseShape },
  reasons: ['OPS_REFUSED'],
  handle: (input, context) => changeCourse(toFields(input.body), input, context),
  replay: async (result, _input, open) => changedCourse(result, await open()),
});

async function changeCourse(fields: Record<string, unknown>, input: CourseInput, context: Context): Promise<Reply> {
  const { peers, read, write, course } = context;
  const { courseId } = course;
  const request = commitFields(input.query, 'Change the course');
  const [repository, record] = await Promise.all([
    peers.versioning.getCourse({ courseId, ref: request.branch }, read),
    peers.catalog.getCourse({ courseId }, read),
  ]);
  // The client's tag covers the registry too; versioning checks its own share of it under the lock of the branch.
  const isSame = isExpected(input.match, 0, courseSelf(repository, record));
  const etag = isSame && !input.match.any ? (repository.root?.selfEtag ?? '-') : expected(input.match, 0);
  const committing = peers.versioning.commit(
    {
      courseId,
      ...request,
      base: repository.head,
      expect: [{ nodeId: courseId, part: Part.SELF, etag }],
      ops: [{ op: { $case: 'setFields', value: { nodeId: courseId, fields } } }],
    },
    write,
  );
  const response = await repointed(committing, fromOps);
  return { ...(await readCourse(context, response.commit)), ...commitOf(response) };
}

async function changedCourse(result: Readonly<Record<string, unknown>>, context: Context): Promise<Reply> {
  const response = keptCommit(result);
  return { ...(await readCourse(context, response.commit)), ...commitOf(response) };
}

const deleteCourse = route({
  method: 'delete',
  path: '/courses/{id}',
  feature: 'A1',
  tag: 'Courses',
  summary: 'Delete a course; an admin can restore it',
  params: common.byId,
  query: common.noQuery,
  permission: { of: 'course', param: 'id', action: 'course.manage' },
  write: 'catalog',
  current: (_input, context) => readCourse(context, ''),
  responses: { 204: null },
  async handle({ match }, context) {
    const { courseId } = context.course;
    const expected = match.any ? {} : await expectations(match, context);
    await context.peers.catalog.deleteCourse({ courseId, ...expected }, context.write);
    context.forget(courseId);
    return { status: 204 };
  },
  replay: async () => ({ status: 204 }),
});

/**
 * What the client's tag says, in the words of the owners, who compare it under their locks. The tag holds the registry's revision
 * only within a hash, so it is found by reading; what does not fit any more is stale already. Throws stale STALE.
 */
async function expectations(
  match: Match,
  context: Context,
): Promise<{ expectedRevision: number; expectedTree: string }> {
  const { peers, read, course } = context;
  const { courseId } = course;
  const [repository, record] = await Promise.all([
    peers.versioning.getCourse({ courseId, ref: '' }, read),
    peers.catalog.getCourse({ courseId }, read),
  ]);
  const expectedTree = expected(match, 1);
  const isSame = isExpected(match, 0, courseSelf(repository, record)) && common.hashForm.test(expectedTree);
  if (!isSame) throw new AppError('stale', 'STALE', { head: repository.head });
  return { expectedRevision: record.revision, expectedTree };
}

const restoreCourse = route({
  method: 'post',
  path: '/courses/{id}/restore',
  feature: 'A1',
  tag: 'Courses',
  summary: 'Bring a deleted course back',
  params: common.byId,
  query: common.noQuery,
  permission: { of: 'course', param: 'id', action: 'course.manage' },
  write: 'catalog',
  responses: { 200: shapes.courseShape },
  async handle({ params }, context) {
    await context.peers.catalog.restoreCourse({ courseId: params.id }, context.write);
    context.forget(params.id);
    return readCourse(context, '');
  },
  replay: async (_result, _input, open) => readCourse(await open(), ''),
});

/** The fields of the root node: what is empty is not there, so that a PUT of what was read changes nothing. */
function toFields(body: object): Record<string, unknown> {
  const isEmpty = (value: unknown): boolean => value === '' || (Array.isArray(value) && value.length === 0);
  const sent = Object.entries(body).filter(([, value]) => value !== undefined);
  return Object.fromEntries(sent.map(([name, value]) => [name, isEmpty(value) ? null : (value as unknown)]));
}

const fromFields = (pointer: string): string => pointer.replace(/^\/fields/, '');
const fromOps = (pointer: string): string => fromFields(pointer.replace(/^\/ops\/\d+/, ''));

/** A1 and A3. */
export const courseRoutes: readonly Route[] = [
  listCourses,
  createCourse,
  getCourse,
  replaceCourse,
  patchCourse,
  deleteCourse,
  restoreCourse,
];
