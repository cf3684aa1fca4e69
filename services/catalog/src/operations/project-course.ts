import type { TxSql } from '@coursewright/platform/sql';
import { cardsOf, type Card, type CardKind } from '../domain/card.js';
import type { CourseFacts } from '../domain/facts.js';
import { forgetLists } from './list-cache.js';
import type { Deps, Known } from './ports.js';

export type ProjectDeps = Pick<Deps, 'projection' | 'cache'>;

/** What becomes of what is known of a course. */
export interface FactsChange {
  readonly courseId: string;
  readonly change: (facts: CourseFacts) => CourseFacts;
}

/**
 * Changes what is known of courses, each named once, and makes their cards follow, in the caller's transaction.
 * The only writer of cards: events and registry changes of one course wait for each other here, whichever comes first.
 */
export async function projectFacts(deps: ProjectDeps, sql: TxSql, changes: readonly FactsChange[]): Promise<void> {
  const known = await lockAndRead(deps, sql, changes);
  const written = changes.map(({ courseId, change }): Written => {
    const { course, facts: before } = known.get(courseId)!;
    const facts = change(before);
    const old = new Map(cardsOf(course, before).map((card) => [card.kind, JSON.stringify(card)]));
    const cards = cardsOf(course, facts);
    const changed = cards.filter((card) => old.get(card.kind) !== JSON.stringify(card));
    return { courseId, facts, changed, cards, before: [...old.keys()] };
  });
  await write(deps, sql, written);
}

/** Makes what is known of a course what a source's state says, and writes its cards whether they seem to differ or not: they may be damaged. */
export async function projectState(deps: ProjectDeps, sql: TxSql, { courseId, change }: FactsChange): Promise<void> {
  const known = await lockAndRead(deps, sql, [{ courseId }]);
  const { course, facts: before } = known.get(courseId)!;
  const facts = change(before);
  const cards = cardsOf(course, facts);
  await write(deps, sql, [{ courseId, facts, changed: cards, cards, before: ['draft', 'public'] }]);
}

/** Makes the cards of a course follow its registry row, which the caller's transaction has just written. */
export async function projectRegistry(deps: ProjectDeps, sql: TxSql, courseId: string): Promise<void> {
  await projectState(deps, sql, { courseId, change: (facts) => facts });
}

async function lockAndRead(
  { projection }: ProjectDeps,
  sql: TxSql,
  courses: readonly Pick<FactsChange, 'courseId'>[],
): Promise<ReadonlyMap<string, Known>> {
  const ids = courses.map(({ courseId }) => courseId);
  await projection.lock(sql, ids);
  return projection.read(sql, ids);
}

interface Written {
  readonly courseId: string;
  readonly facts: CourseFacts;
  readonly changed: readonly Card[];
  readonly cards: readonly Card[];
  /** Kinds that were there before. */
  readonly before: readonly CardKind[];
}

async function write({ projection, cache }: ProjectDeps, sql: TxSql, written: readonly Written[]): Promise<void> {
  const kindsOf = ({ cards }: Written): CardKind[] => cards.map((card) => card.kind);
  await projection.write(
    sql,
    written.map((one) => ({ ...one, kinds: kindsOf(one) })),
  );
  const touched = written.flatMap((one) => [
    ...one.changed.map((card) => card.kind),
    ...one.before.filter((kind) => !kindsOf(one).includes(kind)),
  ]);
  forgetLists(cache, sql, [...new Set(touched)]);
}
