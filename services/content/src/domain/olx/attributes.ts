import { narrowed } from '@coursewright/course-model/audience';
import type { Audience } from '@coursewright/course-model/lesson';
import { uniqueTags } from '@coursewright/course-model/tags';
import { codePoints, firstPoints, isAtMost } from '@coursewright/course-model/text-length';
import { applyTextRules, isNormalizable } from '@coursewright/course-model/text-rules';
import { shortText } from '../text.js';
import { ownAudience } from './audience.js';
import { answerOf, freeValue, isTrue, jsonOf, listValue, textValue, timeValue } from './values.js';

/** Fields of a node, read from the attributes of an OLX element. */
export interface NodeAttributes {
  fields: Record<string, unknown>;
  /** Attributes without a counterpart, as they were written. */
  left: Map<string, string>;
  /** Attributes that the node answers for, kept beside it because it cannot give them back. */
  held: Map<string, string>;
  /** Whom the element itself says that it is for. */
  audience: Audience;
  /** What is to be said about it: why not every learner, or what was not taken over. */
  remarks: string[];
  /** Set by `coursewright_kind="assignment"`. */
  assignment: boolean;
  /** From `coursewright_objectives`: one per line, or parted by "|", or a JSON list. */
  objectives: string[];
}

/** Code points of a title. */
export const MAX_TITLE = 500;
const MAX_FIELDS = 40;
/** Code points of one field, and bytes of all fields but the description; versioning takes 20,000 and 64 KiB. */
const MAX_TEXT = 10_000;
const MAX_ALL_BYTES = 30_000;
const MAX_LIST = 200;
const MAX_OBJECTIVES = 200;

/** A language tag as courses may have it. */
export const LANGUAGE = /^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/;
const OWN = 'coursewright_';
const OBJECTIVES = `${OWN}objectives`;
/** Attributes that say where an element stands, not what it is. */
const STRUCTURAL = new Set([
  ...['url_name', 'display_name', 'org', 'course', 'filename', 'slug', 'name', 'xblock-family'],
  // Read on their own.
  ...['visible_to_staff_only', 'group_access', 'hide_from_toc', `${OWN}kind`, OBJECTIVES, `${OWN}audience`],
]);
/** Names that no field may have, and the one whose meaning comes from elsewhere. */
const UNFIT = new Set(['title', 'constructor', 'prototype', 'audience']);

/** How the values of fields are read that have a type; undefined for one that says nothing, null for one that cannot be. */
const TYPED: Readonly<Record<string, (text: string) => unknown>> = {
  format: textValue,
  start: timeValue,
  due: timeValue,
  graded: booleanOf,
  submittable: booleanOf,
  topic: (text) => fitting(textValue(text), (value) => isAtMost(value, 200)),
  description: textValue,
  language: (text) => fitting(textValue(text), (value) => LANGUAGE.test(value)),
  cefrLevel: (text) => fitting(textValue(text), (value) => /^[ABC][12]$/.test(value)),
  tags: (text) => fitting(uniqueTagsOf(text), (tags) => tags.length <= 50 && tags.every((tag) => isAtMost(tag, 100))),
  durationMinutes: (text) => {
    const value = freeValue(text);
    return value === undefined ? value : typeof value === 'number' && value >= 0 && value <= 100_000 ? value : null;
  },
};
/** OLX attributes that become fields of the same meaning. */
const KNOWN = new Set(['format', 'graded', 'due', 'start', 'submittable']);

/**
 * The fields of a node. `display_name` is the title; `format`, `graded`, `start`, `due`, `submittable` and everything that begins
 * with `coursewright_` become fields (`coursewright_duration_minutes="15"` → `durationMinutes: 15`); the rest is in `left`. A
 * known attribute that says nothing (`null`) is neither.
 */
export function readNodeAttributes(
  attributes: Readonly<Record<string, string>>,
  fallbackTitle: string,
): NodeAttributes {
  const own = ownAudience(attributes);
  const read: NodeAttributes = {
    fields: {},
    left: new Map(),
    held: new Map(),
    audience: own.audience,
    remarks: own.why === undefined ? [] : [own.why],
    assignment: textValue(attributes[`${OWN}kind`]) === 'assignment',
    objectives: [],
  };
  readObjectives(read, attributes[OBJECTIVES]);
  readTitle(read, attributes['display_name'], fallbackTitle);
  let bytes = 0;
  for (const [name, text] of Object.entries(attributes)) {
    if (STRUCTURAL.has(name)) continue;
    const field = fieldOf(name);
    const value = field === undefined ? null : valueFor(field, text);
    if (value === undefined) continue;
    const size = Buffer.byteLength(name) + Buffer.byteLength(text);
    const isRoom = bytes + size <= MAX_ALL_BYTES && Object.keys(read.fields).length < MAX_FIELDS;
    if (field === undefined || value === null || !isRoom) read.left.set(name, text);
    else {
      Object.assign(read.fields, { [field]: value });
      bytes += size;
    }
  }
  // What makes a part the authors' is kept as well: an export has to give back which groups it was for.
  for (const name of ['visible_to_staff_only', 'group_access'] as const) {
    const text = attributes[name];
    if (own.audience !== 'learner' && text !== undefined && answerOf(text) === 'unclear') read.held.set(name, text);
  }
  if (isTrue(attributes['hide_from_toc'])) {
    read.held.set('hide_from_toc', attributes['hide_from_toc'] ?? '');
    read.remarks.push('is hidden from the table of contents in its source; learners see it here');
  }
  if (read.audience !== 'learner') read.fields['audience'] = read.audience;
  if (read.assignment && read.fields['submittable'] === undefined) read.fields['submittable'] = true;
  return read;
}

/** Makes a node that was read one for a narrower audience. */
export function narrow(read: NodeAttributes, audience: Audience): void {
  read.audience = narrowed(audience, read.audience);
  if (read.audience !== 'learner') read.fields['audience'] = read.audience;
}

/** The title of an element, or undefined when it has none of its own. */
export function titleOf(attributes: Readonly<Record<string, string>>): string | undefined {
  return textValue(attributes['display_name']);
}

/** Says of attributes how they were written, each shortened; whole they are kept. */
export function namedValues(attributes: ReadonlyMap<string, string>): string {
  return [...attributes].map(([name, value]) => `${shortText(name, 100)}="${shortText(value, 100)}"`).join(', ');
}

function readTitle(read: NodeAttributes, attribute: string | undefined, fallback: string): void {
  const own = textValue(attribute);
  if (own !== undefined && !isNormalizable(own)) {
    read.held.set('display_name', own);
    read.remarks.push('has a title with more than 30 combining marks in a row, which no text here may have');
    return readTitle(read, undefined, fallback);
  }
  const name = isNormalizable(fallback) ? fallback.replaceAll('_', ' ').trim() : '';
  const title = own ?? (name || 'Untitled');
  read.fields['title'] = firstPoints(title, MAX_TITLE);
  if (isAtMost(title, MAX_TITLE)) return;
  read.held.set('display_name', title);
  read.remarks.push(`has a title of ${codePoints(title)} characters; the first ${MAX_TITLE} are its title here`);
}

/** The name of the field that an attribute becomes. */
function fieldOf(name: string): string | undefined {
  const field = name.startsWith(OWN) ? camelCase(name.slice(OWN.length)) : KNOWN.has(name) ? name : undefined;
  return field !== undefined && /^[a-z][A-Za-z0-9]{0,49}$/.test(field) && !UNFIT.has(field) ? field : undefined;
}

function valueFor(field: string, text: string): unknown {
  const value = Object.hasOwn(TYPED, field) ? TYPED[field]?.(text) : freeValue(text);
  if (value !== undefined && applyTextRules(value).problems.length > 0) return null;
  const fits = (part: unknown): boolean => typeof part !== 'string' || isAtMost(part, MAX_TEXT);
  if (Array.isArray(value)) return value.length <= MAX_LIST && value.every(fits) ? (value as unknown[]) : null;
  return fits(value) ? value : null;
}

function booleanOf(text: string): boolean | undefined | null {
  if (textValue(text) === undefined) return undefined;
  const answer = answerOf(text);
  return answer === 'unclear' ? null : answer === 'yes';
}

function uniqueTagsOf(text: string): string[] | undefined {
  const tags = listValue(text);
  return tags && uniqueTags(tags);
}

function fitting<T>(value: T | undefined, fits: (value: T) => boolean): T | undefined | null {
  return value === undefined || fits(value) ? value : null;
}

function readObjectives(read: NodeAttributes, attribute = ''): void {
  const list = jsonOf(attribute);
  const isList = Array.isArray(list) && list.every((part) => typeof part === 'string');
  const parts = isList ? list : (textValue(attribute) ?? '').split(/[\n|]/);
  const all = parts.map((part) => part.trim()).filter((part) => part !== '');
  read.objectives = all.slice(0, MAX_OBJECTIVES);
  if (all.length <= MAX_OBJECTIVES) return;
  read.held.set(OBJECTIVES, attribute);
  read.remarks.push(`has ${all.length} objectives; the first ${MAX_OBJECTIVES} are those of the lesson here`);
}

/**
 * Takes from a course what only its parts can have: objectives and `submittable` are kept beside it. A course is a course for somebody: whom
 * it is not for is said of each of its units instead.
 */
export function asCourse(read: NodeAttributes, attributes: Readonly<Record<string, string>>): void {
  withoutObjectives(read, attributes);
  delete read.fields['audience'];
  if (read.fields['submittable'] === undefined) return;
  delete read.fields['submittable'];
  read.left.set('submittable', attributes['submittable'] ?? attributes[`${OWN}kind`] ?? '');
}

/** Says of objectives that stand where none can be that they are kept. */
export function withoutObjectives(read: NodeAttributes, attributes: Readonly<Record<string, string>>): void {
  if (read.objectives.length > 0) read.left.set(OBJECTIVES, attributes[OBJECTIVES] ?? '');
}

function camelCase(name: string): string {
  return name.replace(/[_-]+([A-Za-z0-9])/g, (_match, letter: string) => letter.toUpperCase());
}
