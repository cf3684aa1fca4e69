import { can } from '@coursewright/course-model/access';
import { authorize, type Actor } from '@coursewright/platform/actor';
import type { Sql } from '@coursewright/platform/sql';
import { reviewState, type ReviewState } from '../domain/review.js';
import type { Reviews } from './ports.js';

interface ReadDeps {
  readonly reviews: Reviews;
  readonly sql: Sql;
}

/**
 * Where the review of a course's default branch stands, for its staff.
 * Throws not_found COURSE_NOT_FOUND, permission_denied FORBIDDEN.
 */
export async function getReviewState(deps: ReadDeps, actor: Actor, courseId: string): Promise<ReviewState> {
  authorize(actor, courseId, (roles) => can(roles, 'course.read-draft'));
  return readReviewState(deps, courseId);
}

/** The same without a question of rights: what other services are told when they ask for the state behind the events. */
export async function readReviewState({ reviews, sql }: ReadDeps, courseId: string): Promise<ReviewState> {
  const { review, head } = await reviews.read(sql, courseId);
  return reviewState(review, head);
}
