import { isWellFormed, pointerToken } from './canonical.js';

/** One thing that is wrong with what somebody sent: where (JSON pointer), what (stable code), and said for people. */
export interface Problem {
  pointer: string;
  code: string;
  message: string;
}

/** Deepest nesting of arrays and objects that a document may have. */
export const MAX_JSON_DEPTH = 32;

/** After this many problems the walk stops: the list is for people, and hostile input may break a rule a million times. */
const MAX_PROBLEMS = 100;

/**
 * More combining marks in a row than any script has (Unicode's stream-safe text, UAX 15, knows no more either). Putting them into
 * normal form takes the square of their number: a quarter of a megabyte of them 20 s.
 */
const TOO_MANY_MARKS = /(?:^|\P{M})\p{M}{31}/u;

/**
 * Applies the text rules to a value that came as JSON. Answers a deep copy in which every string and key is in Unicode
 * normal form C with LF line ends, and the list of what cannot be mended: lone surrogates, NUL, more than 30 combining marks in a row, keys that MongoDB or
 * JavaScript would take for something else (`$…`, `_bsontype`, `__proto__`), numbers without a canonical form, nesting
 * beyond 32. The copy is only to be used when the list is empty.
 */
export function applyTextRules(value: unknown): { value: unknown; problems: Problem[] } {
  const problems: Problem[] = [];
  const copy = visit(value, { pointer: '', depth: 1, problems });
  return { value: copy, problems };
}

/** A text as it is stored: NFC, and LF for CRLF and CR. */
export function normalizeText(text: string): string {
  const lf = text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
  return lf.normalize('NFC');
}

interface Place {
  pointer: string;
  depth: number;
  problems: Problem[];
}

function report(place: Place, code: string, message: string): void {
  if (place.problems.length < MAX_PROBLEMS) place.problems.push({ pointer: place.pointer, code, message });
}

function visit(value: unknown, place: Place): unknown {
  if (place.problems.length >= MAX_PROBLEMS) return null;
  if (typeof value === 'string') return visitText(value, place);
  if (typeof value === 'number') return visitNumber(value, place);
  if (typeof value === 'boolean' || value === null) return value;
  if (typeof value !== 'object') {
    report(place, 'not_json', 'has no JSON form');
    return null;
  }
  if (place.depth > MAX_JSON_DEPTH) {
    report(place, 'too_deep', `is nested deeper than ${MAX_JSON_DEPTH} levels`);
    return null;
  }
  if (Array.isArray(value)) {
    return value.map((part: unknown, i) =>
      visit(part, { pointer: `${place.pointer}/${i}`, depth: place.depth + 1, problems: place.problems }),
    );
  }
  return visitObject(value as Record<string, unknown>, place);
}

function visitText(text: string, place: Place): string {
  if (!isWellFormed(text)) report(place, 'lone_surrogate', 'holds half of a surrogate pair');
  else if (text.includes('\0')) report(place, 'nul', 'holds the character NUL');
  else if (TOO_MANY_MARKS.test(text)) report(place, 'too_many_marks', 'has more than 30 combining marks in a row');
  else return normalizeText(text);
  return '';
}

function visitNumber(value: number, place: Place): number {
  if (!Number.isFinite(value)) report(place, 'not_finite', 'is beyond the range of numbers');
  else if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    report(place, 'unsafe_integer', 'is an integer beyond 2^53-1; send it as a string');
  } else return Object.is(value, -0) ? 0 : value;
  return 0;
}

function visitObject(value: Record<string, unknown>, place: Place): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const child = { ...place, pointer: `${place.pointer}/${pointerToken(key)}`, depth: place.depth + 1 };
    if (key === '__proto__' || key === '_bsontype' || key.startsWith('$')) {
      report(child, 'forbidden_key', 'is a name that may not be used');
      continue;
    }
    const name = visitText(key, child);
    if (Object.hasOwn(copy, name)) report(child, 'duplicate_key', 'occurs twice in one object');
    copy[name] = visit(value[key], child);
  }
  return copy;
}
