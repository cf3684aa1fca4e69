import { createHmac } from 'node:crypto';
import { audienceOfRoles, can, type Action } from '@coursewright/course-model/access';
import { sees } from '@coursewright/course-model/audience';
import type { Audience } from '@coursewright/course-model/lesson';
import { authorize, isService, rolesOn, type Actor } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import type { LessonNode } from './ports.js';

/** Lets only those pass who may do this on the course. Throws not_found COURSE_NOT_FOUND, permission_denied FORBIDDEN. */
export function authorizeAction(actor: Actor, courseId: string, action: Action): void {
  authorize(actor, courseId, (roles) => can(roles, action));
}

/** The widest audience that an actor belongs to on a course. */
export function audienceOf(actor: Actor, courseId: string): Audience {
  return isService(actor) ? 'grader' : audienceOfRoles(rolesOn(actor, courseId));
}

/** The commit that a learner may see of a course; undefined when the course is not published. */
export function publishedCommit(actor: Actor, courseId: string): string | undefined {
  return actor.grants.find((grant) => grant.course === courseId && grant.role === 'learner')?.commit;
}

/**
 * Lets only lessons pass that the reader may see; one that is for others is as absent as one that is not there.
 *
 * @throws AppError not_found NODE_NOT_FOUND; unprocessable NOT_A_LESSON
 */
export function checkLesson(node: LessonNode, reader: Audience): void {
  const { lessonId } = node;
  if (!sees(reader, node.audience)) throw new AppError('not_found', 'NODE_NOT_FOUND', { nodeId: lessonId });
  if (node.kind !== 'lesson' && node.kind !== 'assignment')
    throw new AppError('unprocessable', 'NOT_A_LESSON', { lessonId });
}

/**
 * The hash that a reader gets of what he cannot see whole: keyed, for the hidden part could be guessed offline from a plain one, and
 * of what he sees, so that a change of the hidden part does not show.
 */
export function keyedHash(key: Uint8Array, reader: Audience, seen: string | Uint8Array): string {
  return createHmac('sha256', key).update(`${reader}\n`).update(seen).digest('base64url');
}
