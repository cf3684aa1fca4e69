import type { IncomingMessage } from 'node:http';
import { AppError } from '@coursewright/platform/errors';
import { HttpRefusal } from './refusal.js';

const patienceMs = 20_000;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Tells whether a request has a body at all. */
export function hasBody(request: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  return encoding !== undefined || (length !== undefined && length !== '0');
}

/** The media type in lower case without its parameters, or an empty string. */
export function mediaType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
}

/** Throws too_large BODY_TOO_LARGE when the announced length is over the limit. */
export function checkLength(request: IncomingMessage, maxBytes: number): void {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
}

export function tooLarge(maxBytes: number): AppError {
  return new AppError('too_large', 'BODY_TOO_LARGE', { maxBytes }, { message: `The body may have ${maxBytes} bytes` });
}

/** Throws unsupported_media_type MEDIA_TYPE_UNSUPPORTED for anything but these types in UTF-8 without a content coding. */
export function checkType(request: IncomingMessage, accepts: (type: string) => boolean, wanted: string): void {
  const coding = request.headers['content-encoding'];
  const charset = /;\s*charset="?([^";]+)/i.exec(request.headers['content-type'] ?? '')?.[1]?.toLowerCase();
  const plain = coding === undefined || coding.toLowerCase() === 'identity';
  if (plain && accepts(mediaType(request)) && (charset === undefined || charset === 'utf-8' || charset === 'utf8'))
    return;
  throw new AppError('unsupported_media_type', 'MEDIA_TYPE_UNSUPPORTED', {}, { message: `The body must be ${wanted}` });
}

/** application/json, and what is built on it. */
export function isJson(type: string): boolean {
  return type === 'application/json' || /^application\/[a-z0-9.-]+\+json$/.test(type);
}

/** The bytes of a body. Throws too_large BODY_TOO_LARGE, 408 REQUEST_TIMEOUT, invalid_argument BODY_INCOMPLETE. */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  checkLength(request, maxBytes);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const end = (error?: Error): void => {
      clearTimeout(timer);
      request.off('data', take).off('end', end).off('close', cut).off('error', cut);
      if (error) reject(error);
      else resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
    };
    const take = (chunk: Buffer): void => {
      size += chunk.length;
      chunks.push(chunk);
      if (size > maxBytes) end(tooLarge(maxBytes));
    };
    const cut = (): void => end(new AppError('invalid_argument', 'BODY_INCOMPLETE'));
    const timer = setTimeout(() => end(new HttpRefusal(408, 'REQUEST_TIMEOUT', 'The body took too long')), patienceMs);
    request
      .on('data', take)
      .once('end', () => end())
      .once('close', cut)
      .once('error', cut);
  });
}

/** A body as JSON. Throws invalid_argument BODY_MISSING, MALFORMED_JSON. */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0)
    throw new AppError('invalid_argument', 'BODY_MISSING', {}, { message: 'A JSON body is needed' });
  try {
    return JSON.parse(utf8.decode(bytes)) as unknown;
  } catch (cause) {
    throw new AppError('invalid_argument', 'MALFORMED_JSON', {}, { cause, message: 'The body is not JSON in UTF-8' });
  }
}
