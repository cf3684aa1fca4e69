import { canonicalJson, hashCanonical } from './canonical.js';
import type { LessonDocument } from './lesson.js';

/** A document that may be stored: its normal form, its canonical JSON and the hash of that. */
export interface Body {
  doc: LessonDocument;
  canonical: string;
  /** 32 bytes. */
  hash: Buffer;
  /** Bytes of the canonical JSON in UTF-8. */
  size: number;
}

/** The version of the body format that goes into the hash. */
const BODY_VERSION = 1;

/** The hash of a document in normal form: 32 bytes. */
export function bodyHash(doc: LessonDocument): Buffer {
  return bodyOf(doc).hash;
}

/** A document in normal form with its canonical JSON and hash. */
export function bodyOf(doc: LessonDocument): Body {
  const canonical = canonicalJson(doc);
  return { doc, canonical, hash: hashCanonical('body', BODY_VERSION, canonical), size: Buffer.byteLength(canonical) };
}
