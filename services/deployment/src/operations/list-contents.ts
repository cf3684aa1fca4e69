import { can } from '@coursewright/course-model/access';
import { authorize, type Actor } from '@coursewright/platform/actor';
import { isId } from '@coursewright/platform/ids';
import type { Sql, TxSql } from '@coursewright/platform/sql';
import type { Content } from '../domain/content.js';
import { invalidRequest, cursorInvalid } from '../domain/errors.js';
import type { Contents } from './ports.js';

/** A page of contents; next is empty on the last one. */
export interface ContentList {
  readonly contents: readonly Content[];
  readonly next: string;
}

const defaultLimit = 50;
const mostAtOnce = 200;

/**
 * Lists what can be deployed on in a course, to its staff.
 * Throws not_found COURSE_NOT_FOUND, permission_denied FORBIDDEN, invalid_argument INVALID_REQUEST or CURSOR_INVALID.
 */
export async function listContents<Tx extends TxSql>(
  deps: { readonly contents: Pick<Contents<Tx>, 'list'>; readonly sql: Sql },
  actor: Actor,
  asked: { readonly courseId: string; readonly cursor: string; readonly limit: number },
): Promise<ContentList> {
  authorize(actor, asked.courseId, (roles) => can(roles, 'course.read-draft'));
  if (asked.limit < 0 || asked.limit > mostAtOnce)
    throw invalidRequest([{ pointer: '/limit', code: 'invalid', message: `must be from 1 to ${mostAtOnce}` }]);
  const limit = asked.limit || defaultLimit;
  const after = asked.cursor === '' ? undefined : readCursor(asked.cursor, asked.courseId);
  const found = await deps.contents.list(deps.sql, { courseId: asked.courseId, after, limit: limit + 1 });
  const contents = found.slice(0, limit);
  const last = contents.at(-1);
  return { contents, next: found.length > limit && last !== undefined ? writeCursor(last) : '' };
}

const writeCursor = (last: Content): string =>
  Buffer.from(`${last.courseId} ${last.nodeId}`, 'utf8').toString('base64url');

function readCursor(cursor: string, courseId: string): string {
  const [course, nodeId, ...rest] = Buffer.from(cursor.slice(0, 200), 'base64url').toString('utf8').split(' ');
  if (course !== courseId || nodeId === undefined || !isId(nodeId) || rest.length > 0) throw cursorInvalid();
  return nodeId;
}
