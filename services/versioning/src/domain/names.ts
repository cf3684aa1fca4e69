import { isHash } from './ops.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9][A-Za-z0-9._-]*)*$/;
const HEX_HASH = /^[0-9a-f]{7,64}$/;

/** Prefix of hidden branches, where imports write. */
export const HIDDEN = 'import/';
/** The name that means the published commit. */
export const PUBLISHED = 'published';

/** Whether a branch of this name is hidden: it has no events and no place in lists, and the log has its end alone. */
export function isHidden(name: string): boolean {
  return name.startsWith(HIDDEN);
}

/**
 * Why a name cannot be given to a branch or a tag, or null. Letters, digits, `.`, `_`, `-` and `/` between parts, at most 100
 * characters; not all digits (that is a version), nothing that reads as a hash, not `published`, nothing under `import/`.
 */
export function nameProblem(name: string): string | null {
  if (name.length > 100 || !NAME.test(name))
    return 'letters, digits, ".", "_", "-" and "/" between parts, at most 100 characters';
  if (name.includes('..') || name.endsWith('.') || name.endsWith('.lock'))
    return 'no "..", no "." or ".lock" at the end';
  if (/^\d+$/.test(name)) return 'digits alone name a version';
  if (isHash(name) || (HEX_HASH.test(name) && /\d/.test(name))) return 'this reads as a hash';
  if (name.toLowerCase() === PUBLISHED || isHidden(name.toLowerCase())) return 'this name is reserved';
  return null;
}

/** What a ref may be, in the order it is tried: a version's number, a commit's hash, a name. */
export type RefForm =
  { readonly form: 'version'; readonly number: number } | { readonly form: 'commit' | 'name'; readonly text: string };

/** Reads a ref; empty means the default branch and has no form. */
export function parseRef(ref: string): RefForm {
  if (/^\d{1,9}$/.test(ref)) return { form: 'version', number: Number(ref) };
  return { form: isHash(ref) ? 'commit' : 'name', text: ref };
}
