import { authorizeService, personOf } from '@coursewright/platform/actor';
import { isId } from '@coursewright/platform/ids';
import type { Course } from '../domain/course.js';
import { invalidRequest } from '../domain/errors.js';
import { courseCreated } from '../domain/events.js';
import { checkMember } from '../domain/member.js';
import { forgetPerson } from './list-cache.js';
import type { Caller, Deps } from './ports.js';
import { projectRegistry } from './project-course.js';

type RegisterDeps = Pick<Deps, 'database' | 'outbox' | 'registry' | 'projection' | 'cache' | 'now'>;

/**
 * Writes the registry row of a course whose repository exists; the same id again answers with the row as it is.
 * For our services only. Throws permission_denied FORBIDDEN, invalid_argument INVALID_REQUEST.
 */
export async function registerCourse(deps: RegisterDeps, caller: Caller, input: NewCourse): Promise<Course> {
  authorizeService(caller.actor);
  if (!isId(input.courseId))
    throw invalidRequest([{ pointer: '/courseId', code: 'invalid', message: 'must be a UUIDv7' }]);
  const { subject: owner } = checkMember(input.owner, 'admin');
  const course: Course = {
    courseId: input.courseId,
    owner,
    createdBy: caller.actor.onBehalfOf === undefined ? owner : personOf(caller.actor).sub,
    createdAt: deps.now(),
    archivedAt: undefined,
    deletedAt: undefined,
    revision: 1,
  };
  return deps.database.tx(async (sql) => {
    await deps.projection.lock(sql, [course.courseId]);
    const present = await deps.registry.find(sql, course.courseId);
    if (present !== undefined) return present;
    await deps.registry.insert(sql, course);
    await projectRegistry(deps, sql, course.courseId);
    forgetPerson(deps.cache, sql, owner);
    await deps.outbox.enqueue(sql, [courseCreated(course)]);
    return course;
  });
}

/** Which course is whose. */
export interface NewCourse {
  readonly courseId: string;
  readonly owner: string;
}
