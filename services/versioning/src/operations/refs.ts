import { AppError } from '@coursewright/platform/errors';
import { ancestorsAmong, isReached, type CommitMark } from '../domain/history.js';
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

/** Whether commits of hidden branches count: they do for imports alone. */
export interface Reach {
  readonly hiddenToo: boolean;
}

/**
 * Finds the commit that a ref names: a version's number, else the hash of a commit that can be reached, else a branch or tag; empty
 * means the default branch. Throws not_found `COURSE_NOT_FOUND`, `REF_NOT_FOUND`.
 */
export async function resolveRef(
  reads: VersioningReads,
  courseId: string,
  ref: string,
  reach: Reach = { hiddenToo: false },
): Promise<Resolved> {
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
  if (form.form === 'commit') {
    const found = await resolved(reads, course, form.text, { kind: 'commit', name: form.text, branchId: '' });
    if (await isReachable(reads, courseId, found.commit, { ...reach, near: course.branch?.head ?? '' })) return found;
    throw new AppError('not_found', 'REF_NOT_FOUND', { ref: form.text });
  }
  if (form.text === PUBLISHED)
    return resolved(reads, course, course.published, { kind: 'published', name: PUBLISHED, branchId: '' });
  return resolved(reads, course, await reads.tagCommit(courseId, form.text), {
    kind: 'tag',
    name: form.text,
    branchId: '',
  });
}

/**
 * Whether a visible ref of the course has a commit in its history (a branch, a version, a tag, what is published): what a caller
 * names by hash must be, or an import that is not grafted yet could be read, or based upon. Refs only go forward, so that a yes is
 * kept for good. `near` is the head that is looked at first.
 */
export async function isReachable(
  reads: VersioningReads,
  courseId: string,
  commit: CommitMark,
  { near, hiddenToo }: Reach & { readonly near: string },
): Promise<boolean> {
  const memo = reads.reached(courseId);
  if (commit.hash === near || memo.has(commit.hash)) return true;
  const links = reads.links(courseId);
  const head = near === '' ? undefined : (await links([near])).get(near);
  if (
    head &&
    head.gen >= commit.gen &&
    (await ancestorsAmong(links, head, [commit], reads.descents(courseId))).size > 0
  ) {
    // A hidden branch opens its commits to its own import alone: they are no part of what is visible.
    if (!hiddenToo) memo.add(commit.hash);
    return true;
  }
  if (await isReached(links, await reads.visibleHeads(courseId), commit)) {
    memo.add(commit.hash);
    return true;
  }
  return hiddenToo && isReached(links, await reads.refHeads(courseId), commit);
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

/** For so long a snapshot that another one has replaced may be read on by who is in the middle of it. */
export const GRACE_MS = 60 * 60 * 1000;

/** What learners hold: the commits that their token names, and the one that their cursor pins. */
export interface LearnersAsk {
  readonly granted: readonly string[];
  readonly ref: string;
  readonly pinned: string | undefined;
}

/**
 * Finds what a learner may read: the commit of his grant, or the one his cursor pins, if it is published now, or was until another one
 * replaced it within the last hour. Whatever else he names is not there. Throws not_found `COURSE_NOT_FOUND` when nothing is published or
 * his grant is not good, `REF_NOT_FOUND`; gone `CURSOR_STALE`.
 */
export async function resolveForLearner(
  reads: VersioningReads,
  courseId: string,
  { granted, ref, pinned }: LearnersAsk,
): Promise<Resolved> {
  const course = await reads.course(courseId, '');
  const good = await goodFor(reads, course, pinned === undefined ? granted : [...granted, pinned]);
  const own = granted.find((hash) => good.has(hash));
  if (!course || own === undefined) throw new AppError('not_found', 'COURSE_NOT_FOUND', { courseId });
  if (pinned !== undefined && !good.has(pinned)) throw new AppError('gone', 'CURSOR_STALE');
  const isOwn = ref === PUBLISHED || (good.has(ref) && granted.includes(ref));
  if (pinned === undefined && !isOwn) throw new AppError('not_found', 'REF_NOT_FOUND', { ref });
  const hash = pinned ?? (ref === PUBLISHED ? own : ref);
  return resolved(reads, course, hash, { kind: 'commit', name: hash, branchId: '' });
}

/** Of these commits, those that learners may read. */
async function goodFor(
  reads: VersioningReads,
  course: CourseRow | null,
  hashes: readonly string[],
): Promise<ReadonlySet<string>> {
  if (!course || course.published === null) return new Set();
  const { courseId, published } = course;
  const others = hashes.filter((hash) => hash !== published);
  const replaced = others.length === 0 ? [] : await reads.replaced(courseId, others, GRACE_MS);
  return new Set([published, ...replaced]);
}
