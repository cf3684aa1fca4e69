import { narrowed } from '@coursewright/course-model/audience';
import type { Audience } from '@coursewright/course-model/lesson';
import { cutText } from '../text.js';
import { isTrue, ownAudience } from './audience.js';

/** Fields of a node, read from the attributes of an OLX element. */
export interface NodeAttributes {
  fields: Record<string, unknown>;
  /** Names of attributes without a counterpart. */
  left: string[];
  /** Whom the element itself says that it is for. */
  audience: Audience;
  /** What is to be said about that: why not every learner, or what was not taken over. */
  remarks: string[];
  /** Set by `coursewright_kind="assignment"`. */
  assignment: boolean;
  /** From `coursewright_objectives`: one per line, or parted by "|". */
  objectives: string[];
}

const MAX_FIELDS = 40;
/** Characters of all fields together; versioning takes 64 KiB. */
const MAX_FIELD_LENGTH = 20_000;
const MAX_OBJECTIVES = 200;

/** OLX attributes that become fields of the same meaning. */
const KNOWN = new Set(['format', 'graded', 'due', 'start', 'submittable']);
/** A language tag as courses may have it. */
export const LANGUAGE = /^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/;
const OWN = 'coursewright_';
/** Attributes that say where an element stands, not what it is. */
const STRUCTURAL = new Set([
  ...['url_name', 'display_name', 'org', 'course', 'filename', 'slug', 'xblock-family'],
  // Read on their own.
  ...['visible_to_staff_only', 'group_access', 'hide_from_toc', `${OWN}kind`, `${OWN}objectives`, `${OWN}audience`],
]);
/** Names that no field may have, and the one whose meaning comes from elsewhere. */
const UNFIT = new Set(['title', 'constructor', 'prototype']);
const MAX_TEXT = 2000;

/**
 * The fields of a node. `display_name` is the title; `format`, `graded`, `start`, `due`, `submittable` and everything that begins
 * with `coursewright_` become fields (`coursewright_duration_minutes="15"` → `durationMinutes: 15`); the rest is named in `left`.
 */
export function readNodeAttributes(
  attributes: Readonly<Record<string, string>>,
  fallbackTitle: string,
): NodeAttributes {
  const title = (attributes['display_name'] ?? '').trim() || fallbackTitle.replaceAll('_', ' ').trim() || 'Untitled';
  const own = ownAudience(attributes);
  const read: NodeAttributes = {
    fields: { title: cutText(title, 500) },
    left: [],
    audience: own.audience,
    remarks: own.why === undefined ? [] : [own.why],
    assignment: attributes[`${OWN}kind`] === 'assignment',
    objectives: objectivesOf(attributes[`${OWN}objectives`] ?? ''),
  };
  let length = title.length;
  for (const [name, value] of Object.entries(attributes)) {
    if (STRUCTURAL.has(name)) continue;
    length += name.length + Math.min(value.length, MAX_TEXT);
    const field = fieldOf(name);
    if (field === undefined || length > MAX_FIELD_LENGTH || Object.keys(read.fields).length >= MAX_FIELDS) {
      read.left.push(cutText(name, 100));
      continue;
    }
    const converted = field === 'tags' ? listOf(value) : valueOf(value);
    if (fits(field, converted)) Object.assign(read.fields, { [field]: converted });
    else read.left.push(name);
  }
  if (isTrue(attributes['hide_from_toc']))
    read.remarks.push('is hidden from the table of contents in its source; learners see it here');
  if (read.audience !== 'learner') read.fields['audience'] = read.audience;
  if (read.assignment && read.fields['submittable'] === undefined) read.fields['submittable'] = true;
  return read;
}

/** Makes a node that was read one for a narrower audience. */
export function narrow(read: NodeAttributes, audience: Audience): void {
  read.audience = narrowed(audience, read.audience);
  if (read.audience !== 'learner') read.fields['audience'] = read.audience;
}

/** The name of the field that an attribute becomes. */
function fieldOf(name: string): string | undefined {
  const field = name.startsWith(OWN) ? camelCase(name.slice(OWN.length)) : KNOWN.has(name) ? name : undefined;
  return field !== undefined && /^[a-z][A-Za-z0-9]{0,49}$/.test(field) && !UNFIT.has(field) ? field : undefined;
}

function objectivesOf(text: string): string[] {
  const parts = text.split(/[\n|]/, MAX_OBJECTIVES * 2).map((part) => part.trim());
  return parts.filter((part) => part !== '').slice(0, MAX_OBJECTIVES);
}

/** Whether a value is one that the field may have; versioning refuses others. */
function fits(field: string, value: unknown): boolean {
  if (field === 'cefrLevel') return typeof value === 'string' && /^[ABC][12]$/.test(value);
  if (field === 'submittable' || field === 'graded') return typeof value === 'boolean';
  if (field === 'topic') return typeof value === 'string' && value.length <= 200;
  if (field === 'tags')
    return Array.isArray(value) && value.length <= 50 && value.every((tag) => String(tag).length <= 100);
  if (field === 'durationMinutes') return typeof value === 'number' && value <= 100_000;
  if (field === 'language') return typeof value === 'string' && LANGUAGE.test(value);
  return true;
}

function camelCase(name: string): string {
  return name.replace(/[_-]+([A-Za-z0-9])/g, (_match, letter: string) => letter.toUpperCase());
}

function listOf(value: string): string[] {
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** Attributes are JSON where they can be; Python's way to write a boolean is found too. */
function valueOf(value: string): unknown {
  if (/^(true|false)$/i.test(value)) return value.toLowerCase() === 'true';
  return /^(0|[1-9]\d{0,8})$/.test(value) ? Number(value) : cutText(value, MAX_TEXT);
}
