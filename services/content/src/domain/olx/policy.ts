import { isWellFormed } from '@coursewright/course-model/canonical';
import { blockKey } from './block-key.js';
import type { CourseFiles } from './course-files.js';

/** What a course's policy says of its parts: attributes by `type/url_name`, which go over those of the elements. */
export interface Policy {
  attributesOf(key: string): Readonly<Record<string, string>> | undefined;
  /** The course has a policy that cannot be read: whom its parts are for is unclear. */
  readonly isUnclear: boolean;
}

/** A policy is taken apart in one go. */
const MAX_BYTES = 2 * 1024 * 1024;
/** Attributes that say whom a part is for: not to be dropped when they cannot be read. */
const AUDIENCE = new Set(['visible_to_staff_only', 'group_access', 'coursewright_audience']);
const UNREADABLE = 'unreadable';

/**
 * Reads the policy of a run: `policies/<run>/policy.json`, or `policies/<run>.json` as courses had it before 2013. All of it goes
 * over the elements it names, values typed as those of attributes are; the file itself is kept, for what it says of anything else.
 */
export async function readPolicy(files: CourseFiles, run: string | undefined): Promise<Policy> {
  const name = run ?? 'course';
  for (const path of [`policies/${name}/policy.json`, `policies/${name}.json`]) {
    if (files.size(path) === undefined) continue;
    const isLarge = (files.size(path) ?? 0) > MAX_BYTES;
    const text = isLarge ? undefined : await files.text(path);
    const entries = text === undefined ? undefined : recordOf(text);
    await files.keepOwn(path, entries === undefined ? (isLarge ? TOO_LARGE : UNREADABLE_FILE) : TAKEN);
    return entries === undefined ? UNCLEAR : policyOf(entries);
  }
  return NONE;
}

const TAKEN = 'holds settings of the course and its parts; what there are places for is taken over, the file is kept';
const UNREADABLE_FILE =
  'is not readable as JSON; it may say whom parts are for, so that all of them are for authors; it is kept';
const TOO_LARGE = `has more than ${MAX_BYTES} bytes and is not read; it may say whom parts are for, so that all of them are for authors; it is kept`;

const NONE: Policy = { attributesOf: () => undefined, isUnclear: false };
const UNCLEAR: Policy = { attributesOf: () => undefined, isUnclear: true };

function policyOf(entries: Readonly<Record<string, unknown>>): Policy {
  const byKey = new Map(Object.entries(entries).map(([key, value]) => [blockKey(key), value]));
  return {
    isUnclear: false,
    attributesOf(key) {
      const attributes = byKey.get(key);
      return isRecord(attributes) ? Object.fromEntries(Object.entries(attributes).flatMap(attributeOf)) : undefined;
    },
  };
}

/** A policy's value as an attribute. JSON can say what no text here may hold: half surrogate pairs and NUL. */
function attributeOf([name, value]: [string, unknown]): [string, string][] {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (isWellFormed(text) && !text.includes('\0')) return [[name, text]];
  return AUDIENCE.has(name) ? [[name, UNREADABLE]] : [];
}

function recordOf(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
