import type { Cache } from '@coursewright/platform/cache';
import type { CardKind } from '../domain/card.js';

/** Invalidates every cached list that holds cards of these kinds. */
export async function forgetLists(cache: Cache, kinds: readonly CardKind[]): Promise<void> {
  if (kinds.length > 0) await cache.drop(kinds.map(kindTag));
}

/** Invalidates every cached list of one person, and what is known of where he is staff. */
export async function forgetPerson(cache: Cache, subject: string): Promise<void> {
  await cache.drop([personTag(subject)]);
}

/** The tag of all lists that hold cards of a kind. */
export const kindTag = (kind: CardKind): string => `cards:${kind}`;

/** The tag of what depends on one person's roles. */
export const personTag = (subject: string): string => `person:${subject}`;
