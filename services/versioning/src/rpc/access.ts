import { can } from '@coursewright/course-model/access';
import { authorize, isService, rolesOn, type Actor } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { isHidden } from '../domain/names.js';
import type { VersioningReads } from '../operations/ports.js';
import { resolveRef, type Resolved } from '../operations/refs.js';

/** Lets pass who may see drafts of a course. Throws not_found `COURSE_NOT_FOUND`, permission_denied `FORBIDDEN`. */
export function authorizeStaff(actor: Actor, courseId: string): void {
  authorize(actor, courseId, (roles) => can(roles, 'course.read-draft'));
}

/** Lets pass who may change a course's tree; hidden branches are for services alone. Throws as `authorizeStaff`. */
export function authorizeWriter(actor: Actor, courseId: string, branch = ''): void {
  authorize(actor, courseId, (roles) => can(roles, 'course.write'));
  if (isHidden(branch) && !isService(actor)) throw new AppError('permission_denied', 'FORBIDDEN', { branch });
}

/** Lets pass who may make courses. Throws permission_denied `FORBIDDEN`. */
export function authorizeCreator(actor: Actor): void {
  if (!isService(actor) && !can(actor.roles, 'course.create')) throw new AppError('permission_denied', 'FORBIDDEN');
}

/** Whether an actor may write to protected branches. */
export function mayPassProtection(actor: Actor, courseId: string): boolean {
  return isService(actor) || can(rolesOn(actor, courseId), 'course.manage');
}

/**
 * Resolves a ref for a reader: staff may read any, who reads only what is published just the commit of his grant. Throws not_found
 * `COURSE_NOT_FOUND`, `REF_NOT_FOUND`, permission_denied `FORBIDDEN`.
 */
export async function resolveFor(
  reads: VersioningReads,
  actor: Actor,
  courseId: string,
  ref: string,
): Promise<Resolved> {
  authorize(actor, courseId, (roles) => can(roles, 'course.read-published'));
  const at = await resolveRef(reads, courseId, ref);
  if (isService(actor) || can(rolesOn(actor, courseId), 'course.read-draft')) return at;
  const isGranted = actor.grants.some((grant) => grant.course === courseId && grant.commit === at.commit.hash);
  if (!isGranted) throw new AppError('permission_denied', 'FORBIDDEN', { courseId });
  return at;
}
