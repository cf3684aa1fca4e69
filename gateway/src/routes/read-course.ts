import type { Context, Reply } from '../http/route.js';
import { learnersCourse, staffCourse } from '../present/course.js';
import { isLearner } from './common.js';

/**
 * A course at a ref, from its three owners at once; readers with the same view who ask at the same time share the answer. A platform
 * admin's view is his own: he alone is shown what is deleted.
 */
export async function readCourse(context: Context, ref: string): Promise<Reply> {
  const { course, courses } = context;
  const isPlatformAdmin = context.caller.roles.includes('admin');
  const view = [course.courseId, ref, course.publishedCommit ?? '', isPlatformAdmin, ...course.roles].join('\n');
  return courses.of(view, () => readCourseAlone(context, ref));
}

async function readCourseAlone(context: Context, ref: string): Promise<Reply> {
  const { peers, course } = context;
  const { courseId } = course;
  // One reader's going away must not take the answer from the others.
  const { signal: _signal, ...call } = context.read.call ?? { token: '', requestId: '' };
  const read = { ...context.read, call };
  const repository = peers.versioning.getCourse({ courseId, ref }, read);
  const record = peers.catalog.getCourse({ courseId }, read);
  if (isLearner(context)) return ready(learnersCourse(...(await Promise.all([repository, record]))));
  const facts = await Promise.all([repository, record, context.reviews.of(courseId, read)]);
  return ready(staffCourse({ repository: facts[0], record: facts[1], review: facts[2], atHead: ref === '' }));
}

/** Serialised once for all who share it. */
function ready(reply: Reply): Reply {
  return { ...reply, json: JSON.stringify(reply.body) };
}
