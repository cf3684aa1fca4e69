import type { IncomingMessage } from 'node:http';
import { AppError } from '@coursewright/platform/errors';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Tells whether a request has a body at all. */
export function hasBody(request: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  return encoding !== undefined || (length !== undefined && Number(length) !== 0);
}

/** The bytes that a body is announced with; undefined for one in chunks. */
export function announcedLength(request: IncomingMessage): number | undefined {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  return encoding === undefined ? Number(length ?? 0) : undefined;
}

/** The media type in lower case without its parameters, or an empty string. */
export function mediaType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
}

/** Throws too_large BODY_TOO_LARGE when the announced length is over the limit. */
export function checkLength(request: IncomingMessage, maxBytes: number): void {
  if ((announcedLength(request) ?? 0) > maxBytes) throw tooLarge(maxBytes);
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
