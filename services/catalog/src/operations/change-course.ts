import { isService, personOf, type Actor } from '@coursewright/platform/actor';
import type { NewEvent } from '@coursewright/platform/event';
import { rememberCommand, takeCommand } from '@coursewright/platform/requests';
import type { Change, Course } from '../domain/course.js';
import { courseNotFound } from '../domain/errors.js';
import type { RememberedCourse } from './create-course.js';
import type { Caller, Deps } from './ports.js';
import { projectRegistry } from './project-course.js';

/** What changing a course takes. */
export type ChangeDeps = Pick<Deps, 'database' | 'outbox' | 'registry' | 'projection' | 'cache' | 'now'>;

/** Which course, and the revision the caller has read; none means any. */
export interface ChangeInput {
  readonly courseId: string;
  readonly expectedRevision?: number | undefined;
}

/** Whether a deleted course still exists for this actor. A token made before the deletion names roles that are gone. */
export const seesDeleted = (actor: Actor): boolean => isService(actor) || actor.roles.includes('admin');

/** A change of one course: the rule, and the event that tells of it. */
export interface Step {
  readonly courseId: string;
  readonly apply: (course: Course, at: Date) => Change;
  readonly event: (by: string, at: Date) => NewEvent;
}

/**
 * Applies a rule to a course under its lock: row, cards, command and event in one transaction, once per command.
 * Throws not_found COURSE_NOT_FOUND, and what the rule throws.
 */
export async function changeCourse(deps: ChangeDeps, caller: Caller, step: Step): Promise<Course | RememberedCourse> {
  return deps.database.tx(async (sql) => {
    const command = await takeCommand(sql, caller.actor, caller.command);
    if (command.state === 'done') return command.result as unknown as RememberedCourse;
    await deps.projection.lock(sql, step.courseId);
    const course = await deps.registry.lock(sql, step.courseId);
    if (course === undefined) throw courseNotFound(step.courseId);
    const at = deps.now();
    const result = step.apply(course, at);
    const next = result.outcome === 'changed' ? result.course : course;
    if (result.outcome === 'changed') {
      await deps.registry.update(sql, next);
      await projectRegistry(deps, sql, step.courseId);
    }
    await rememberCommand(sql, caller.actor, caller.command, { ...next });
    if (result.outcome === 'changed') await deps.outbox.enqueue(sql, [step.event(personOf(caller.actor).sub, at)]);
    return next;
  });
}
