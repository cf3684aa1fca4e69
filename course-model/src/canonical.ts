import { createHash } from 'node:crypto';

/** What makes a value impossible to write as canonical JSON. */
export type CanonicalProblem =
  'not_json' | 'not_finite' | 'unsafe_integer' | 'lone_surrogate' | 'forbidden_key' | 'too_deep' | 'sparse_array';

/**
 * A value that has no canonical form. `pointer` is the JSON pointer (RFC 6901) of the offending part. It is thrown for
 * values made by a program; what people send is checked beforehand (see text-rules.ts) and answered with a list.
 */
export class CanonicalFormError extends Error {
  override readonly name = 'CanonicalFormError';
  constructor(
    readonly code: CanonicalProblem,
    readonly pointer: string,
  ) {
    super(`no canonical JSON: ${code} at "${pointer}"`);
  }
}

/** Nesting beyond this is refused; far above any document (32) and below what the stack bears. */
const MAX_DEPTH = 256;

/** One reference token of a JSON pointer, escaped as RFC 6901 says. */
export function pointerToken(key: string | number): string {
  return typeof key === 'number' ? String(key) : key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/**
 * The canonical JSON of a value: RFC 8785 (keys sorted by UTF-16 code units, numbers as ECMAScript writes them, no white
 * space). Stricter than the RFC by I-JSON's rules: non-finite numbers, integers beyond 2^53-1, lone surrogates, `undefined`,
 * dates, BigInts, functions, sparse arrays, objects with a prototype of their own and a key `__proto__` are refused.
 *
 * @throws CanonicalFormError with the pointer of the first offence
 */
export function canonicalJson(value: unknown): string {
  return canonicalForm(value).json;
}

/**
 * As `canonicalJson`, with the number of values in it (each string, number, array … and each key counts one): what it costs to
 * take the text apart again grows with them more than with its bytes.
 */
export function canonicalForm(value: unknown): { json: string; values: number } {
  const writing: Writing = { path: [], values: 0 };
  const json = write(value, writing);
  return { json, values: writing.values };
}

/**
 * The hash of an object of the repository: sha-256 over `"cm:<kind>:<version>\n"` and the canonical JSON; 32 bytes. The
 * prefix keeps kinds apart, so that no object of one kind can pass for one of another.
 *
 * @throws CanonicalFormError when the value has no canonical form
 */
export function hashObject(kind: string, version: number, value: unknown): Buffer {
  return hashCanonical(kind, version, canonicalJson(value));
}

/** As `hashObject`, for a caller that has the canonical JSON at hand already, as text or as its bytes in UTF-8. */
export function hashCanonical(kind: string, version: number, canonical: string | Uint8Array): Buffer {
  const bytes = typeof canonical === 'string' ? Buffer.from(canonical) : canonical;
  return createHash('sha256').update(`cm:${kind}:${version}\n`).update(bytes).digest();
}

interface Writing {
  /** Keys and indices that lead to the value being written; a pointer is made of them only when something is wrong. */
  readonly path: (string | number)[];
  values: number;
}

function offence(code: CanonicalProblem, { path }: Writing): CanonicalFormError {
  return new CanonicalFormError(code, path.map((key) => `/${pointerToken(key)}`).join(''));
}

function write(value: unknown, writing: Writing): string {
  writing.values++;
  switch (typeof value) {
    case 'string':
      return writeString(value, writing);
    case 'number':
      return writeNumber(value, writing);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (writing.path.length >= MAX_DEPTH) throw offence('too_deep', writing);
      return Array.isArray(value) ? writeArray(value, writing) : writeObject(value, writing);
    case 'undefined':
    case 'bigint':
    case 'symbol':
    case 'function':
      throw offence('not_json', writing);
  }
}

function writeString(value: string, writing: Writing): string {
  // JSON.stringify would escape a lone surrogate, but UTF-8 turns every one of them into U+FFFD elsewhere: two contents, one hash.
  if (!value.isWellFormed()) throw offence('lone_surrogate', writing);
  return JSON.stringify(value);
}

function writeNumber(value: number, writing: Writing): string {
  if (!Number.isFinite(value)) throw offence('not_finite', writing);
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) throw offence('unsafe_integer', writing);
  return JSON.stringify(value);
}

function writeArray(value: readonly unknown[], writing: Writing): string {
  let out = '[';
  for (let i = 0; i < value.length; i++) {
    writing.path.push(i);
    if (!(i in value)) throw offence('sparse_array', writing);
    if (i > 0) out += ',';
    out += write(value[i], writing);
    writing.path.pop();
  }
  return out + ']';
}

function writeObject(value: object, writing: Writing): string {
  if (!isPlain(value)) throw offence('not_json', writing);
  const record = value as Record<string, unknown>;
  let out = '{';
  for (const key of Object.keys(record).sort()) {
    writing.path.push(key);
    writing.values++;
    if (key === '__proto__') throw offence('forbidden_key', writing);
    if (out.length > 1) out += ',';
    out += writeString(key, writing) + ':' + write(record[key], writing);
    writing.path.pop();
  }
  return out + '}';
}

/** Plain by shape, not by identity: objects made in another realm (a worker, a test's sandbox) are plain too. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Whether a string holds no lone surrogate. */
export function isWellFormed(value: string): boolean {
  return value.isWellFormed();
}
