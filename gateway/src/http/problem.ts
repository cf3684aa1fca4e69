import { AppError, errorKinds, toAppError } from '@coursewright/platform/errors';
import { HttpRefusal } from './refusal.js';

/** An answer that says what went wrong, in RFC 9457's form. */
export interface ProblemAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** The request that a problem is about. */
export interface About {
  /** Path as it was asked for, without the query. */
  readonly instance: string;
  readonly requestId: string;
  /** Of a request that changes something: whether its client can ask under a key what became of it. */
  readonly write?: { readonly hasKey: boolean };
}

/** What a thing looks like now that somebody's precondition failed. */
export interface Current {
  readonly etag: string | null;
  readonly head: string | null;
}

/** The media type of every error. */
export const problemType = 'application/problem+json; charset=utf-8';

// The facts of these cases are the caller's own business; of all others they could tell what he may not know.
const openKinds = new Set([
  'invalid_argument',
  'already_exists',
  'conflict',
  'gone',
  'stale',
  'too_large',
  'unprocessable',
]);

/** The problem document of any error; of an unexpected one nothing but its request id leaves. */
export function problemOf(error: unknown, about: About, current?: Current): ProblemAnswer {
  if (error instanceof HttpRefusal) {
    const { status, reason, title } = error;
    return answer(status, error.headers, { ...head(reason, title, status), detail: title, ...tail(reason, about) });
  }
  const known = fromExpress(error) ?? toAppError(error);
  const { status, title } = errorKinds[known.kind];
  // Of what is not there nothing is told that depends on why not.
  const isPlain = known.message === known.reason || known.kind === 'not_found';
  const outcome = outcomeOf(known, about);
  const text = isPlain ? title : known.message;
  const detail = outcome === '' ? text : `${text.replace(/\.$/, '')}.${outcome}`;
  return answer(status, headersOf(known), {
    ...head(known.reason, title, status),
    detail,
    ...tail(known.reason, about),
    ...(known.fields.length > 0 ? { errors: known.fields } : {}),
    ...(known.kind === 'stale' ? { current: current ?? { etag: null, head: headIn(known) } } : {}),
    ...(openKinds.has(known.kind) && Object.keys(known.details).length > 0 ? { details: known.details } : {}),
  });
}

/** Refusals of this side that come before anything is done; whatever else breaks off may have done its work. */
const nothingDone = new Set([
  'OVERLOADED',
  'AUTH_KEYS_UNAVAILABLE',
  'BODY_STORE_UNAVAILABLE',
  'STORAGE_FULL',
  'UNIMPLEMENTED',
]);

/** Whoever repeats a write has to know. */
function outcomeOf({ kind, reason }: AppError, { write }: About): string {
  if (write === undefined || errorKinds[kind].status < 500 || nothingDone.has(reason)) return '';
  return write.hasKey
    ? ' The write may have been done: repeat it with the same Idempotency-Key to learn.'
    : ' The write may have been done: look before you repeat it; with an Idempotency-Key a repeat would be safe.';
}

/** The head that a service named when it refused something stale, or null. */
export function headIn(error: AppError): string | null {
  const { head: present } = error.details;
  return typeof present === 'string' ? present : null;
}

function head(reason: string, title: string, status: number): Record<string, unknown> {
  return { type: `urn:coursewright:problem:${reason.toLowerCase().replaceAll('_', '-')}`, title, status };
}

function tail(reason: string, about: About): Record<string, unknown> {
  return { reason, instance: about.instance, requestId: about.requestId };
}

function answer(
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Record<string, unknown>,
): ProblemAnswer {
  return { status, headers: { 'content-type': problemType, 'cache-control': 'no-store', ...headers }, body };
}

function headersOf(error: AppError): Record<string, string> {
  const seconds = error.details['retryAfterSeconds'];
  // A call that took too long may succeed next time as well: a store that hangs is brought back, a lock is given up.
  if (error.kind === 'unavailable' || error.kind === 'deadline_exceeded')
    return { 'retry-after': String(typeof seconds === 'number' ? seconds : 1) };
  if (error.kind === 'unauthenticated') {
    const why = error.reason === 'TOKEN_MISSING' ? '' : ', error="invalid_token"';
    return { 'www-authenticate': `Bearer realm="coursewright"${why}` };
  }
  return typeof seconds === 'number' ? { 'retry-after': String(seconds) } : {};
}

/** Express says 400 for a path that does not decode. */
function fromExpress(error: unknown): AppError | undefined {
  if (!(error instanceof URIError)) return undefined;
  return new AppError(
    'invalid_argument',
    'PATH_INVALID',
    {},
    { message: 'The path is not valid percent-encoded UTF-8' },
  );
}
