/** The head of a course's default branch as last heard of. */
export interface CourseHead {
  readonly courseId: string;
  readonly commit: string;
  readonly tree: string;
  readonly at: Date;
}

/** A submission that is still of effect: waiting for its decision, or approved. */
export interface LiveReview {
  readonly id: string;
  readonly state: 'in_review' | 'approved';
  readonly tree: string;
  readonly dueAt: Date | undefined;
}

/** Where the review of a course's default branch stands. */
export interface ReviewState {
  readonly state: 'none' | LiveReview['state'];
  /** The tree that was submitted or approved; empty when the state is none. */
  readonly tree: string;
  readonly reviewId: string;
  readonly dueAt: Date | undefined;
  /** The tree of the default branch as last heard of; empty when nothing was. */
  readonly knownTree: string;
}

/** The state that follows from the latest live submission and the head; each may be missing. A deadline ends with the decision. */
export function reviewState(review: LiveReview | undefined, head: Pick<CourseHead, 'tree'> | undefined): ReviewState {
  const knownTree = head?.tree ?? '';
  if (review === undefined) return { state: 'none', tree: '', reviewId: '', dueAt: undefined, knownTree };
  const dueAt = review.state === 'in_review' ? review.dueAt : undefined;
  return { state: review.state, tree: review.tree, reviewId: review.id, dueAt, knownTree };
}
