import type { IncomingMessage } from 'node:http';
import type { FieldProblem } from '@coursewright/platform/errors';
import { AppError } from '@coursewright/platform/errors';
import { checkLength, checkType, hasBody, isJson, mediaType, parseJson, readBody, tooLarge } from './body.js';
import { readTags, type Match } from './etag.js';
import type { Input, Route } from './route.js';
import { check, invalid, readQuery } from './validate.js';

/** Most bytes of a JSON body, unless its route says otherwise. */
export const maxJsonBytes = 256 * 1024;

const nothing = Buffer.alloc(0);
async function* noChunks(): AsyncGenerator<Buffer> {}

/**
 * Reads and checks path, query, preconditions and body of a request.
 * Throws invalid_argument INVALID_REQUEST with every problem, and what `body.ts` throws.
 */
export async function readInput(
  route: Route,
  request: IncomingMessage,
  params: Readonly<Record<string, unknown>>,
  importBytes: number,
): Promise<Input> {
  const path = check(route.params, params, '/path');
  const query = check(route.query, readQuery(request.url ?? ''), '/query');
  const problems = [...path.problems, ...query.problems];
  const match = matchOf(request.headers['if-match']);
  const body = await readContent(route, request, problems);
  if (problems.length > 0) throw invalid(problems);
  return {
    params: path.value as Input['params'],
    query: query.value as Input['query'],
    body: body.value,
    bytes: body.bytes,
    chunks: route.body?.kind === 'archive' ? upTo(request, importBytes) : noChunks(),
    mediaType: mediaType(request),
    match,
  };
}

function matchOf(header: string | undefined): Match {
  if (header === undefined) return { any: true };
  const tags = readTags(header, 'if-match');
  if (tags === '*') return { any: true };
  const [parts = [], ...others] = tags.map((tag) => tag.split('.'));
  return { any: false, parts, others };
}

async function readContent(
  route: Route,
  request: IncomingMessage,
  problems: FieldProblem[],
): Promise<{ bytes: Buffer; value: unknown }> {
  const { body } = route;
  if (body === undefined) {
    if (hasBody(request) && route.method !== 'get' && (await readBody(request, maxJsonBytes)).length > 0)
      throw new AppError('invalid_argument', 'BODY_NOT_EXPECTED', {}, { message: 'This request takes no body' });
    return { bytes: nothing, value: undefined };
  }
  if (body.kind === 'archive') {
    checkType(request, (type) => body.types.includes(type), body.types.join(' or '));
    return { bytes: nothing, value: undefined };
  }
  const maxBytes = body.maxBytes ?? maxJsonBytes;
  checkLength(request, maxBytes);
  if (hasBody(request)) checkType(request, isJson, 'application/json in UTF-8');
  const bytes = await readBody(request, maxBytes);
  if (body.kind === 'document') {
    if (bytes.length === 0) parseJson(bytes);
    return { bytes, value: undefined };
  }
  const checked = check(body.schema, parseJson(bytes));
  problems.push(...checked.problems);
  return { bytes, value: checked.value };
}

/** The chunks of an upload. Throws too_large BODY_TOO_LARGE when they are more than the limit. */
async function* upTo(request: IncomingMessage, maxBytes: number): AsyncGenerator<Buffer> {
  checkLength(request, maxBytes);
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    yield chunk;
  }
  if (!request.complete) throw new AppError('invalid_argument', 'BODY_INCOMPLETE');
}
