import { staleRevision } from './errors.js';

/** A course as the registry has it. */
export interface Course {
  readonly courseId: string;
  readonly owner: string;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly archivedAt: Date | undefined;
  readonly deletedAt: Date | undefined;
  /** Counts the changes of owner, archive and deletion from 1. */
  readonly revision: number;
}

/** What becomes of a command on a course: the course as it shall be, or nothing to do because it is so already. */
export type Change = { readonly outcome: 'changed'; readonly course: Course } | { readonly outcome: 'unchanged' };

/** The course with a deletion mark. Throws stale STALE unless the expected revision, when there is one, is the present one. */
export function markDeleted(course: Course, at: Date, expectedRevision: number | undefined): Change {
  if (course.deletedAt !== undefined) return { outcome: 'unchanged' };
  checkRevision(course, expectedRevision);
  return { outcome: 'changed', course: { ...course, deletedAt: at, revision: course.revision + 1 } };
}

/** The course without its deletion mark. Throws stale STALE unless the expected revision, when there is one, is the present one. */
export function markRestored(course: Course, expectedRevision: number | undefined): Change {
  if (course.deletedAt === undefined) return { outcome: 'unchanged' };
  checkRevision(course, expectedRevision);
  return { outcome: 'changed', course: { ...course, deletedAt: undefined, revision: course.revision + 1 } };
}

function checkRevision(course: Course, expected: number | undefined): void {
  if (expected !== undefined && expected !== course.revision) throw staleRevision(course.revision);
}
