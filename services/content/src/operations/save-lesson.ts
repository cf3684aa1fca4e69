import { createHash } from 'node:crypto';
import { bodyHash, type Body } from '@coursewright/course-model/body';
import { emptyLesson, type LessonDocument } from '@coursewright/course-model/lesson';
import { normalizeLesson } from '@coursewright/course-model/normalize-lesson';
import { personOf } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { idFromHash, isHash, toHash } from '@coursewright/platform/ids';
import { authorizeAction } from './access.js';
import type { Bodies, Call, LessonNode, Versioning } from './ports.js';

/** What somebody wants a lesson's document to be. */
export interface SaveLessonInput {
  courseId: string;
  lessonId: string;
  branch: string;
  /** UTF-8 JSON. */
  content: Uint8Array;
  /** The body that the writer read: a hash or "none"; absent: whatever is there. */
  expectedBody?: string;
  expectedHead?: string;
  message: string;
  kind: string;
}

/** A lesson with its document in normal form. */
export interface LessonAtRef {
  node: Pick<LessonNode, 'courseId' | 'lessonId' | 'refKind' | 'refName' | 'commit' | 'updatedAt' | 'updatedBy'>;
  /** Hash of the body, or "none". */
  hash: string;
  doc: LessonDocument;
  unchanged: boolean;
}

interface SaveDeps {
  bodies: Bodies;
  versioning: Versioning;
  newId: () => string;
}

/** Most bytes of a document as sent: white space and escapes may double what its canonical form has. */
const MAX_SENT_BYTES = 2 * 1024 * 1024;

/**
 * Brings a document into normal form, stores it, and commits its hash to the branch. The body is durable before the commit
 * names it; a crash between the two leaves a body that nobody refers to. A document that is there already makes no commit.
 *
 * @throws AppError invalid_argument MALFORMED_JSON, INVALID_LESSON (with pointers); too_large LESSON_TOO_LARGE; unprocessable
 *   NOT_A_LESSON; stale STALE; those of versioning and the body store
 */
export async function saveLesson(deps: SaveDeps, input: SaveLessonInput, call: Call): Promise<LessonAtRef> {
  authorizeAction(call.actor, input.courseId, 'course.write');
  const sent = parse(input.content);
  const once = { ...deps, newId: idsOf(call, deps.newId) };
  return (await saveOnWhatWasRead(once, input, sent, call)) ?? (await saveOnWhatIsThere(once, input, sent, call));
}

/**
 * The short way for a writer who says which body he read: nothing has to be asked before the commit, which checks it under its
 * lock. Undefined when it turns out otherwise; the long way then tells exactly why.
 */
async function saveOnWhatWasRead(
  deps: SaveDeps,
  input: SaveLessonInput,
  sent: unknown,
  call: Call,
): Promise<LessonAtRef | undefined> {
  const { courseId, expectedBody } = input;
  if (expectedBody === undefined || !isHash(expectedBody)) return undefined;
  const read = (await deps.bodies.getMany(courseId, [expectedBody])).get(expectedBody);
  if (read === undefined) return undefined;
  const body = normalized(sent, read, deps.newId);
  if (toHash(body.hash) === expectedBody) return undefined;
  try {
    return await commitBody(deps, input, body, { branch: input.branch, base: '', call });
  } catch (error) {
    if (error instanceof AppError && answeredInFull.has(error.kind)) return undefined;
    throw error;
  }
}

const answeredInFull: ReadonlySet<string> = new Set(['stale', 'conflict', 'not_found', 'unprocessable']);

async function saveOnWhatIsThere(
  deps: SaveDeps,
  input: SaveLessonInput,
  sent: unknown,
  call: Call,
): Promise<LessonAtRef> {
  const { courseId, lessonId } = input;
  const node = await deps.versioning.getLesson({ courseId, lessonId, ref: input.branch }, { call });
  if (node.kind !== 'lesson' && node.kind !== 'assignment')
    throw new AppError('unprocessable', 'NOT_A_LESSON', { lessonId });
  if (node.refKind !== 'branch')
    throw new AppError('not_found', 'BRANCH_NOT_FOUND', { courseId, branch: input.branch });
  const present = node.body === null ? null : await deps.bodies.get(courseId, node.body);
  const body = normalized(sent, present, deps.newId);
  const hash = toHash(body.hash);
  // The empty document on a lesson that has none is no change either.
  const isEmptyStill = node.body === null && body.hash.equals(bodyHash(emptyLesson()));
  const isSame = hash === node.body || isEmptyStill;
  // Versioning decides under its lock; asking here first only spares the store a body that could not be used.
  const isStale = input.expectedBody !== undefined && input.expectedBody !== (node.body ?? 'none');
  if (isSame || isStale) {
    // A call that was sent again after its commit, by a peer that never got the answer, finds its own work.
    const before = await savedBefore(deps, input, call);
    if (before) return before;
  }
  if (isSame) return { node, hash: isEmptyStill ? 'none' : hash, doc: body.doc, unchanged: true };
  if (isStale) {
    const etag = node.body ?? 'none';
    throw new AppError('stale', 'STALE', { nodeId: lessonId, part: 'body', etag, head: node.head });
  }
  return commitBody(deps, input, body, { branch: node.refName, base: node.head, call });
}

/** New ids that follow from the command: sent again, the same document is the same body, whatever became of the first attempt. */
function idsOf({ command }: Call, newId: () => string): () => string {
  if (command === undefined) return newId;
  let n = 0;
  return () => idFromHash(createHash('sha256').update(`${command.id}\n${n++}`).digest());
}

/** The document in normal form. Throws invalid_argument INVALID_LESSON, too_large LESSON_TOO_LARGE. */
function normalized(sent: unknown, present: LessonDocument | null, newId: () => string): Body {
  const result = normalizeLesson(sent, present, newId);
  if (result.ok) return result.body;
  const tooLarge = result.problems.some((problem) => problem.code === 'too_large');
  const fields = { fields: result.problems };
  if (tooLarge) throw new AppError('too_large', 'LESSON_TOO_LARGE', {}, fields);
  throw new AppError('invalid_argument', 'INVALID_LESSON', {}, fields);
}

/** Stores the body, then commits its hash. */
async function commitBody(
  deps: SaveDeps,
  input: SaveLessonInput,
  body: Body,
  at: { branch: string; base: string; call: Call },
): Promise<LessonAtRef> {
  const { courseId, lessonId, message, kind, expectedBody, expectedHead } = input;
  const { branch, base, call } = at;
  await deps.bodies.putMany(courseId, [body]);
  const hash = toHash(body.hash);
  const change = { courseId, lessonId, branch, base, body: hash, message, kind };
  const expectations = {
    ...(expectedBody === undefined ? {} : { expectedBody }),
    ...(expectedHead === undefined ? {} : { expectedHead }),
  };
  const made = await deps.versioning.setBody({ ...change, ...expectations }, { call });
  const node = {
    courseId,
    lessonId,
    refKind: 'branch',
    refName: made.branch,
    commit: made.commit,
    updatedAt: made.at,
    updatedBy: personOf(call.actor).sub,
  };
  return { node, hash, doc: body.doc, unchanged: made.unchanged };
}

/** What this very command saved when it came before. */
async function savedBefore(
  deps: { bodies: Bodies; versioning: Versioning },
  { courseId, lessonId }: SaveLessonInput,
  call: Call,
): Promise<LessonAtRef | undefined> {
  const made = await deps.versioning.madeBefore(call);
  if (made === undefined) return undefined;
  const node = await deps.versioning.getLesson({ courseId, lessonId, ref: made.commit }, { call });
  const doc = node.body === null ? emptyLesson() : await deps.bodies.get(courseId, node.body);
  const named = { ...node, refKind: 'branch', refName: made.branch };
  return { node: named, hash: node.body ?? 'none', doc, unchanged: made.unchanged };
}

function parse(content: Uint8Array): unknown {
  if (content.byteLength > MAX_SENT_BYTES)
    throw new AppError('too_large', 'LESSON_TOO_LARGE', { limit: MAX_SENT_BYTES });
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
  } catch (cause) {
    throw new AppError('invalid_argument', 'MALFORMED_JSON', {}, { cause });
  }
}
