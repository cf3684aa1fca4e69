import { createHmac } from 'node:crypto';
import { emptyLesson } from '@coursewright/course-model/lesson';
import { projectLesson } from '@coursewright/course-model/project-lesson';
import { authorize, rolesOn } from '@coursewright/platform/actor';
import { can } from '@coursewright/course-model/access';
import { AppError } from '@coursewright/platform/errors';
import { renderLesson, RENDER_VERSION, type RenderedPage } from '../domain/render.js';
import { audienceOf, publishedCommit } from './access.js';
import type { Bodies, Call, LessonNode, RenderCache, Versioning } from './ports.js';

/** A lesson as safe HTML for the caller's audience. */
export interface RenderedLesson {
  node: LessonNode;
  /** For staff the body's hash or "none"; for learners a keyed hash of what they see. */
  hash: string;
  /** Empty for learners. */
  commit: string;
  page: RenderedPage;
}

/**
 * Safe HTML of what the caller may see of a lesson, cached by (hash, audience, version of the renderer). Learners get the
 * published commit that their token names and no other, and no hash of anything that they cannot see whole.
 *
 * @throws AppError not_found COURSE_NOT_FOUND, NOT_PUBLISHED; permission_denied FORBIDDEN; unprocessable NOT_A_LESSON
 */
export async function getRendered(
  deps: { bodies: Bodies; versioning: Versioning; cache: RenderCache; hashKey: Uint8Array },
  place: { courseId: string; lessonId: string; ref: string },
  call: Call,
): Promise<RenderedLesson> {
  const { courseId, lessonId } = place;
  authorize(call.actor, courseId, (roles) => can(roles, 'course.read-published'));
  const audience = audienceOf(call.actor, courseId);
  const ref = audience === 'learner' ? learnersRef(call, place) : place.ref;
  const node = await deps.versioning.getLesson({ courseId, lessonId, ref }, { call });
  if (node.kind !== 'lesson' && node.kind !== 'assignment')
    throw new AppError('unprocessable', 'NOT_A_LESSON', { lessonId });
  const body = node.body;
  const render = async () =>
    renderLesson(projectLesson(body === null ? emptyLesson() : await deps.bodies.get(courseId, body), audience));
  const page =
    body === null
      ? await render()
      : await deps.cache.through(`${courseId}:${body}:${audience}:${RENDER_VERSION}`, render);
  if (audience !== 'learner') return { node, hash: body ?? 'none', commit: node.commit, page };
  const hash = createHmac('sha256', deps.hashKey)
    .update(`${body ?? 'none'}\n${audience}\n${RENDER_VERSION}`)
    .digest('base64url');
  return { node, hash, commit: '', page };
}

function learnersRef(call: Call, place: { courseId: string; ref: string }): string {
  const commit = publishedCommit(call.actor, place.courseId);
  if (commit === undefined) throw new AppError('not_found', 'NOT_PUBLISHED', { courseId: place.courseId });
  if (place.ref !== '' && place.ref !== commit) {
    throw new AppError('permission_denied', 'FORBIDDEN', {
      courseId: place.courseId,
      roles: rolesOn(call.actor, place.courseId),
    });
  }
  return commit;
}
