import { lessonSchema, MAX_LESSON_BYTES } from '@coursewright/course-model/lesson';
import type { Lesson } from '@coursewright/proto/coursewright/content/v1/content';
import { z } from 'zod';
import { expected } from '../http/etag.js';
import { route, type Context, type Reply, type Route } from '../http/route.js';
import { orNull, timeOf } from '../present/common.js';
import * as common from '../shapes/common.js';
import { lessonShape, renderedShape } from '../shapes/lesson.js';
import { commitFields, isLearner, keptCommit, refOf } from './common.js';

const place = z.strictObject(common.place);

async function readLesson(context: Context, lessonId: string, ref: string): Promise<Reply> {
  const { courseId } = context.course;
  return lessonReply(await context.peers.content.getLesson({ courseId, lessonId, ref }, context.read));
}

const getContent = route({
  method: 'get',
  path: '/lessons/{id}/content',
  feature: 'B1',
  tag: 'Lessons',
  summary: "Read a lesson's document as it was written",
  description: 'For staff; learners read GET /lessons/{id}/rendered. A lesson without a document has the empty one.',
  params: common.byId,
  query: place,
  permission: { of: 'node', param: 'id', action: 'body.read-raw' },
  responses: { 200: lessonShape },
  handle: ({ params, query }, context) => readLesson(context, params.id, refOf(context, query)),
});

const putContent = route({
  method: 'put',
  path: '/lessons/{id}/content',
  feature: 'B1',
  tag: 'Lessons',
  summary: "Save a lesson's document",
  description: 'Ids of items that are sent back are kept; items without one take that of the same item, or a new one.',
  params: common.byId,
  query: z.strictObject({
    ...common.commitQuery,
    kind: z.enum(['edit', 'autosave']).optional().describe('edit when left out'),
  }),
  body: { kind: 'document', schema: lessonSchema, maxBytes: MAX_LESSON_BYTES },
  permission: { of: 'node', param: 'id', action: 'course.write' },
  write: 'versioning',
  current: ({ params, query }, context) => readLesson(context, params.id, query.branch ?? ''),
  responses: { 200: lessonShape },
  reasons: ['INVALID_LESSON', 'LESSON_TOO_LARGE', 'NOT_A_LESSON', 'NODE_GONE'],
  async handle({ params, query, bytes, match }, context) {
    const { courseId } = context.course;
    const request = {
      courseId,
      lessonId: params.id,
      ...commitFields(query, 'Save a lesson'),
      kind: query.kind ?? '',
      content: bytes,
      ...(match.any ? {} : { expectedBody: expected(match, 0) }),
    };
    const lesson = await context.peers.content.saveLesson(request, context.write);
    return saved(lesson, lesson.unchanged);
  },
  async replay(result, { params }, open) {
    const { commit, branch, unchanged } = keptCommit(result);
    const context = await open();
    const { courseId } = context.course;
    const lesson = await context.peers.content.getLesson({ courseId, lessonId: params.id, ref: commit }, context.read);
    return saved({ ...lesson, branch }, unchanged);
  },
});

function saved(lesson: Lesson, unchanged: boolean): Reply {
  const contentLocation = `/lessons/${lesson.lessonId}/content`;
  return { ...lessonReply(lesson), contentLocation, ...(unchanged ? {} : { commit: lesson.commit }) };
}

/** The document goes out as the bytes that content answered with: parsing it here would serve nobody. */
function lessonReply(lesson: Lesson): Reply {
  const before = {
    lessonId: lesson.lessonId,
    courseId: lesson.courseId,
    branch: orNull(lesson.branch),
    commit: lesson.commit,
    hash: lesson.hash,
  };
  const after = { updatedAt: timeOf(lesson.updatedAt), updatedBy: lesson.updatedBy };
  const document = Buffer.from(lesson.content).toString('utf8');
  const json = `${JSON.stringify(before).slice(0, -1)},"content":${document},${JSON.stringify(after).slice(1)}`;
  return { status: 200, json, etag: [lesson.hash], head: lesson.commit };
}

const getRendered = route({
  method: 'get',
  path: '/lessons/{id}/rendered',
  feature: 'B2',
  tag: 'Lessons',
  summary: 'Read a lesson as safe HTML, as much of it as the reader may see',
  params: common.byId,
  query: place,
  permission: { of: 'node', param: 'id', action: 'course.read-published' },
  responses: { 200: renderedShape },
  async handle({ params, query }, context) {
    const { courseId } = context.course;
    const request = { courseId, lessonId: params.id, ref: refOf(context, query) };
    const page = await context.peers.content.getRendered(request, context.read);
    const body = {
      lessonId: page.lessonId,
      courseId: page.courseId,
      commit: isLearner(context) ? null : orNull(page.commit),
      hash: page.hash,
      title: page.title,
      objectives: page.objectives.map(({ id, html }) => ({ id, html })),
      items: page.items.map(({ id, kind, type, title, html, audience }) => ({ id, kind, type, title, html, audience })),
    };
    return { status: 200, body, etag: [page.hash] };
  },
});

/** B1 and B2. */
export const lessonRoutes: readonly Route[] = [getContent, putContent, getRendered];
