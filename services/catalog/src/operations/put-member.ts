import { can } from '@coursewright/course-model/access';
import { authorize, personOf } from '@coursewright/platform/actor';
import { rememberCommand, takeCommand } from '@coursewright/platform/requests';
import { courseNotFound } from '../domain/errors.js';
import { courseChanged } from '../domain/events.js';
import { checkMember, type Member } from '../domain/member.js';
import { seesDeleted } from './delete-course.js';
import { forgetPerson } from './list-cache.js';
import type { Caller, Deps } from './ports.js';

type PutDeps = Pick<Deps, 'database' | 'outbox' | 'registry' | 'cache' | 'now'>;

/** Who shall have which role where. */
export interface NewMember {
  readonly courseId: string;
  readonly subject: string;
  readonly role: string;
}

/**
 * Gives a subject a role; who has it already keeps it as it was.
 * Throws not_found COURSE_NOT_FOUND, permission_denied FORBIDDEN, invalid_argument INVALID_REQUEST.
 */
export async function putMember(deps: PutDeps, caller: Caller, input: NewMember): Promise<Member> {
  authorize(caller.actor, input.courseId, (roles) => can(roles, 'course.manage'));
  const { subject, role } = checkMember(input.subject, input.role);
  return deps.database.tx(async (sql) => {
    const command = await takeCommand(sql, caller.actor, caller.command);
    if (command.state === 'done') return fromResult(command.result);
    const course = await deps.registry.lock(sql, input.courseId);
    if (course === undefined || (course.deletedAt !== undefined && !seesDeleted(caller.actor)))
      throw courseNotFound(input.courseId);
    const at = deps.now();
    const by = personOf(caller.actor).sub;
    const put = await deps.registry.putMember(sql, input.courseId, { subject, role, since: at, addedBy: by });
    await rememberCommand(sql, caller.actor, caller.command, { ...put.member });
    if (put.added) {
      forgetPerson(deps.cache, sql, subject);
      await deps.outbox.enqueue(sql, [courseChanged(input.courseId, 'members', by, at)]);
    }
    return put.member;
  });
}

function fromResult(result: Readonly<Record<string, unknown>>): Member {
  return {
    subject: String(result['subject']),
    role: String(result['role']),
    since: new Date(String(result['since'])),
    addedBy: String(result['addedBy']),
  };
}
