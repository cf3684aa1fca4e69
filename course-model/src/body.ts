import { canonicalForm, hashCanonical } from './canonical.js';
import type { LessonDocument } from './lesson.js';

/** The version of the format in which lesson documents are written now. The one constant of this kind. */
export const LESSON_VERSION = 1;

/** All versions that were ever written; readers take each of them. */
export const LESSON_VERSIONS: readonly number[] = [1];

/** A document that may be stored: its normal form, its canonical JSON and the hash of that. */
export interface Body {
  doc: LessonDocument;
  canonical: string;
  /** 32 bytes. */
  hash: Buffer;
  /** Bytes of the canonical JSON in UTF-8. */
  size: number;
  /** Values and keys in it. */
  values: number;
}

/** The hash of a document in normal form: 32 bytes. */
export function bodyHash(doc: LessonDocument): Buffer {
  return bodyOf(doc).hash;
}

/** A document in normal form with its canonical JSON and hash, in the version that is written now. */
export function bodyOf(doc: LessonDocument): Body {
  const { json, values } = canonicalForm(doc);
  const hash = hashBody(LESSON_VERSION, json);
  return { doc, canonical: json, hash, size: Buffer.byteLength(json), values };
}

/** The hash of a document in a version of the format: sha-256 over `cm:lesson:<version>`, a line end and its canonical JSON. */
export function hashBody(version: number, canonical: string | Uint8Array): Buffer {
  return hashCanonical('lesson', version, canonical);
}

/** The version in which these bytes have this hash (32 bytes); undefined when they have it in none. */
export function versionOf(canonical: Uint8Array, hash: Uint8Array): number | undefined {
  return LESSON_VERSIONS.find((version) => hashBody(version, canonical).equals(hash));
}
