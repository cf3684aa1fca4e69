import { can } from '@coursewright/course-model/access';
import { authorize } from '@coursewright/platform/actor';
import { markRestored, type Course } from '../domain/course.js';
import { courseNotFound, forbidden } from '../domain/errors.js';
import { courseChanged } from '../domain/events.js';
import { changeCourse, seesDeleted, type ChangeDeps, type ChangeInput } from './change-course.js';
import type { RememberedCourse } from './create-course.js';
import type { Caller } from './ports.js';

/**
 * Takes the deletion mark away; only platform admins still have a role there.
 * Throws not_found COURSE_NOT_FOUND, permission_denied FORBIDDEN, stale STALE.
 */
export async function restoreCourse(
  deps: ChangeDeps,
  caller: Caller,
  input: ChangeInput,
): Promise<Course | RememberedCourse> {
  authorize(caller.actor, input.courseId, (roles) => can(roles, 'course.manage'));
  return changeCourse(deps, caller, {
    courseId: input.courseId,
    apply: (course) => {
      if (!seesDeleted(caller.actor))
        throw course.deletedAt === undefined ? forbidden() : courseNotFound(course.courseId);
      return markRestored(course, input.expectedRevision);
    },
    event: (by, at) => courseChanged(input.courseId, 'restored', by, at),
  });
}
