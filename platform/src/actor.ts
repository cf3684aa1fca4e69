import { AppError } from './errors.js';

/** A role on one course; a learner's grant also names the only commit he may see. */
export interface Grant {
  readonly course: string;
  readonly role: string;
  readonly commit?: string;
}

/** Who asks, as the internal token says. */
export interface Actor {
  /** The person, or `service:<name>`. */
  readonly sub: string;
  readonly name?: string;
  /** Roles on the whole platform. */
  readonly roles: readonly string[];
  readonly grants: readonly Grant[];
  /** For a service that goes on with a job somebody asked for. */
  readonly onBehalfOf?: { readonly sub: string; readonly name?: string };
}

/** True for one of our own services. */
export function isService(actor: Actor): boolean {
  return actor.sub.startsWith('service:');
}

/** The person behind a call: the one a service works for, else the actor. */
export function personOf(actor: Actor): { readonly sub: string; readonly name?: string } {
  return actor.onBehalfOf ?? actor;
}

/** The roles an actor has on a course; a platform admin is admin of every course, a service is `service`. */
export function rolesOn(actor: Actor, courseId: string): string[] {
  const roles = actor.grants.filter((grant) => grant.course === courseId).map((grant) => grant.role);
  if (actor.roles.includes('admin')) roles.push('admin');
  if (isService(actor)) roles.push('service');
  return roles;
}

/**
 * Lets an actor pass whose roles on the course are enough; services pass.
 * Throws not_found COURSE_NOT_FOUND to who has no role there, permission_denied FORBIDDEN to who has a lesser one.
 */
export function authorize(actor: Actor, courseId: string, enough: (roles: readonly string[]) => boolean): void {
  const roles = rolesOn(actor, courseId);
  if (roles.length === 0) throw new AppError('not_found', 'COURSE_NOT_FOUND', { courseId });
  if (!isService(actor) && !enough(roles)) throw new AppError('permission_denied', 'FORBIDDEN', { courseId });
}

/** Lets only our own services pass. Throws permission_denied FORBIDDEN. */
export function authorizeService(actor: Actor): void {
  if (!isService(actor)) throw new AppError('permission_denied', 'FORBIDDEN');
}
