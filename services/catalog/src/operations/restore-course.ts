import { can } from '@coursewright/course-model/access';
import { authorize } from '@coursewright/platform/actor';
import { markRestored, type Course } from '../domain/course.js';
import { courseNotFound, forbidden } from '../domain/errors.js';
import { courseChanged } from '../domain/events.js';
import { changeDeletion, type DeletionDeps } from './change-deletion.js';
import type { RememberedCourse } from './create-course.js';
import { seesDeleted, type DeleteInput } from './delete-course.js';
import type { Caller } from './ports.js';

/**
 * Opens a deleted course to writes and takes its mark away; only platform admins still have a role there.
 * Throws not_found COURSE_NOT_FOUND, permission_denied FORBIDDEN, stale STALE, conflict IN_PROGRESS.
 */
export async function restoreCourse(
  deps: DeletionDeps,
  caller: Caller,
  { courseId, expectedRevision }: Omit<DeleteInput, 'expectedTree'>,
): Promise<Course | RememberedCourse> {
  authorize(caller.actor, courseId, (roles) => can(roles, 'course.manage'));
  return changeDeletion(deps, caller, {
    courseId,
    closed: false,
    expectedTree: '',
    apply: (course) => {
      if (!seesDeleted(caller.actor)) throw course.deletedAt === undefined ? forbidden() : courseNotFound(courseId);
      return markRestored(course, expectedRevision);
    },
    event: (by, at) => courseChanged(courseId, 'restored', by, at),
  });
}
