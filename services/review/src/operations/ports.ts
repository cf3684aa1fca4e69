import type { Sql } from '@coursewright/platform/sql';
import type { CourseHead, LiveReview } from '../domain/review.js';

/** The submissions. */
export interface Reviews {
  /** The latest submission of a course that waits for its decision or is approved, and the head as last heard of. */
  read(sql: Sql, courseId: string): Promise<{ review: LiveReview | undefined; head: { tree: string } | undefined }>;
}

/** The heads of default branches, as versioning's events tell them. */
export interface Heads {
  /** At most one of each course. */
  put(sql: Sql, heads: readonly CourseHead[]): Promise<void>;
  remove(sql: Sql, courseId: string): Promise<void>;
}
