import { canonicalJson, isWellFormed } from '@coursewright/course-model/canonical';
import { AUDIENCES } from '@coursewright/course-model/lesson';
import { uniqueTags } from '@coursewright/course-model/tags';
import { isAtMost } from '@coursewright/course-model/text-length';
import type { FieldValue, Fields, NodeKind } from './objects.js';

/** What is wrong with a request, at which JSON pointer. */
export interface Problem {
  readonly pointer: string;
  readonly code: string;
  readonly message: string;
}

/** Limits of a node's fields: so many, names so long, strings so long (in code points), arrays so long, all together so many bytes. */
export const FIELD_LIMITS = { count: 64, name: 64, text: 20_000, title: 500, items: 200, bytes: 65_536 } as const;

const NAME = /^[A-Za-z][A-Za-z0-9_-]*$/;
const FORBIDDEN = new Set(['constructor', 'prototype']);
const LEVELS = new Set(['A1', 'A2', 'B1', 'B2', 'C1', 'C2']);
const LANGUAGE = /^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/;

type Check = (value: FieldValue) => string | null;

const text =
  (max: number): Check =>
  (value) =>
    typeof value === 'string' && isAtMost(value, max) ? null : `must be a string of at most ${max} characters`;

/** Fields that have a meaning everywhere, and what each may hold. Others may hold any scalar or list of scalars. */
const KNOWN: Readonly<Record<string, Check>> = {
  title: (value) =>
    typeof value === 'string' && value.trim() !== '' && isAtMost(value, FIELD_LIMITS.title)
      ? null
      : `must be a string of 1 to ${FIELD_LIMITS.title} characters that is not blank`,
  description: text(FIELD_LIMITS.text),
  topic: text(200),
  cefrLevel: (value) =>
    typeof value === 'string' && LEVELS.has(value) ? null : 'must be one of A1, A2, B1, B2, C1, C2',
  language: (value) =>
    typeof value === 'string' && LANGUAGE.test(value) ? null : 'must be a language tag such as "en"',
  tags: (value) =>
    Array.isArray(value) &&
    value.length <= 50 &&
    value.every((tag) => typeof tag === 'string' && tag !== '' && isAtMost(tag, 100))
      ? null
      : 'must be a list of at most 50 strings of 1 to 100 characters',
  durationMinutes: (value) =>
    typeof value === 'number' && value >= 0 && value <= 100_000 ? null : 'must be a number from 0 to 100,000',
  audience: (value) => (AUDIENCES.some((known) => known === value) ? null : `must be one of ${AUDIENCES.join(', ')}`),
  submittable: (value) => (typeof value === 'boolean' ? null : 'must be true or false'),
};

/** Fields in the form that is hashed, or what is wrong with them. */
export type FieldsOutcome =
  { readonly ok: true; readonly fields: Fields } | { readonly ok: false; readonly problems: readonly Problem[] };

/**
 * Checks fields that somebody sent (null removes one) and brings text to NFC with LF. `pointer` is where they stand in the request.
 * Arrays hold scalars only; nothing is dropped silently, but a tag that is there in another spelling already. What was stored under
 * older rules is not looked at: its hash stands.
 */
export function checkFields(sent: Readonly<Record<string, unknown>>, pointer: string): FieldsOutcome {
  const problems: Problem[] = [];
  const fields = Object.create(null) as Record<string, FieldValue>;
  const entries = Object.entries(sent);
  if (entries.length > FIELD_LIMITS.count)
    problems.push({ pointer, code: 'too_many', message: `at most ${FIELD_LIMITS.count} fields` });
  for (const [name, raw] of entries.slice(0, FIELD_LIMITS.count)) {
    const at = `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (!NAME.test(name) || name.length > FIELD_LIMITS.name || FORBIDDEN.has(name)) {
      problems.push({
        pointer: at,
        code: 'field_name',
        message: 'a field name starts with a letter and has letters, digits, _ and - (at most 64)',
      });
      continue;
    }
    const value = tidy(raw);
    const known = Object.hasOwn(KNOWN, name) ? KNOWN[name] : undefined;
    const wrong = value === undefined ? SHAPE : value === null ? null : (known?.(value) ?? limits(value));
    if (wrong !== null) problems.push({ pointer: at, code: 'field_value', message: wrong });
    else fields[name] = name === 'tags' && value !== null ? uniqueTags(value as string[]) : (value as FieldValue);
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, fields };
}

/** The fields after a patch, null values removed; or what is wrong with the whole. A node always keeps a title. */
export function patchFields(before: Fields, patch: Fields, kind: NodeKind, pointer: string): FieldsOutcome {
  const merged = Object.assign(Object.create(null), before) as Record<string, FieldValue>;
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = value;
  }
  const problems: Problem[] = [];
  if (merged.title === undefined)
    problems.push({ pointer: `${pointer}/title`, code: 'required', message: 'a node needs a title' });
  if (kind === 'course' && merged.submittable === true) {
    problems.push({
      pointer: `${pointer}/submittable`,
      code: 'field_value',
      message: 'a course itself is not submittable',
    });
  }
  if (kind === 'course' && merged.audience !== undefined && merged.audience !== 'learner') {
    problems.push({
      pointer: `${pointer}/audience`,
      code: 'field_value',
      message: 'a course itself is for everybody who may read it',
    });
  }
  if (Object.keys(merged).length > FIELD_LIMITS.count) {
    problems.push({ pointer, code: 'too_many', message: `at most ${FIELD_LIMITS.count} fields` });
  } else if (Buffer.byteLength(canonicalJson(merged)) > FIELD_LIMITS.bytes) {
    problems.push({
      pointer,
      code: 'too_large',
      message: `the fields of a node have at most ${FIELD_LIMITS.bytes} bytes`,
    });
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, fields: merged };
}

const SHAPE = 'must be text, a number, true, false, null, or a list of these; text without NUL or lone surrogates';

/** The value in its stored form; undefined when it has none. */
function tidy(value: unknown): FieldValue | undefined {
  if (typeof value === 'string') {
    if (!isWellFormed(value) || value.includes('\0')) return undefined;
    return value.replace(/\r\n?/g, '\n').normalize('NFC');
  }
  if (typeof value === 'number') {
    return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value)) ? value : undefined;
  }
  if (value === null || typeof value === 'boolean') return value;
  if (!Array.isArray(value)) return undefined;
  const items = value.map((item) => (Array.isArray(item) ? undefined : tidy(item)));
  return items.every((item) => item !== undefined) ? items : undefined;
}

function limits(value: FieldValue): string | null {
  if (typeof value === 'string')
    return isAtMost(value, FIELD_LIMITS.text) ? null : `at most ${FIELD_LIMITS.text} characters`;
  if (!Array.isArray(value)) return null;
  if (value.length > FIELD_LIMITS.items) return `at most ${FIELD_LIMITS.items} items`;
  return (value as readonly FieldValue[]).map(limits).find((wrong) => wrong !== null) ?? null;
}
