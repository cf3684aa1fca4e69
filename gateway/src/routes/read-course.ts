import type { Context, Reply } from '../http/route.js';
import { learnersCourse, staffCourse } from '../present/course.js';
import { isLearner } from './common.js';

/** A course at a ref, from its three owners at once. */
export async function readCourse(context: Context, ref: string): Promise<Reply> {
  const { peers, read, course } = context;
  const { courseId } = course;
  const repository = peers.versioning.getCourse({ courseId, ref }, read);
  const record = peers.catalog.getCourse({ courseId }, read);
  if (isLearner(context)) return learnersCourse(...(await Promise.all([repository, record])));
  const facts = await Promise.all([repository, record, context.reviews.of(courseId, read)]);
  return staffCourse({ repository: facts[0], record: facts[1], review: facts[2], atHead: ref === '' });
}

/** A course as a write left it: read at its commit, so that the same answer can be given again. */
export async function writtenCourse(context: Context, commit: string): Promise<Reply> {
  const reply = await readCourse(context, commit);
  return { ...reply, commit };
}
