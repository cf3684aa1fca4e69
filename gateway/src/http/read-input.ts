import type { IncomingMessage } from 'node:http';
import type { FieldProblem } from '@coursewright/platform/errors';
import { AppError } from '@coursewright/platform/errors';
import { announcedLength, checkLength, checkType, hasBody, isJson, mediaType, parseJson } from './body.js';
import { readTags, type Match } from './etag.js';
import { boundJson } from './json-bounds.js';
import type { BodySpec, Input, Route } from './route.js';
import { check, invalid, readQuery } from './validate.js';

/** Most bytes of a JSON body, unless its route says otherwise. */
export const maxJsonBytes = 256 * 1024;

const nothing = Buffer.alloc(0);
async function* noChunks(): AsyncGenerator<Buffer> {}

/**
 * Reads and checks path, query and preconditions of a request: all that comes before its body.
 * Throws invalid_argument INVALID_REQUEST with every problem.
 */
export function readHead(route: Route, request: IncomingMessage, params: Readonly<Record<string, unknown>>): Input {
  const path = check(route.params, params, '/path');
  const query = check(route.query, readQuery(request.url ?? ''), '/query');
  const problems: FieldProblem[] = [...path.problems, ...query.problems];
  if (problems.length > 0) throw invalid(problems);
  return {
    params: path.value as Input['params'],
    query: query.value as Input['query'],
    body: undefined,
    bytes: nothing,
    chunks: noChunks(),
    mediaType: mediaType(request),
    match: matchOf(request.headers['if-match']),
  };
}

function matchOf(header: string | undefined): Match {
  if (header === undefined) return { any: true };
  const tags = readTags(header, 'if-match');
  if (tags === '*') return { any: true };
  const [parts = [], ...others] = tags.map((tag) => tag.split('.'));
  return { any: false, parts, others };
}

/**
 * What the headers say of the body, judged before a byte of it is read: the most bytes it may have, or undefined when there is none
 * to read. Throws too_large BODY_TOO_LARGE, unsupported_media_type MEDIA_TYPE_UNSUPPORTED, invalid_argument BODY_NOT_EXPECTED.
 */
export function expectBody(route: Route, request: IncomingMessage, importBytes: number): number | undefined {
  const { body } = route;
  if (route.method === 'get' || !hasBody(request)) {
    if (body?.kind === 'archive') checkArchive(body, request, importBytes);
    return undefined;
  }
  if (body === undefined) {
    if (announcedLength(request) !== undefined) throw notExpected();
    return 0;
  }
  if (body.kind === 'archive') return checkArchive(body, request, importBytes);
  const maxBytes = body.maxBytes ?? maxJsonBytes;
  checkType(request, isJson, 'application/json in UTF-8');
  checkLength(request, maxBytes);
  return maxBytes;
}

function checkArchive(
  body: Extract<BodySpec, { kind: 'archive' }>,
  request: IncomingMessage,
  importBytes: number,
): number {
  checkType(request, (type) => body.types.includes(type), body.types.join(' or '));
  checkLength(request, importBytes);
  return importBytes;
}

/** Of a body where none belongs; an empty one in chunks is as good as none. */
export function notExpected(): AppError {
  return new AppError('invalid_argument', 'BODY_NOT_EXPECTED', {}, { message: 'This request takes no body' });
}

/**
 * A body's value as its route wants it; that of a document its owner reads.
 * Throws invalid_argument BODY_MISSING, MALFORMED_JSON, INVALID_REQUEST.
 */
export function valueOf(route: Route, bytes: Buffer): unknown {
  const { body } = route;
  if (body === undefined || body.kind === 'archive') return undefined;
  if (body.kind === 'document') return bytes.length === 0 ? parseJson(bytes) : undefined;
  boundJson(bytes);
  const checked = check(body.schema, parseJson(bytes));
  if (checked.problems.length > 0) throw invalid(checked.problems);
  return checked.value;
}
