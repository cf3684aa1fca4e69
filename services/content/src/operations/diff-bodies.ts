import { diffLessons, type LessonChange } from '@coursewright/course-model/lesson-diff';
import { emptyLesson, type LessonDocument } from '@coursewright/course-model/lesson';
import { projectLesson } from '@coursewright/course-model/project-lesson';
import { AppError } from '@coursewright/platform/errors';
import { audienceOf, authorizeAction } from './access.js';
import type { Bodies, Call } from './ports.js';

/** Two bodies of a node to be compared; null for none. */
export interface BodyPair {
  nodeId: string;
  from: string | null;
  to: string | null;
}

/** What differs between the two bodies of a node. `truncated`: values and hunks were left out, pointers are all there. */
export interface BodyDiff {
  nodeId: string;
  changes: LessonChange[];
  truncated: boolean;
}

const MAX_PAIRS = 200;
/** Bytes of JSON of one diff and of all of an answer; a diff beyond it keeps its pointers alone. */
const MAX_DIFF_BYTES = 256 * 1024;
const MAX_ANSWER_BYTES = 3 * 1024 * 1024;

/**
 * What differs between pairs of bodies, item by item by id, texts line by line; only what the caller may see.
 *
 * @throws AppError invalid_argument TOO_MANY_PAIRS; internal STORED_BODY_MISSING
 */
export async function diffBodies(
  deps: { bodies: Bodies },
  request: { courseId: string; pairs: readonly BodyPair[] },
  call: Call,
): Promise<BodyDiff[]> {
  authorizeAction(call.actor, request.courseId, 'body.read-raw');
  if (request.pairs.length > MAX_PAIRS) throw new AppError('invalid_argument', 'TOO_MANY_PAIRS', { limit: MAX_PAIRS });
  const audience = audienceOf(call.actor, request.courseId);
  const hashes = [...new Set(request.pairs.flatMap((pair) => [pair.from, pair.to]).filter((hash) => hash !== null))];
  const docs = await deps.bodies.getMany(request.courseId, hashes);
  const docOf = (hash: string | null): LessonDocument => {
    if (hash === null) return emptyLesson();
    const doc = docs.get(hash);
    if (!doc) throw new AppError('internal', 'STORED_BODY_MISSING', { courseId: request.courseId, hash });
    return projectLesson(doc, audience) as LessonDocument;
  };
  let left = MAX_ANSWER_BYTES;
  return request.pairs.map(({ nodeId, from, to }) => {
    const changes = diffLessons(docOf(from), docOf(to));
    const bytes = Buffer.byteLength(JSON.stringify(changes));
    if (bytes <= Math.min(MAX_DIFF_BYTES, left)) {
      left -= bytes;
      return { nodeId, changes, truncated: false };
    }
    return {
      nodeId,
      changes: changes.slice(0, 200).map(({ pointer, change }) => ({ pointer, change })),
      truncated: true,
    };
  });
}
