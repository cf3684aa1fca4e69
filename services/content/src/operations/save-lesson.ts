import { bodyHash } from '@coursewright/course-model/body';
import { emptyLesson, type LessonDocument } from '@coursewright/course-model/lesson';
import { normalizeLesson } from '@coursewright/course-model/normalize-lesson';
import { personOf } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { toHash } from '@coursewright/platform/ids';
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
  node: LessonNode;
  /** Hash of the body, or "none". */
  hash: string;
  doc: LessonDocument;
  unchanged: boolean;
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
export async function saveLesson(
  deps: { bodies: Bodies; versioning: Versioning; newId: () => string },
  input: SaveLessonInput,
  call: Call,
): Promise<LessonAtRef> {
  authorizeAction(call.actor, input.courseId, 'course.write');
  const sent = parse(input.content);
  const { courseId, lessonId } = input;
  const node = await deps.versioning.getLesson({ courseId, lessonId, ref: input.branch }, { call });
  if (node.kind !== 'lesson' && node.kind !== 'assignment')
    throw new AppError('unprocessable', 'NOT_A_LESSON', { lessonId });
  if (node.refKind !== 'branch')
    throw new AppError('not_found', 'BRANCH_NOT_FOUND', { courseId, branch: input.branch });
  const present = node.body === null ? null : await deps.bodies.get(courseId, node.body);
  const result = normalizeLesson(sent, present, deps.newId);
  if (!result.ok) {
    const tooLarge = result.problems.some((problem) => problem.code === 'too_large');
    throw new AppError(
      tooLarge ? 'too_large' : 'invalid_argument',
      tooLarge ? 'LESSON_TOO_LARGE' : 'INVALID_LESSON',
      {},
      { fields: result.problems },
    );
  }
  const hash = toHash(result.body.hash);
  // The empty document on a lesson that has none is no change either.
  const isEmptyStill = node.body === null && result.body.hash.equals(bodyHash(emptyLesson()));
  const isSame = hash === node.body || isEmptyStill;
  // Versioning decides under its lock; asking here first only spares the store a body that could not be used.
  const isStale = input.expectedBody !== undefined && input.expectedBody !== (node.body ?? 'none');
  if (isSame || isStale) {
    // A call that was sent again after its commit, by a peer that never got the answer, finds its own work.
    const before = await savedBefore(deps, input, call);
    if (before) return before;
  }
  if (isSame) return { node, hash: isEmptyStill ? 'none' : hash, doc: result.body.doc, unchanged: true };
  if (isStale) {
    const etag = node.body ?? 'none';
    throw new AppError('stale', 'STALE', { nodeId: lessonId, part: 'body', etag, head: node.head });
  }
  await deps.bodies.putMany(courseId, [result.body]);
  const made = await deps.versioning.setBody(
    {
      courseId,
      lessonId,
      branch: node.refName,
      base: node.head,
      body: hash,
      message: input.message,
      kind: input.kind,
      ...(input.expectedBody === undefined ? {} : { expectedBody: input.expectedBody }),
      ...(input.expectedHead === undefined ? {} : { expectedHead: input.expectedHead }),
    },
    { call },
  );
  const changed = {
    ...node,
    body: hash,
    commit: made.commit,
    head: made.commit,
    updatedAt: made.at,
    updatedBy: personOf(call.actor).sub,
  };
  return { node: changed, hash, doc: result.body.doc, unchanged: made.unchanged };
}

/** What this very command saved when it came before. */
async function savedBefore(
  deps: { bodies: Bodies; versioning: Versioning },
  { courseId, lessonId, branch }: SaveLessonInput,
  call: Call,
): Promise<LessonAtRef | undefined> {
  const made = await deps.versioning.madeBefore(call);
  if (made === undefined) return undefined;
  const node = await deps.versioning.getLesson({ courseId, lessonId, ref: made.commit }, { call });
  const doc = node.body === null ? emptyLesson() : await deps.bodies.get(courseId, node.body);
  const named = { ...node, refKind: 'branch', refName: branch };
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
