import { can } from '@coursewright/course-model/access';
import { authorize, isService, type Actor } from '@coursewright/platform/actor';
import { markDeleted, type Course } from '../domain/course.js';
import { courseNotFound } from '../domain/errors.js';
import { courseDeleted } from '../domain/events.js';
import { changeDeletion, type DeletionDeps } from './change-deletion.js';
import type { RememberedCourse } from './create-course.js';
import type { Caller } from './ports.js';

/** Which course, and what the caller has read of it; what is left out may be anything. */
export interface DeleteInput {
  readonly courseId: string;
  readonly expectedRevision?: number | undefined;
  /** Hash of the root node of the default branch. */
  readonly expectedTree: string;
}

/** Whether a deleted course still exists for this actor. A token made before the deletion names roles that are gone. */
export const seesDeleted = (actor: Actor): boolean => isService(actor) || actor.roles.includes('admin');

/**
 * Closes a course to writes and marks it as deleted, so that nothing is in it that the caller did not see; one that is deleted already
 * stays as it is. Throws not_found COURSE_NOT_FOUND, permission_denied FORBIDDEN, stale STALE, conflict IN_PROGRESS.
 */
export async function deleteCourse(
  deps: DeletionDeps,
  caller: Caller,
  input: DeleteInput,
): Promise<Course | RememberedCourse> {
  const { courseId, expectedRevision, expectedTree } = input;
  authorize(caller.actor, courseId, (roles) => can(roles, 'course.manage'));
  return changeDeletion(deps, caller, {
    courseId,
    closed: true,
    expectedTree,
    apply: (course, at) => {
      if (course.deletedAt !== undefined && !seesDeleted(caller.actor)) throw courseNotFound(courseId);
      return markDeleted(course, at, expectedRevision);
    },
    event: (by, at) => courseDeleted(courseId, by, at),
  });
}
