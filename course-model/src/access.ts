import type { Audience } from './lesson.js';

/** The roles that an actor may have on a course. */
export const ROLES = ['learner', 'author', 'reviewer', 'publisher', 'deployer', 'admin'] as const;

/** A role on a course. */
export type Role = (typeof ROLES)[number];

const STAFF: readonly Role[] = ['author', 'reviewer', 'publisher', 'deployer', 'admin'];
const WRITERS: readonly Role[] = ['author', 'admin'];

/**
 * Who may do what on a course, as one table; the owner of an object asks it with the roles from the internal token.
 * Unwritten rule of the table: a learner may nothing here, since learners read the published snapshot by another way.
 */
const TABLE = {
  /** See drafts: outline, nodes, lessons, history and diffs of any branch. */
  'course.read-draft': STAFF,
  /** See the published snapshot. */
  'course.read-published': ROLES,
  /** Change the course's tree or a body. */
  'course.write': WRITERS,
  /** Make a course or bring one in by an import; asked of platform roles. */
  'course.create': WRITERS,
  /** Members, owner, archive, deletion. */
  'course.manage': ['admin'],
  /** Read a body as it was written. */
  'body.read-raw': STAFF,
  /** Read the parts of a body that only graders may see: answers and scoring. */
  'body.read-grader': ['author', 'reviewer', 'deployer', 'admin'],
} as const satisfies Record<string, readonly Role[]>;

/** The widest audience that somebody with these roles on a course belongs to; what every reader of nodes and bodies goes by. */
export function audienceOfRoles(roles: readonly string[]): Audience {
  if (can(roles, 'body.read-grader')) return 'grader';
  return can(roles, 'course.read-draft') ? 'author' : 'learner';
}

/** Something that an actor may or may not do on a course. */
export type Action = keyof typeof TABLE;

/** All actions, for tests that walk the table. */
export const ACTIONS = Object.keys(TABLE) as Action[];

/** Whether somebody who has these roles on a course may do this there. Unknown role names allow nothing. */
export function can(roles: readonly string[], action: Action): boolean {
  const allowed: readonly string[] = TABLE[action];
  return roles.some((role) => allowed.includes(role));
}
