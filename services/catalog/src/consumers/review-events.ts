import { Approved, Rejected, Submitted } from '@coursewright/proto/coursewright/events/v1/review';
import { ReviewState } from '@coursewright/proto/coursewright/review/v1/review';
import type { TxSql } from '@coursewright/platform/sql';
import type { Subscription } from '@coursewright/platform/subscription';
import { eventInvalid } from '../domain/errors.js';
import { withReview, type CourseFacts } from '../domain/facts.js';
import type { Deps } from '../operations/ports.js';
import { projectFacts, projectState } from '../operations/project-course.js';

/** Review's events: which tree is in review or approved. */
export function reviewEvents(deps: Pick<Deps, 'projection' | 'registry' | 'cache'>): Subscription<TxSql> {
  return {
    source: 'review',
    handlers: {
      async submitted(sql, event) {
        const { reviewId, tree } = Submitted.fromJSON(event.data);
        const review = reviewOf('submitted', { id: reviewId, state: 'in_review', tree });
        await projectFacts(deps, sql, event.courseId, (facts) => withReview(facts, review));
      },
      async approved(sql, event) {
        const { reviewId, tree } = Approved.fromJSON(event.data);
        const review = reviewOf('approved', { id: reviewId, state: 'approved', tree });
        await projectFacts(deps, sql, event.courseId, (facts) => withReview(facts, review));
      },
      async rejected(sql, event) {
        const { reviewId } = Rejected.fromJSON(event.data);
        await projectFacts(deps, sql, event.courseId, (facts) =>
          facts.review?.id === reviewId ? withReview(facts, undefined) : facts,
        );
      },
    },
    async applyState(sql, courseId, json) {
      const { state, tree, reviewId } = ReviewState.fromJSON(json);
      const open = state === 'in_review' || state === 'approved';
      const review = open ? reviewOf('state', { id: reviewId, state, tree }) : undefined;
      await projectState(deps, sql, courseId, (facts) => withReview(facts, review));
    },
  };
}

function reviewOf(type: string, review: NonNullable<CourseFacts['review']>): NonNullable<CourseFacts['review']> {
  if (review.id === '') throw eventInvalid(type, 'reviewId');
  if (review.tree === '') throw eventInvalid(type, 'tree');
  return review;
}
