import { can } from '@coursewright/course-model/access';
import { isAtMost } from '@coursewright/course-model/text-length';
import { authorize, type Actor } from '@coursewright/platform/actor';
import { invalidRequest, courseNotFound, cursorInvalid } from '../domain/errors.js';
import type { Member } from '../domain/member.js';
import { seesDeleted } from './delete-course.js';
import type { Deps, MemberPage } from './ports.js';

/** A page of a course's members; next is empty on the last one. */
export interface MemberList {
  readonly members: readonly Member[];
  readonly next: string;
}

const defaultLimit = 50;
const mostAtOnce = 200;

/**
 * Lists the members of a course to its staff, by subject and role.
 * Throws not_found COURSE_NOT_FOUND, permission_denied FORBIDDEN, invalid_argument INVALID_REQUEST or CURSOR_INVALID.
 */
export async function listMembers(
  deps: Pick<Deps, 'database' | 'registry'>,
  actor: Actor,
  asked: { readonly courseId: string; readonly cursor: string; readonly limit: number },
): Promise<MemberList> {
  authorize(actor, asked.courseId, (roles) => can(roles, 'course.read-draft'));
  if (asked.limit < 0 || asked.limit > mostAtOnce)
    throw invalidRequest([{ pointer: '/limit', code: 'invalid', message: `must be from 1 to ${mostAtOnce}` }]);
  const limit = asked.limit || defaultLimit;
  const after = asked.cursor === '' ? {} : { after: readCursor(asked.cursor) };
  const course = await deps.registry.find(deps.database, asked.courseId);
  if (course === undefined || (course.deletedAt !== undefined && !seesDeleted(actor)))
    throw courseNotFound(asked.courseId);
  const found = await deps.registry.listMembers(deps.database, asked.courseId, { ...after, limit: limit + 1 });
  const members = found.slice(0, limit);
  const last = members.at(-1);
  const next = found.length > limit && last !== undefined ? writeCursor(last) : '';
  return { members, next };
}

const writeCursor = (last: Member): string =>
  Buffer.from(JSON.stringify([last.subject, last.role])).toString('base64url');

function readCursor(cursor: string): NonNullable<MemberPage['after']> {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(value) && value.length === 2) {
      const [subject, role] = value as unknown[];
      if (typeof subject === 'string' && typeof role === 'string' && isPlain(subject) && isPlain(role))
        return { subject, role };
    }
  } catch {
    // Whatever it was, it was not ours.
  }
  throw cursorInvalid();
}

const isPlain = (text: string): boolean => isAtMost(text, 200) && !text.includes('\0') && text.isWellFormed();
