import { hash } from 'node:crypto';
import { AppError } from '@coursewright/platform/errors';

/**
 * The precondition of a write, taken apart: any existing thing, or the dotted parts of the entity tag the client sent.
 * Which part counts is the route's business. `others` are further tags of the same header.
 */
export type Match =
  { readonly any: true } | { readonly any: false; readonly parts: readonly string[]; readonly others: readonly Tag[] };

type Tag = readonly string[];

const tagForm = /^(?:W\/)?"([\x21\x23-\x7e\x80-\xff]*)"$/;
const mostTags = 20;

/** The entity tag of a representation: its parts, then a short hash of the bytes that are sent. */
export function etagOf(parts: readonly string[], json: string): string {
  return `"${[...parts, hash('sha256', json, 'base64url').slice(0, 16)].join('.')}"`;
}

/**
 * Reads If-Match or If-None-Match: `*`, or the opaque tags without quotes; a weak form counts as its strong one.
 * Throws invalid_argument INVALID_REQUEST with the header's pointer.
 */
export function readTags(value: string, header: string): '*' | readonly string[] {
  if (value.trim() === '*') return '*';
  const tags = value.split(',').map((one) => tagForm.exec(one.trim())?.[1]);
  if (tags.length > mostTags || tags.some((tag) => tag === undefined)) {
    const fields = [
      { pointer: `/header/${header}`, code: 'etag', message: 'must be * or entity tags as they were sent' },
    ];
    throw new AppError('invalid_argument', 'INVALID_REQUEST', {}, { message: 'The request is not valid', fields });
  }
  return tags as string[];
}

/** Tells whether a client already has what would be sent. */
export function isKnown(ifNoneMatch: string, etag: string): boolean {
  const tags = readTags(ifNoneMatch, 'if-none-match');
  return tags === '*' || tags.includes(etag.slice(1, -1));
}

/** A part of the precondition, as the expectation that the owner of the thing checks under its lock; `*` stands for existing. */
export function expected(match: Match, part: number): string {
  // An empty part would mean "nothing there" to the owner, which is not what a mangled tag says.
  return match.any ? '*' : match.parts[part] || '-';
}

/** Tells whether a part that was read just now is the one that the client expects. */
export function isExpected(match: Match, part: number, present: string): boolean {
  return match.any || match.parts[part] === present;
}

/** The precondition with that one of its tags that agrees with most parts of what is there now: the owner checks a single one. */
export function closest(match: Match, present: Tag): Match {
  if (match.any) return match;
  const agreeing = (tag: Tag): number => {
    const at = present.findIndex((part, i) => tag[i] !== part);
    return at === -1 ? present.length : at;
  };
  const tags = [match.parts, ...match.others];
  const best = tags.reduce((one, other) => (agreeing(other) > agreeing(one) ? other : one));
  return { any: false, parts: best, others: [] };
}
