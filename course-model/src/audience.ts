import { AUDIENCES, type Audience } from './lesson.js';

const WIDTH: Readonly<Record<Audience, number>> = { learner: 0, author: 1, grader: 2 };

/** Whom a part is for when what holds it is for `outer` and it is itself for `inner`: the narrower of the two. */
export function narrowed(outer: Audience, inner: Audience): Audience {
  return WIDTH[inner] > WIDTH[outer] ? inner : outer;
}

/** Whether a reader of one audience may see what is for another: graders see all, authors all but graders' parts, learners their own. */
export function sees(reader: Audience, part: Audience): boolean {
  return WIDTH[part] <= WIDTH[reader];
}

/** The audience that a field or an item names: absent is everybody, a word that is none of ours the narrowest. */
export function audienceIn(value: unknown): Audience {
  if (value === undefined || value === null) return 'learner';
  return AUDIENCES.find((known) => known === value) ?? 'grader';
}
