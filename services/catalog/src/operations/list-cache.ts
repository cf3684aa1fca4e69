import type { Cache } from '@coursewright/platform/cache';
import type { TxSql } from '@coursewright/platform/sql';
import type { CardKind } from '../domain/card.js';

/** Invalidates every cached list that holds cards of these kinds, once the transaction has committed. */
export function forgetLists(cache: Cache, sql: TxSql, kinds: readonly CardKind[]): void {
  if (kinds.length > 0) cache.drop(sql, kinds.map(kindTag));
}

/** Invalidates every cached list of one person, and what is known of where they are staff, once the transaction has committed. */
export function forgetPerson(cache: Cache, sql: TxSql, subject: string): void {
  cache.drop(sql, [personTag(subject)]);
}

/** The tag of all lists that hold cards of a kind. */
export const kindTag = (kind: CardKind): string => `cards:${kind}`;

/** The tag of what depends on one person's roles. */
export const personTag = (subject: string): string => `person:${subject}`;
