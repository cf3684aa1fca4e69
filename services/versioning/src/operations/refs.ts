import { AppError } from '@coursewright/platform/errors';
import { parseRef, PUBLISHED } from '../domain/names.js';
import type { Commit, CourseRow, VersioningReads } from './ports.js';

/** What a ref was found to be. */
export interface Resolved {
  readonly course: CourseRow;
  readonly commit: Commit;
  readonly kind: 'branch' | 'tag' | 'version' | 'commit' | 'published';
  readonly name: string;
  /** Id of the branch, or empty. */
  readonly branchId: string;
}

/**
 * Finds the commit that a ref names: a version's number, else a commit's hash, else a branch or tag; empty means the default
 * branch. Throws not_found `COURSE_NOT_FOUND`, `REF_NOT_FOUND`.
 */
export async function resolveRef(reads: VersioningReads, courseId: string, ref: string): Promise<Resolved> {
  const form = parseRef(ref);
  const isName = form.form === 'name';
  const course = await reads.course(courseId, isName ? form.text : '');
  if (!course) throw new AppError('not_found', 'COURSE_NOT_FOUND', { courseId });
  if (isName && course.branch && !course.branch.isHidden) {
    return resolved(reads, course, course.branch.head, {
      kind: 'branch',
      name: course.branch.name,
      branchId: course.branch.id,
    });
  }
  if (form.form === 'version') {
    const commit = await reads.versionCommit(courseId, form.number);
    return resolved(reads, course, commit, { kind: 'version', name: String(form.number), branchId: '' });
  }
  if (form.form === 'commit')
    return resolved(reads, course, form.text, { kind: 'commit', name: form.text, branchId: '' });
  if (form.text === PUBLISHED)
    return resolved(reads, course, course.published, { kind: 'published', name: PUBLISHED, branchId: '' });
  return resolved(reads, course, await reads.tagCommit(courseId, form.text), {
    kind: 'tag',
    name: form.text,
    branchId: '',
  });
}

async function resolved(
  reads: VersioningReads,
  course: CourseRow,
  hash: string | null,
  what: Pick<Resolved, 'kind' | 'name' | 'branchId'>,
): Promise<Resolved> {
  const commit = hash === null ? undefined : (await reads.commits(course.courseId, [hash])).get(hash);
  if (!commit) throw new AppError('not_found', 'REF_NOT_FOUND', { ref: what.name });
  return { course, commit, ...what };
}
