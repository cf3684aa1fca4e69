import { pointerToken } from './canonical.js';

/** One thing that is wrong with what somebody sent: where (JSON pointer), what (stable code), and said for people. */
export interface Problem {
  pointer: string;
  code: string;
  message: string;
}

/** Deepest nesting of arrays and objects that a document may have. */
export const MAX_JSON_DEPTH = 32;

/** After this many problems the walk stops: the list is for people, and hostile input may break a rule a million times. */
export const MAX_PROBLEMS = 100;

/**
 * Applies the text rules to a value that came as JSON. Answers a value in which every string and key is in Unicode normal
 * form C with LF line ends (parts that are so already are shared with what came), and the list of what cannot be mended: lone surrogates, NUL, keys that MongoDB or
 * JavaScript would take for something else (`$…`, `_bsontype`, `__proto__`), numbers without a canonical form, more than 30
 * combining marks in a row, nesting beyond 32. The value is only to be used when the list is empty.
 */
export function applyTextRules(value: unknown): { value: unknown; problems: Problem[] } {
  const place: Place = { path: [], problems: [] };
  const ruled = visit(value, place);
  return { value: ruled, problems: place.problems };
}

/** A text as it is stored: NFC, and LF for CRLF and CR. Of a text that `isNormalizable`; any other may take minutes. */
export function normalizeText(text: string): string {
  const lf = text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
  return lf.normalize('NFC');
}

/**
 * Whether the normal form of a text can be found in time that grows with its length: putting combining marks in order takes the
 * square of how many follow each other, 20 s for a quarter of a megabyte. No script has more than 30 (UAX 15, stream-safe text).
 */
export function isNormalizable(text: string): boolean {
  return !BEYOND_LATIN.test(text) || !LONG_RUN.test(text);
}

/** Below the first combining mark nothing has to be looked at more closely; this is most of all text. */
const BEYOND_LATIN = /[\u0300-\uffff]/;

/** Each run of marks is looked at once, from what stands before it. */
const LONG_RUN = /(?:^|\P{M})\p{M}{31}/u;

interface Place {
  /** Keys and indices that lead here; a pointer is made of them only when something is wrong. */
  readonly path: (string | number)[];
  readonly problems: Problem[];
}

function report({ path, problems }: Place, code: string, message: string): void {
  if (problems.length >= MAX_PROBLEMS) return;
  problems.push({ pointer: path.map((key) => `/${pointerToken(key)}`).join(''), code, message });
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
  if (place.path.length >= MAX_JSON_DEPTH) {
    report(place, 'too_deep', `is nested deeper than ${MAX_JSON_DEPTH} levels`);
    return null;
  }
  return Array.isArray(value) ? visitArray(value, place) : visitObject(value as Record<string, unknown>, place);
}

function visitArray(value: readonly unknown[], place: Place): readonly unknown[] {
  let copy: unknown[] | undefined;
  for (let i = 0; i < value.length; i++) {
    place.path.push(i);
    const part = visit(value[i], place);
    place.path.pop();
    if (copy === undefined && !Object.is(part, value[i])) copy = value.slice();
    if (copy !== undefined) copy[i] = part;
  }
  return copy ?? value;
}

function visitText(text: string, place: Place): string {
  if (!text.isWellFormed()) report(place, 'lone_surrogate', 'holds half of a surrogate pair');
  else if (text.includes('\0')) report(place, 'nul', 'holds the character NUL');
  else if (!isNormalizable(text)) report(place, 'too_many_marks', 'holds more than 30 combining marks in a row');
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
  const names = new Set<string>();
  const entries: [string, unknown][] = [];
  let isChanged = false;
  for (const key of Object.keys(value)) {
    place.path.push(key);
    if (isForbiddenKey(key)) report(place, 'forbidden_key', 'is a name that may not be used');
    else {
      const name = visitText(key, place);
      if (names.has(name)) report(place, 'duplicate_key', 'occurs twice in one object');
      const part = visit(value[key], place);
      isChanged ||= name !== key || !Object.is(part, value[key]);
      names.add(name);
      entries.push([name, part]);
    }
    place.path.pop();
  }
  return isChanged ? Object.fromEntries(entries) : value;
}

/** A name that MongoDB or JavaScript would take for something else. */
export function isForbiddenKey(key: string): boolean {
  return key === '__proto__' || key === '_bsontype' || key.startsWith('$');
}
