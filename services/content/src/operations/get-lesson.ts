import { emptyBytes } from '../domain/body-tasks.js';
import { audienceOf, authorizeAction, checkLesson, keyedHash } from './access.js';
import type { BodyWork } from './body-work.js';
import type { Call, LessonNode, StoredBodies, Versioning } from './ports.js';

/** A lesson as one of the staff may read it. */
export interface RawLesson {
  node: LessonNode;
  /** Of the whole body, or "none"; for who may not see all of it a keyed hash of what they see. */
  hash: string;
  /** Canonical JSON in UTF-8. */
  content: Uint8Array;
}

/**
 * A lesson's document as it was written, for staff; what only graders may see, only to them. A lesson without a body has the empty
 * document.
 *
 * @throws AppError permission_denied FORBIDDEN to learners; not_found NODE_NOT_FOUND; unprocessable NOT_A_LESSON; internal
 *   STORED_BODY_MISSING, STORED_BODY_CORRUPT (details `hash`: a save may still name it as what it replaces); those of versioning
 */
export async function getLesson(
  deps: { bodies: StoredBodies; versioning: Versioning; work: BodyWork; hashKey: Uint8Array },
  place: { courseId: string; lessonId: string; ref: string },
  call: Call,
): Promise<RawLesson> {
  authorizeAction(call.actor, place.courseId, 'body.read-raw');
  const reader = audienceOf(call.actor, place.courseId);
  const node = await deps.versioning.getLesson(place, { call });
  checkLesson(node, reader);
  const bytes = node.body === null ? emptyBytes : await deps.bodies.read(place.courseId, node.body);
  if (reader === 'grader') return { node, hash: node.body ?? 'none', content: bytes };
  const content = await deps.work.project({ bytes, reader, within: node.audience });
  return { node, hash: keyedHash(deps.hashKey, reader, content), content };
}
