import type { TxSql } from '@coursewright/platform/sql';
import { cardsOf, type Card, type CardKind } from '../domain/card.js';
import type { CourseFacts } from '../domain/facts.js';
import { forgetLists } from './list-cache.js';
import type { Deps } from './ports.js';

type ProjectDeps = Pick<Deps, 'projection' | 'cache'>;

/**
 * Changes what is known of a course and makes its cards follow, in the caller's transaction.
 * The only writer of cards: events and registry changes of one course wait for each other here, whichever comes first.
 */
export async function projectFacts(
  deps: ProjectDeps,
  sql: TxSql,
  courseId: string,
  change: (facts: CourseFacts) => CourseFacts,
): Promise<void> {
  await deps.projection.lock(sql, courseId);
  const { course, facts: before } = await deps.projection.read(sql, courseId);
  const facts = change(before);
  const old = new Map(cardsOf(course, before).map((card) => [card.kind, JSON.stringify(card)]));
  const cards = cardsOf(course, facts);
  const changed = cards.filter((card) => old.get(card.kind) !== JSON.stringify(card));
  await write({ deps, sql, courseId }, { facts, changed, cards, gone: [...old.keys()] });
}

/** Makes what is known of a course what a source's state says, and writes its cards whether they seem to differ or not: they may be damaged. */
export async function projectState(
  deps: ProjectDeps,
  sql: TxSql,
  courseId: string,
  change: (facts: CourseFacts) => CourseFacts,
): Promise<void> {
  await deps.projection.lock(sql, courseId);
  const { course, facts: before } = await deps.projection.read(sql, courseId);
  const facts = change(before);
  const cards = cardsOf(course, facts);
  await write({ deps, sql, courseId }, { facts, changed: cards, cards, gone: ['draft', 'public'] });
}

/** Makes the cards of a course follow its registry row, which the caller's transaction has just written. */
export async function projectRegistry(deps: ProjectDeps, sql: TxSql, courseId: string): Promise<void> {
  await projectState(deps, sql, courseId, (facts) => facts);
}

interface Place {
  readonly deps: ProjectDeps;
  readonly sql: TxSql;
  readonly courseId: string;
}

interface Written {
  readonly facts: CourseFacts;
  readonly changed: readonly Card[];
  readonly cards: readonly Card[];
  /** Kinds that were there before. */
  readonly gone: readonly CardKind[];
}

async function write(place: Place, written: Written): Promise<void> {
  const kinds = written.cards.map((card) => card.kind);
  await place.deps.projection.write(place.sql, place.courseId, { ...written, kinds });
  const touched = new Set([
    ...written.changed.map((card) => card.kind),
    ...written.gone.filter((kind) => !kinds.includes(kind)),
  ]);
  forgetLists(place.deps.cache, place.sql, [...touched]);
}
