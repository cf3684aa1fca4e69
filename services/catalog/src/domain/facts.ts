/** How many things of each kind a tree holds. */
export interface Counts {
  readonly units: number;
  readonly modules: number;
  readonly lessons: number;
  readonly assignments: number;
}

/** A tree of a course at one moment: the head of its default branch, or its published snapshot. Times are RFC 3339. */
export interface Snapshot {
  readonly commit: string;
  readonly tree: string;
  readonly at: string;
  readonly by: string;
  /** Fields of the root node. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly counts: Counts;
}

/** What the events of other services have told of one course. */
export interface CourseFacts {
  readonly head?: Snapshot & { readonly branch: string };
  readonly published?: Snapshot & { readonly version: number };
  readonly latestVersion: number;
  readonly review?: { readonly id: string; readonly state: 'in_review' | 'approved'; readonly tree: string };
}

/** Of a course nobody has told anything yet. */
export const nothingKnown: CourseFacts = { latestVersion: 0 };

/** The default branch has a new head. */
export const withHead = (facts: CourseFacts, head: NonNullable<CourseFacts['head']>): CourseFacts => ({
  ...facts,
  head,
});

/** Learners see another snapshot. */
export const withPublished = (facts: CourseFacts, published: NonNullable<CourseFacts['published']>): CourseFacts => ({
  ...facts,
  published,
  latestVersion: Math.max(facts.latestVersion, published.version),
});

/** Learners see nothing any more. */
export function withoutPublished(facts: CourseFacts): CourseFacts {
  const { published: _gone, ...rest } = facts;
  return rest;
}

/** A version was cut. */
export const withVersion = (facts: CourseFacts, number: number): CourseFacts => ({
  ...facts,
  latestVersion: Math.max(facts.latestVersion, number),
});

/** A review of a tree was opened or has come to its approval; undefined when it has ended otherwise. */
export function withReview(facts: CourseFacts, review: CourseFacts['review']): CourseFacts {
  const { review: _old, ...rest } = facts;
  return review === undefined ? rest : { ...rest, review };
}

/** Where a course stands in its life. */
export type Status = 'draft' | 'in_review' | 'approved' | 'published' | 'archived';

/**
 * The status of a course. A review counts only for exactly the head's tree: an edit takes the course back to draft.
 * An approval is used up once that very tree is published.
 */
export function statusOf(facts: CourseFacts, archived: boolean): Status {
  if (archived) return 'archived';
  const tree = facts.head?.tree;
  const isLive = facts.published !== undefined && facts.published.tree === tree;
  if (facts.review !== undefined && facts.review.tree === tree) {
    if (facts.review.state === 'in_review') return 'in_review';
    if (!isLive) return 'approved';
  }
  return facts.published === undefined ? 'draft' : 'published';
}

/** Whether staff see something that learners do not see yet. */
export function hasUnpublishedChanges(facts: CourseFacts): boolean {
  return facts.published !== undefined && facts.published.tree !== facts.head?.tree;
}
