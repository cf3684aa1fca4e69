import { cutText } from '../text.js';

/** Fields of a node, read from the attributes of an OLX element. */
export interface NodeAttributes {
  fields: Record<string, unknown>;
  /** Names of attributes without a counterpart. */
  left: string[];
  staffOnly: boolean;
  /** Set by `coursewright_kind="assignment"`. */
  assignment: boolean;
  /** From `coursewright_objectives`: one per line, or parted by "|". */
  objectives: string[];
}

const MAX_FIELDS = 40;

/** OLX attributes that become fields of the same meaning. */
const KNOWN: Record<string, string> = {
  format: 'format',
  graded: 'graded',
  due: 'due',
  start: 'start',
  submittable: 'submittable',
};
/** A language tag as courses may have it. */
export const LANGUAGE = /^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/;
const OWN = 'coursewright_';
/** Attributes that say where an element stands, not what it is. */
const STRUCTURAL = new Set(['url_name', 'display_name', 'org', 'course', 'filename', 'slug', 'xblock-family']);

/**
 * The fields of a node. `display_name` is the title; `format`, `graded`, `start`, `due`, `submittable` and everything that begins
 * with `coursewright_` become fields (`coursewright_duration_minutes="15"` → `durationMinutes: 15`); the rest is named in `left`.
 */
export function readNodeAttributes(
  attributes: Readonly<Record<string, string>>,
  fallbackTitle: string,
): NodeAttributes {
  const title = (attributes['display_name'] ?? '').trim() || fallbackTitle.replaceAll('_', ' ').trim() || 'Untitled';
  const read: NodeAttributes = {
    fields: { title: cutText(title, 500) },
    left: [],
    staffOnly: isStaffOnly(attributes),
    assignment: attributes[`${OWN}kind`] === 'assignment',
    objectives: (attributes[`${OWN}objectives`] ?? '')
      .split(/[\n|]/)
      .map((text) => text.trim())
      .filter((text) => text !== ''),
  };
  for (const [name, value] of Object.entries(attributes)) {
    if (Object.keys(read.fields).length >= MAX_FIELDS) {
      read.left.push(name);
      continue;
    }
    if (STRUCTURAL.has(name) || name === `${OWN}kind` || name === `${OWN}objectives`) continue;
    const field = name.startsWith(OWN) ? camelCase(name.slice(OWN.length)) : KNOWN[name];
    if (field !== undefined && /^[a-z][A-Za-z0-9]{0,49}$/.test(field) && field !== 'title') {
      read.fields[field] = field === 'tags' ? listOf(value) : valueOf(value);
      if (fits(field, read.fields[field])) continue;
      delete read.fields[field];
      read.left.push(name);
    } else if (name !== 'visible_to_staff_only') read.left.push(name);
  }
  if (read.assignment && read.fields['submittable'] === undefined) read.fields['submittable'] = true;
  return read;
}

/**
 * Whether an element is not meant for every learner: hidden from them, or shown to some groups only. Groups have no
 * counterpart, and showing too much cannot be taken back.
 */
export function isStaffOnly(attributes: Readonly<Record<string, string>>): boolean {
  return attributes['visible_to_staff_only'] === 'true' || isForGroups(attributes);
}

/** Whether an element is shown to some groups of learners only. */
export function isForGroups(attributes: Readonly<Record<string, string>>): boolean {
  return /\[\s*[^\]\s]/.test(attributes['group_access'] ?? '');
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

function valueOf(value: string): unknown {
  if (value === 'true' || value === 'false') return value === 'true';
  return /^(0|[1-9]\d{0,8})$/.test(value) ? Number(value) : cutText(value, 2000);
}
