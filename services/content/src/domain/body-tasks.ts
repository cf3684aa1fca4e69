import { createHash } from 'node:crypto';
import { LESSON_VERSION, versionOf, type Body } from '@coursewright/course-model/body';
import { canonicalForm, canonicalJson } from '@coursewright/course-model/canonical';
import { diffLessons, type LessonChange } from '@coursewright/course-model/lesson-diff';
import type { Audience, LessonDocument } from '@coursewright/course-model/lesson';
import { normalizeLesson } from '@coursewright/course-model/normalize-lesson';
import { projectLesson } from '@coursewright/course-model/project-lesson';
import { referencesOf } from '@coursewright/course-model/references';
import { readStored } from '@coursewright/course-model/stored-lesson';
import { AppError } from '@coursewright/platform/errors';
import { fromHash } from '@coursewright/platform/ids';
import { itemIds } from './item-ids.js';
import { renderLesson, type RenderedPage } from './render.js';

/**
 * What is done with documents, each a pure function from bytes to bytes: documents travel between threads as the JSON that they are
 * stored as, since copying objects would hold the main thread as long as the work itself.
 */

/** A document that is fit to be stored, and all that the store has to know of it. */
export interface PackedBody {
  /** 32 bytes. */
  hash: Uint8Array;
  version: number;
  /** Canonical JSON in UTF-8. */
  bytes: Uint8Array;
  /** Values and keys in it. */
  values: number;
  /** `asset:<hash>`, `node:<id>`, `static:<name>`. */
  refs: string[];
}

/** A body ready for the store. */
export function packBody(body: Body): PackedBody {
  const { hash, canonical, values, doc } = body;
  return { hash, version: LESSON_VERSION, bytes: exact(canonical), values, refs: refsOf(doc) };
}

function refsOf(doc: LessonDocument): string[] {
  return [...new Set(referencesOf(doc).map((reference) => `${reference.kind}:${reference.target}`))];
}

/** A text in UTF-8, in memory of its own: pieces of a shared buffer are copied between threads with all of that. */
function exact(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function documentOf(bytes: Uint8Array): LessonDocument {
  return JSON.parse(new TextDecoder().decode(bytes)) as LessonDocument;
}

/** What somebody sent, the body that it replaces, and what new ids follow from. */
export interface NormalizeInput {
  sent: Uint8Array;
  present: Uint8Array | null;
  seed: string;
}

/**
 * A document that somebody sent, in normal form.
 *
 * @throws AppError invalid_argument MALFORMED_JSON, INVALID_LESSON (with pointers); too_large LESSON_TOO_LARGE
 */
export function normalizeBody({ sent, present, seed }: NormalizeInput): PackedBody {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(sent));
  } catch (cause) {
    throw new AppError('invalid_argument', 'MALFORMED_JSON', {}, { cause });
  }
  const result = normalizeLesson(value, present && documentOf(present), itemIds(seed));
  if (result.ok) return packBody(result.body);
  const fields = { fields: result.problems };
  if (result.problems.some((problem) => problem.code === 'too_large'))
    throw new AppError('too_large', 'LESSON_TOO_LARGE', {}, fields);
  throw new AppError('invalid_argument', 'INVALID_LESSON', {}, fields);
}

/** Bodies that another service sent, with the hashes that they must have. */
export interface CheckInput {
  bodies: readonly { hash: string; bytes: Uint8Array }[];
}

/**
 * Bodies that another service sent, checked and not changed by a byte.
 *
 * @throws AppError invalid_argument BODY_INVALID, BODY_HASH_MISMATCH
 */
export function checkSent({ bodies }: CheckInput): PackedBody[] {
  return bodies.map(({ hash, bytes }) => {
    const stored = readStored(bytes);
    if (!stored.ok) throw new AppError('invalid_argument', 'BODY_INVALID', { hash }, { fields: stored.problems });
    const wanted = fromHash(hash);
    const version = versionOf(bytes, wanted);
    if (version === undefined) throw new AppError('invalid_argument', 'BODY_HASH_MISMATCH', { hash });
    return { hash: wanted, version, bytes, values: stored.values, refs: refsOf(stored.doc) };
  });
}

/** A stored document and who reads it. */
export interface ProjectInput {
  bytes: Uint8Array;
  reader: Audience;
  /** Whom the lesson itself is for. */
  within: Audience;
}

/** The canonical JSON of what a reader may see of a document. */
export function projectBody({ bytes, reader, within }: ProjectInput): Uint8Array {
  return exact(canonicalJson(projectLesson(documentOf(bytes), reader, within)));
}

/** A stored document to be rendered. */
export interface RenderInput extends ProjectInput {
  /** Places of parts that took too long before. */
  costly: readonly number[];
  /** All parts from here on are left out, too. */
  costlyFrom?: number;
  /** Shared between threads: the place of the part that is being rendered, so that it is known which one took too long. */
  place: Int32Array;
}

/** A page, and a hash of the projection that it shows. */
export interface Rendering {
  page: RenderedPage;
  digest: string;
}

/** A stored document as safe HTML for a reader. */
export function renderBody({ bytes, reader, within, costly, costlyFrom, place }: RenderInput): Rendering {
  const projected = projectLesson(documentOf(bytes), reader, within);
  const onPart = (part: number): void => void (place[0] = part);
  const isCostly = (part: number): boolean => costly.includes(part) || part >= (costlyFrom ?? Infinity);
  const page = renderLesson(projected, { isForAuthors: reader !== 'learner', isCostly, onPart });
  return { page, digest: createHash('sha256').update(canonicalJson(projected)).digest('base64url') };
}

/** Pairs of stored documents; null for none. */
export interface DiffInput {
  pairs: readonly { nodeId: string; from: Uint8Array | null; to: Uint8Array | null }[];
  reader: Audience;
}

/** What differs between the two bodies of a node. `truncated`: values and hunks were left out. */
export interface BodyDiff {
  nodeId: string;
  changes: LessonChange[];
  truncated: boolean;
  /** Values and bytes of the changes as JSON. */
  values: number;
  bytes: number;
}

/** What one diff may come to before it keeps its pointers alone, and the work that is done for it at most. */
export const DIFF_LIMITS = { bytes: 256 * 1024, values: 10_000, pointers: 200, steps: 8_000_000 };

/** The canonical JSON of a lesson that has no document yet. */
export const emptyBytes = exact('{"assessments":[],"exercises":[],"materials":[],"objectives":[],"order":[]}');

/** What differs between pairs of documents, as the JSON of `BodyDiff[]`: text crosses threads faster than objects. */
export function diffPairs({ pairs, reader }: DiffInput): string {
  const read = (bytes: Uint8Array | null) => projectLesson(documentOf(bytes ?? emptyBytes), reader) as LessonDocument;
  return JSON.stringify(
    pairs.map(({ nodeId, from, to }): BodyDiff => {
      const changes = diffLessons(read(from), read(to), { steps: DIFF_LIMITS.steps });
      const { json, values } = canonicalForm(changes);
      const bytes = Buffer.byteLength(json);
      if (bytes <= DIFF_LIMITS.bytes && values <= DIFF_LIMITS.values)
        return { nodeId, changes, truncated: false, values, bytes };
      return { nodeId, ...pointersOf(changes), truncated: true };
    }),
  );
}

/** Changes without their values. */
export function pointersOf(changes: readonly LessonChange[]): Pick<BodyDiff, 'changes' | 'values' | 'bytes'> {
  const named = changes.slice(0, DIFF_LIMITS.pointers).map(({ pointer, change }) => ({ pointer, change }));
  return { changes: named, values: 5 * named.length, bytes: JSON.stringify(named).length };
}
