/** Where a course stands in its life. */
export type CourseStatus = 'draft' | 'in_review' | 'approved' | 'published' | 'archived';

/** What the status follows from. Trees are hashes of root nodes; an empty one stands for none. */
export interface StatusFacts {
  readonly archived: boolean;
  /** Of the default branch. */
  readonly headTree: string;
  readonly publishedTree: string;
  /** none | in_review | approved, and the tree it is about. */
  readonly review: { readonly state: string; readonly tree: string };
}

/**
 * The status of a course. A review counts only for exactly the head's tree: an edit takes the course back to draft.
 * An approval is used up once that very tree is published.
 */
export function courseStatus(facts: StatusFacts): CourseStatus {
  if (facts.archived) return 'archived';
  if (facts.review.tree !== '' && facts.review.tree === facts.headTree) {
    if (facts.review.state === 'in_review') return 'in_review';
    if (facts.review.state === 'approved' && facts.publishedTree !== facts.headTree) return 'approved';
  }
  return facts.publishedTree === '' ? 'draft' : 'published';
}
