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
  return write(value, '', 0);
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

/** As `hashObject`, for a caller that has the canonical JSON at hand already. */
export function hashCanonical(kind: string, version: number, canonical: string): Buffer {
  return createHash('sha256').update(`cm:${kind}:${version}\n`).update(canonical, 'utf8').digest();
}

function write(value: unknown, pointer: string, depth: number): string {
  switch (typeof value) {
    case 'string':
      return writeString(value, pointer);
    case 'number':
      return writeNumber(value, pointer);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (depth >= MAX_DEPTH) throw new CanonicalFormError('too_deep', pointer);
      return Array.isArray(value) ? writeArray(value, pointer, depth) : writeObject(value, pointer, depth);
    case 'undefined':
    case 'bigint':
    case 'symbol':
    case 'function':
      throw new CanonicalFormError('not_json', pointer);
  }
}

function writeString(value: string, pointer: string): string {
  // JSON.stringify would escape a lone surrogate, but UTF-8 turns every one of them into U+FFFD elsewhere: two contents, one hash.
  if (!isWellFormed(value)) throw new CanonicalFormError('lone_surrogate', pointer);
  return JSON.stringify(value);
}

function writeNumber(value: number, pointer: string): string {
  if (!Number.isFinite(value)) throw new CanonicalFormError('not_finite', pointer);
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) throw new CanonicalFormError('unsafe_integer', pointer);
  return JSON.stringify(value);
}

function writeArray(value: readonly unknown[], pointer: string, depth: number): string {
  let out = '[';
  for (let i = 0; i < value.length; i++) {
    if (!(i in value)) throw new CanonicalFormError('sparse_array', `${pointer}/${i}`);
    if (i > 0) out += ',';
    out += write(value[i], `${pointer}/${i}`, depth + 1);
  }
  return out + ']';
}

function writeObject(value: object, pointer: string, depth: number): string {
  if (!isPlain(value)) throw new CanonicalFormError('not_json', pointer);
  const record = value as Record<string, unknown>;
  let out = '{';
  for (const key of Object.keys(record).sort()) {
    const at = `${pointer}/${pointerToken(key)}`;
    if (key === '__proto__') throw new CanonicalFormError('forbidden_key', at);
    if (out.length > 1) out += ',';
    out += writeString(key, at) + ':' + write(record[key], at, depth + 1);
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
  return (
    !/[\ud800-\udfff]/.test(value) ||
    !/(?:[\ud800-\udbff](?![\udc00-\udfff]))|(?:(?<![\ud800-\udbff])[\udc00-\udfff])/.test(value)
  );
}
