import { AppError } from '@coursewright/platform/errors';
import type { Deps } from './ports.js';

/** Which course is to be closed to writes, or opened again. */
export interface CloseCourseInput {
  readonly courseId: string;
  /** Hash of the root node that the default branch must have; empty means whatever it is. */
  readonly expectedTree: string;
  readonly closed: boolean;
  /** When its sender took charge: grows with each who does. */
  readonly turn: number;
  /** Aborted when nobody waits for the answer any more: then nothing is closed behind his back. */
  readonly signal?: AbortSignal;
}

/** The tree of the default branch, and whether the course is closed. */
export interface CloseCourseResult {
  readonly tree: string;
  readonly closed: boolean;
}

/**
 * Closes a course to all writes, hidden branches of imports too, or opens it again. Waits until no writer is in the middle of one and
 * looks at the tree then: what the caller saw is all there is, or he is told STALE and nothing is closed. Doing it again changes
 * nothing. What was sent by somebody who was in charge before the last one (their process was paused) is refused.
 * Throws not_found `COURSE_NOT_FOUND`, stale `STALE` with the present head and tree, conflict `IN_PROGRESS` when it comes too late.
 */
export async function closeCourse(deps: Deps, input: CloseCourseInput): Promise<CloseCourseResult> {
  const { courseId, expectedTree, closed, turn, signal } = input;
  return deps.store.write(async (tx) => {
    await tx.lockCourse(courseId);
    signal?.throwIfAborted();
    const branch = (await tx.reads.course(courseId, ''))?.branch;
    if (!branch) throw new AppError('not_found', 'COURSE_NOT_FOUND', { courseId });
    const head = (await tx.reads.commits(courseId, [branch.head])).get(branch.head);
    if (!head) throw new AppError('internal', 'OBJECT_MISSING', { courseId });
    if (expectedTree !== '' && expectedTree !== head.root)
      throw new AppError('stale', 'STALE', { head: head.hash, tree: head.root });
    if (!(await tx.takeClosingTurn(courseId, turn)))
      throw new AppError('conflict', 'IN_PROGRESS', { retryAfterSeconds: 1 });
    if (branch.isClosed !== closed) await tx.setClosed(courseId, closed);
    return { tree: head.root, closed };
  });
}
