import { rolesOf } from '../domain/member.js';
import type { Deps } from './ports.js';

/** What somebody may do with a course. */
export interface Access {
  readonly exists: boolean;
  readonly deleted: boolean;
  readonly archived: boolean;
  readonly roles: readonly string[];
}

/**
 * The roles of a subject on a course as they are now; nobody has any on a deleted one.
 */
export async function getAccess(
  deps: Pick<Deps, 'database' | 'registry'>,
  asked: { readonly courseId: string; readonly subject: string },
): Promise<Access> {
  const none = { exists: false, deleted: false, archived: false, roles: [] };
  const row = await deps.registry.readAccess(deps.database, asked.courseId, asked.subject);
  if (row === undefined) return none;
  if (row.course.deletedAt !== undefined) return { ...none, deleted: true };
  return {
    exists: true,
    deleted: false,
    archived: row.course.archivedAt !== undefined,
    roles: rolesOf(row.course.owner, asked.subject, row.roles),
  };
}
