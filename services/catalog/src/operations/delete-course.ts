import { can } from '@coursewright/course-model/access';
import { authorize } from '@coursewright/platform/actor';
import { markDeleted, type Course } from '../domain/course.js';
import { courseNotFound } from '../domain/errors.js';
import { courseDeleted } from '../domain/events.js';
import { changeCourse, seesDeleted, type ChangeDeps, type ChangeInput } from './change-course.js';
import type { RememberedCourse } from './create-course.js';
import type { Caller } from './ports.js';

/**
 * Marks a course as deleted; one that is so already stays as it is.
 * Throws not_found COURSE_NOT_FOUND, permission_denied FORBIDDEN, stale STALE.
 */
export async function deleteCourse(
  deps: ChangeDeps,
  caller: Caller,
  input: ChangeInput,
): Promise<Course | RememberedCourse> {
  authorize(caller.actor, input.courseId, (roles) => can(roles, 'course.manage'));
  return changeCourse(deps, caller, {
    courseId: input.courseId,
    apply: (course, at) => {
      if (course.deletedAt !== undefined && !seesDeleted(caller.actor)) throw courseNotFound(course.courseId);
      return markDeleted(course, at, input.expectedRevision);
    },
    event: (by, at) => courseDeleted(input.courseId, by, at),
  });
}
