import { can } from '@coursewright/course-model/access';
import { authorize, rolesOn, type Actor } from '@coursewright/platform/actor';
import type { Course } from '../domain/course.js';
import { courseNotFound } from '../domain/errors.js';
import { seesDeleted } from './delete-course.js';
import type { Deps } from './ports.js';

/** A course as the registry has it, with where its review stands by the projection. */
export type CourseView = Course & { readonly reviewState: string; readonly reviewTree: string };

type ReadDeps = Pick<Deps, 'database' | 'projection'>;

/**
 * Reads a course's registry row as it is now. Learners are told nothing about reviews.
 * Throws not_found COURSE_NOT_FOUND, permission_denied FORBIDDEN.
 */
export async function getCourse(deps: ReadDeps, actor: Actor, courseId: string): Promise<CourseView> {
  authorize(actor, courseId, (roles) => can(roles, 'course.read-published'));
  const roles = rolesOn(actor, courseId);
  const isStaff = roles.includes('service') || can(roles, 'course.read-draft');
  const [known] = (await deps.projection.read(deps.database, [courseId])).values();
  const { course, facts } = known!;
  if (course === undefined || (course.deletedAt !== undefined && !seesDeleted(actor))) throw courseNotFound(courseId);
  if (!isStaff) return { ...course, reviewState: '', reviewTree: '' };
  const { review } = facts;
  return { ...course, reviewState: review?.state ?? 'none', reviewTree: review?.tree ?? '' };
}
