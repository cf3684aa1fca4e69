import { can, type Action } from '@coursewright/course-model/access';
import type { Audience } from '@coursewright/course-model/lesson';
import { authorize, isService, rolesOn, type Actor } from '@coursewright/platform/actor';

/** Lets only those pass who may do this on the course. Throws not_found COURSE_NOT_FOUND, permission_denied FORBIDDEN. */
export function authorizeAction(actor: Actor, courseId: string, action: Action): void {
  authorize(actor, courseId, (roles) => can(roles, action));
}

/** The widest audience that an actor belongs to on a course. */
export function audienceOf(actor: Actor, courseId: string): Audience {
  if (isService(actor)) return 'grader';
  const roles = rolesOn(actor, courseId);
  if (can(roles, 'body.read-grader')) return 'grader';
  return can(roles, 'body.read-raw') ? 'author' : 'learner';
}

/** The commit that a learner may see of a course; undefined when the course is not published. */
export function publishedCommit(actor: Actor, courseId: string): string | undefined {
  return actor.grants.find((grant) => grant.course === courseId && grant.role === 'learner')?.commit;
}
