import { personOf } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { isHash, toHash } from '@coursewright/platform/ids';
import { emptyBytes, type PackedBody } from '../domain/body-tasks.js';
import { seedOf } from '../domain/item-ids.js';
import { audienceOf, authorizeAction, checkLesson } from './access.js';
import type { BodyWork } from './body-work.js';
import type { Call, LessonNode, StoredBodies, Versioning } from './ports.js';

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

/** A lesson with its document in normal form, as canonical JSON in UTF-8. */
export interface LessonAtRef {
  node: Pick<LessonNode, 'courseId' | 'lessonId' | 'refKind' | 'refName' | 'commit' | 'updatedAt' | 'updatedBy'>;
  /** Hash of the body, or "none". */
  hash: string;
  content: Uint8Array;
  unchanged: boolean;
}

interface SaveDeps {
  bodies: StoredBodies;
  versioning: Versioning;
  work: BodyWork;
  newId: () => string;
}

/** Most bytes of a document as sent: white space and escapes may double what its canonical form has. */
const MAX_SENT_BYTES = 2 * 1024 * 1024;

/**
 * Brings a document into normal form, stores it, and commits its hash to the branch. The body is durable before the commit
 * names it; a crash between the two leaves a body that nobody refers to. A document that is there already makes no commit. A
 * present body that is lost or damaged does not stand in the way: the whole document is here.
 *
 * @throws AppError invalid_argument MALFORMED_JSON, INVALID_LESSON (with pointers); too_large LESSON_TOO_LARGE; unprocessable
 *   NOT_A_LESSON, WORK_TOO_COSTLY; unavailable OVERLOADED; stale STALE; those of versioning and the body store
 */
export async function saveLesson(deps: SaveDeps, input: SaveLessonInput, call: Call): Promise<LessonAtRef> {
  authorizeAction(call.actor, input.courseId, 'course.write');
  if (input.content.byteLength > MAX_SENT_BYTES)
    throw new AppError('too_large', 'LESSON_TOO_LARGE', { limit: MAX_SENT_BYTES });
  const { courseId, lessonId } = input;
  const { command, actor } = call;
  // Sent again, the same document is the same body, whatever became of the first attempt.
  const seed = seedOf({ actor: actor.sub, courseId, lessonId, commandId: command?.id ?? deps.newId() });
  const save = { ...input, seed };
  return (await saveOnWhatWasRead(deps, save, call)) ?? (await saveOnWhatIsThere(deps, save, call));
}

type Save = SaveLessonInput & { seed: string };

/**
 * The short way for a writer who says which body he read: nothing has to be asked before the commit, which checks it under its
 * lock. Undefined when it turns out otherwise; the long way then tells exactly why.
 */
async function saveOnWhatWasRead(deps: SaveDeps, save: Save, call: Call): Promise<LessonAtRef | undefined> {
  const { courseId, expectedBody } = save;
  if (expectedBody === undefined || !isHash(expectedBody)) return undefined;
  const present = (await deps.bodies.readMany(courseId, [expectedBody])).get(expectedBody);
  if (present === undefined) return undefined;
  const body = await deps.work.normalize({ sent: save.content, present, seed: save.seed });
  if (toHash(body.hash) === expectedBody) return undefined;
  try {
    return await commitBody(deps, save, body, { branch: save.branch, base: '', call });
  } catch (error) {
    if (error instanceof AppError && answeredInFull.has(error.kind)) return undefined;
    throw error;
  }
}

const answeredInFull: ReadonlySet<string> = new Set(['stale', 'conflict', 'not_found', 'unprocessable']);

async function saveOnWhatIsThere(deps: SaveDeps, save: Save, call: Call): Promise<LessonAtRef> {
  const { courseId, lessonId } = save;
  const node = await deps.versioning.getLesson({ courseId, lessonId, ref: save.branch }, { call });
  checkLesson(node, audienceOf(call.actor, courseId));
  if (node.refKind !== 'branch') throw new AppError('not_found', 'BRANCH_NOT_FOUND', { courseId, branch: save.branch });
  // What cannot be read gives no ids: items without one get new ones.
  const present = node.body === null ? null : (await deps.bodies.readMany(courseId, [node.body])).get(node.body);
  const body = await deps.work.normalize({ sent: save.content, present: present ?? null, seed: save.seed });
  const hash = toHash(body.hash);
  // The empty document on a lesson that has none is no change either.
  const isEmptyStill = node.body === null && Buffer.compare(body.bytes, emptyBytes) === 0;
  const isSame = hash === node.body || isEmptyStill;
  if (isSame && present === undefined) await deps.bodies.putMany(courseId, [body]);
  // Versioning decides under its lock; asking here first only spares the store a body that could not be used.
  const isStale = save.expectedBody !== undefined && save.expectedBody !== (node.body ?? 'none');
  if (isSame || isStale) {
    // A call that was sent again after its commit, by a peer that never got the answer, finds its own work.
    const before = await savedBefore(deps, save, call);
    if (before) return before;
  }
  if (isSame) return { node, hash: isEmptyStill ? 'none' : hash, content: body.bytes, unchanged: true };
  if (isStale) {
    const etag = node.body ?? 'none';
    throw new AppError('stale', 'STALE', { nodeId: lessonId, part: 'body', etag, head: node.head });
  }
  return commitBody(deps, save, body, { branch: node.refName, base: node.head, call });
}

/** Stores the body, then commits its hash. */
async function commitBody(
  deps: SaveDeps,
  input: SaveLessonInput,
  body: PackedBody,
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
  return { node, hash, content: body.bytes, unchanged: made.unchanged };
}

/** What this very command saved when it came before. */
async function savedBefore(
  deps: { bodies: StoredBodies; versioning: Versioning },
  { courseId, lessonId }: SaveLessonInput,
  call: Call,
): Promise<LessonAtRef | undefined> {
  const made = await deps.versioning.madeBefore(call);
  if (made === undefined) return undefined;
  const node = await deps.versioning.getLesson({ courseId, lessonId, ref: made.commit }, { call });
  const content = node.body === null ? emptyBytes : await deps.bodies.read(courseId, node.body);
  const named = { ...node, refKind: 'branch', refName: made.branch };
  return { node: named, hash: node.body ?? 'none', content, unchanged: made.unchanged };
}
