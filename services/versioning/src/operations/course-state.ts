import { committedData } from '../domain/events.js';
import { ObjectPool } from '../domain/object-pool.js';
import type { Commit, VersioningReads } from './ports.js';
import type { Resolved } from './refs.js';

/** What belongs to a course as a whole, whatever ref is asked for. */
export interface CourseState {
  /** Its name. */
  readonly defaultBranch: string;
  readonly published: Commit | null;
}

/** Published pointer and default branch of a course, beside the ref that was resolved. */
export async function getCourse(reads: VersioningReads, at: Resolved): Promise<CourseState> {
  const { course } = at;
  const { courseId } = course;
  const published =
    course.published === null
      ? null
      : ((await reads.commits(courseId, [course.published])).get(course.published) ?? null);
  const isDefault = course.branch?.id === course.defaultBranch;
  const [main] = isDefault ? [course.branch] : await reads.branchesById(courseId, [course.defaultBranch]);
  return { defaultBranch: main?.name ?? '', published };
}

/**
 * What the events of a course amount to now, as coursewright.events.v1.VersioningState in proto3 JSON: without a head when the course
 * was dropped after its events had gone out, undefined when there never was one.
 */
export async function readState(
  reads: VersioningReads,
  courseId: string,
): Promise<Record<string, unknown> | undefined> {
  const course = await reads.course(courseId, '');
  if (!course) return (await reads.refLog(courseId, 0, 1)).length > 0 ? { courseId, latestVersion: 0 } : undefined;
  const head = course.branch && (await reads.commits(courseId, [course.branch.head])).get(course.branch.head);
  if (!course.branch || !head) return undefined;
  const pool = new ObjectPool(reads.objects(courseId));
  const { fields } = await pool.head(head.root);
  const branch = { id: course.branch.id, name: course.branch.name, isDefault: true };
  const published =
    course.published === null ? undefined : (await reads.commits(courseId, [course.published])).get(course.published);
  return {
    courseId,
    head: committedData({
      ...{ courseId, branch, commit: head, nodes: [], isCut: true, rootFields: fields },
      logSeq: await reads.lastMove(courseId, branch.id),
    }),
    ...(published && { published: await publishedData(pool, courseId, published, course.publishedVersion) }),
    latestVersion: course.latestVersion,
  };
}

async function publishedData(
  pool: ObjectPool,
  courseId: string,
  commit: Commit,
  version: number,
): Promise<Record<string, unknown>> {
  const { fields } = await pool.head(commit.root);
  return { courseId, commit: commit.hash, tree: commit.root, version, rootFields: fields, counts: commit.counts };
}
