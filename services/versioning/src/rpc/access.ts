import { can } from '@coursewright/course-model/access';
import { authorize, isService, rolesOn, type Actor } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { isHidden } from '../domain/names.js';
import type { VersioningReads } from '../operations/ports.js';
import { EVERYTHING } from '../domain/viewer.js';
import { learnersView } from '../operations/hidden-nodes.js';
import type { Reading } from '../operations/nodes.js';
import { resolveForLearner, resolveRef, type Resolved } from '../operations/refs.js';

/** Lets pass who may see drafts of a course. Throws not_found `COURSE_NOT_FOUND`, permission_denied `FORBIDDEN`. */
export function authorizeStaff(actor: Actor, courseId: string): void {
  authorize(actor, courseId, (roles) => can(roles, 'course.read-draft'));
}

/**
 * Lets pass who may change a course's tree. Hidden branches are for our services alone (imports), and our services write to nothing
 * else: a visible branch changes in the name of somebody who may, or by a graft. Throws as `authorizeStaff`.
 */
export function authorizeWriter(actor: Actor, courseId: string, branch = ''): void {
  authorize(actor, courseId, (roles) => can(roles, 'course.write'));
  if (isHidden(branch) !== isService(actor)) throw new AppError('permission_denied', 'FORBIDDEN', { branch });
}

/** Lets pass who may make courses. Throws permission_denied `FORBIDDEN`. */
export function authorizeCreator(actor: Actor): void {
  if (!isService(actor) && !can(actor.roles, 'course.create')) throw new AppError('permission_denied', 'FORBIDDEN');
}

/** Whether an actor may write to protected branches. A service has no role on a course, so it never may. */
export function mayPassProtection(actor: Actor, courseId: string): boolean {
  return !isService(actor) && can(rolesOn(actor, courseId), 'course.manage');
}

/** What a read is about: the ref of the request, or the commit that its cursor pins. */
export interface Ask {
  readonly ref: string;
  readonly pinned?: string | undefined;
}

/**
 * Resolves what a reader asks for, and says what of it he sees. Staff may read any commit that a visible ref reaches (content also
 * those of its imports), a learner what is published and nothing else. Throws not_found `COURSE_NOT_FOUND`, `REF_NOT_FOUND`,
 * permission_denied `FORBIDDEN`, gone `CURSOR_STALE`.
 */
export async function resolveFor(
  reads: VersioningReads,
  actor: Actor,
  courseId: string,
  { ref, pinned }: Ask,
): Promise<Resolved & Reading> {
  authorize(actor, courseId, (roles) => can(roles, 'course.read-published'));
  if (readsDrafts(actor, courseId)) {
    const hiddenToo = actor.sub === 'service:content';
    return { ...(await resolveRef(reads, courseId, pinned ?? ref, { hiddenToo })), viewer: EVERYTHING };
  }
  const at = await resolveForLearner(reads, courseId, { granted: grantedTo(actor, courseId), ref, pinned });
  return { ...at, viewer: await learnersView(reads, courseId, at.commit) };
}

/** Whether an actor sees drafts of a course. */
export function readsDrafts(actor: Actor, courseId: string): boolean {
  return isService(actor) || can(rolesOn(actor, courseId), 'course.read-draft');
}

/** The commits that an actor's grants on a course name. */
export function grantedTo(actor: Actor, courseId: string): string[] {
  return actor.grants.flatMap(({ course, commit = '' }) => (course === courseId && commit !== '' ? [commit] : []));
}
