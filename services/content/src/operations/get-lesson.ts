import { emptyLesson } from '@coursewright/course-model/lesson';
import { projectLesson, type ProjectedLesson } from '@coursewright/course-model/project-lesson';
import { AppError } from '@coursewright/platform/errors';
import { audienceOf, authorizeAction } from './access.js';
import type { Bodies, Call, LessonNode, Versioning } from './ports.js';

/** A lesson as one of the staff may read it. */
export interface RawLesson {
  node: LessonNode;
  /** Hash of the whole body, or "none". */
  hash: string;
  content: ProjectedLesson;
}

/**
 * A lesson's document as it was written, for staff; the parts for graders only to those who may see them. A lesson without a
 * body has the empty document.
 *
 * @throws AppError permission_denied FORBIDDEN to learners; unprocessable NOT_A_LESSON; those of versioning and the body store
 */
export async function getLesson(
  deps: { bodies: Bodies; versioning: Versioning },
  place: { courseId: string; lessonId: string; ref: string },
  call: Call,
): Promise<RawLesson> {
  authorizeAction(call.actor, place.courseId, 'body.read-raw');
  const node = await deps.versioning.getLesson(place, { call });
  if (node.kind !== 'lesson' && node.kind !== 'assignment') {
    throw new AppError('unprocessable', 'NOT_A_LESSON', { lessonId: place.lessonId });
  }
  const doc = node.body === null ? emptyLesson() : await deps.bodies.get(place.courseId, node.body);
  return { node, hash: node.body ?? 'none', content: projectLesson(doc, audienceOf(call.actor, place.courseId)) };
}
