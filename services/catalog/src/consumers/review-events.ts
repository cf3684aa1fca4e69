import { Approved, Rejected, Submitted } from '@coursewright/proto/coursewright/events/v1/review';
import { ReviewState } from '@coursewright/proto/coursewright/review/v1/review';
import type { TxSql } from '@coursewright/platform/sql';
import type { Subscription } from '@coursewright/platform/subscription';
import { eventInvalid } from '../domain/errors.js';
import { withReview, type CourseFacts } from '../domain/facts.js';
import type { Deps } from '../operations/ports.js';
import { projectState } from '../operations/project-course.js';
import { factsEvents, type Readers } from './facts-events.js';

/** Review's events: which tree is in review or approved. */
export function reviewEvents(deps: Pick<Deps, 'projection' | 'registry' | 'cache'>): Subscription<TxSql> {
  return {
    source: 'review',
    ...factsEvents(deps, readers),
    async applyState(sql, courseId, json) {
      const { state, tree, reviewId } = ReviewState.fromJSON(json);
      const open = state === 'in_review' || state === 'approved';
      const review = open ? reviewOf('state', { id: reviewId, state, tree }) : undefined;
      await projectState(deps, sql, { courseId, change: (facts) => withReview(facts, review) });
    },
  };
}

const readers: Readers = {
  submitted(data) {
    const { reviewId, tree } = Submitted.fromJSON(data);
    const review = reviewOf('submitted', { id: reviewId, state: 'in_review', tree });
    return (facts) => withReview(facts, review);
  },
  approved(data) {
    const { reviewId, tree } = Approved.fromJSON(data);
    const review = reviewOf('approved', { id: reviewId, state: 'approved', tree });
    return (facts) => withReview(facts, review);
  },
  rejected(data) {
    const { reviewId } = Rejected.fromJSON(data);
    return (facts) => (facts.review?.id === reviewId ? withReview(facts, undefined) : facts);
  },
};

function reviewOf(type: string, review: NonNullable<CourseFacts['review']>): NonNullable<CourseFacts['review']> {
  if (review.id === '') throw eventInvalid(type, 'reviewId');
  if (review.tree === '') throw eventInvalid(type, 'tree');
  return review;
}
