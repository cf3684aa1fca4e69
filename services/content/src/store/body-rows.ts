import { hashBody, LESSON_VERSIONS, type Body } from '@coursewright/course-model/body';
import { canonicalJson } from '@coursewright/course-model/canonical';
import type { LessonDocument } from '@coursewright/course-model/lesson';
import { AppError } from '@coursewright/platform/errors';
import { toHash } from '@coursewright/platform/ids';
import type { Logger } from '@coursewright/platform/logger';
import { inClientSpan } from '@coursewright/platform/telemetry';
import { MongoError } from 'mongodb';
import type { PackedBody } from '../domain/body-tasks.js';

/** A body as it lies in MongoDB. */
export interface BodyRow {
  /** `<courseId>:<hash in base64url>`. */
  _id: string;
  /** Version of the format; part of what was hashed. */
  v: number;
  /** The document, to be asked by its fields. */
  doc?: LessonDocument;
  /** Its canonical JSON instead, where it has so many values that the driver would hold the main thread with them. */
  text?: string;
  /** Bytes of the canonical JSON. */
  size: number;
  /** `asset:<hash>`, `node:<id>`, `static:<name>`. */
  refs: string[];
  touchedAt: Date;
}

/** A row on its way in, with what the driver has to do for it. */
export interface WeighedRow {
  readonly row: BodyRow;
  readonly values: number;
}

/** More values are kept as text. No lesson that people write has a tenth of them; as a document they cost some milliseconds. */
const MAX_DOC_VALUES = 5_000;

/** The row of a body; `known` spares taking its bytes apart where document and text are at hand. */
export function rowOf(
  id: string,
  body: PackedBody,
  touchedAt: Date,
  known?: Pick<Body, 'doc' | 'canonical'>,
): WeighedRow {
  const { version, bytes, values, refs } = body;
  const isText = values > MAX_DOC_VALUES;
  const text = known?.canonical ?? new TextDecoder().decode(bytes);
  const content = isText ? { text } : { doc: known?.doc ?? (JSON.parse(text) as LessonDocument) };
  return { row: { _id: id, v: version, ...content, size: bytes.length, refs, touchedAt }, values: isText ? 1 : values };
}

/** The bytes of a row when they have the hash that its key says. */
export function soundBytes(row: Pick<BodyRow, '_id' | 'doc' | 'text' | 'v'>, logger: Logger): Uint8Array | undefined {
  try {
    const text = typeof row.text === 'string' ? row.text : canonicalJson(row.doc);
    // In memory of its own: small texts would share, and keep, a larger piece.
    const bytes = new TextEncoder().encode(text);
    if (LESSON_VERSIONS.includes(row.v) && row._id.endsWith(`:${toHash(hashBody(row.v, bytes))}`)) return bytes;
  } catch (error) {
    logger.error({ err: error, body: row._id }, 'a body cannot be read');
    return undefined;
  }
  logger.error({ body: row._id }, 'a body does not have its hash');
  return undefined;
}

/** What spans say of the server. */
export const ATTRIBUTES = { 'db.system.name': 'mongodb', 'db.collection.name': 'bodies' };

/** Asks the server, within a span; whatever the driver says, no body was stored or read and the caller may try again. */
export async function asked<T>(span: string, work: () => Promise<T>): Promise<T> {
  try {
    return await inClientSpan(`mongodb ${span} bodies`, ATTRIBUTES, work);
  } catch (error) {
    throw away(error);
  }
}

/** An error of the driver as unavailable BODY_STORE_UNAVAILABLE; any other as it is. */
export function away(error: unknown): unknown {
  if (!(error instanceof MongoError)) return error;
  return new AppError('unavailable', 'BODY_STORE_UNAVAILABLE', { retryAfterSeconds: 2 }, { cause: error });
}
