import { can } from '@coursewright/course-model/access';
import type { Audience } from '@coursewright/course-model/lesson';
import { authorize } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { emptyBytes, type Rendering } from '../domain/body-tasks.js';
import { RENDER_VERSION, type RenderedPage } from '../domain/render.js';
import { audienceOf, checkLesson, keyedHash, publishedCommit } from './access.js';
import type { BodyWork } from './body-work.js';
import type { PageMemory } from './page-memory.js';
import type { Call, LessonNode, RenderCache, StoredBodies, Versioning } from './ports.js';

/** A lesson as safe HTML for the caller's audience. */
export interface RenderedLesson {
  node: LessonNode;
  /** The body's hash or "none"; for who may not see all of it a keyed hash of what they see. */
  hash: string;
  /** Empty for learners. */
  commit: string;
  page: RenderedPage;
}

/** What rendering needs. */
export interface RenderDeps {
  bodies: StoredBodies;
  versioning: Versioning;
  work: BodyWork;
  cache: RenderCache;
  /** Pages with parts that took too long. */
  costlyPages: PageMemory;
  hashKey: Uint8Array;
}

/** Time for a page, and for what is left of it each time that a part took too long: all within a call's deadline. */
const ATTEMPTS_MS = [2_000, 1_000, 1_000];
const LAST_MS = 1_000;

/**
 * Safe HTML of what the caller may see of a lesson, cached by (hash, audiences of reader and lesson, version of the renderer). A part
 * that is beyond the limits or takes too long is replaced by a note, the others are shown. Learners get the published commit that
 * their token names and no other, and nobody a hash of anything that they cannot see whole.
 *
 * @throws AppError not_found COURSE_NOT_FOUND, NOT_PUBLISHED, REF_NOT_FOUND, NODE_NOT_FOUND; unprocessable NOT_A_LESSON
 */
export async function getRendered(
  deps: RenderDeps,
  place: { courseId: string; lessonId: string; ref: string },
  call: Call,
): Promise<RenderedLesson> {
  const { courseId, lessonId } = place;
  authorize(call.actor, courseId, (roles) => can(roles, 'course.read-published'));
  const reader = audienceOf(call.actor, courseId);
  const ref = reader === 'learner' ? learnersRef(call, place) : place.ref;
  const node = await deps.versioning.getLesson({ courseId, lessonId, ref }, { call });
  checkLesson(node, reader);
  const { page, digest } = await renderingOf(deps, node, reader);
  const hash =
    reader === 'grader'
      ? (node.body ?? 'none')
      : keyedHash(deps.hashKey, reader, `rendered ${RENDER_VERSION}\n${digest}`);
  return { node, hash, commit: reader === 'learner' ? '' : node.commit, page };
}

async function renderingOf(deps: RenderDeps, node: LessonNode, reader: Audience): Promise<Rendering> {
  const key = [node.courseId, node.body ?? 'none', reader, node.audience, RENDER_VERSION].join(':');
  const known = deps.costlyPages.get(key);
  if (known) return known;
  try {
    return await deps.cache.through(key, async () => {
      const bytes = node.body === null ? emptyBytes : await deps.bodies.read(node.courseId, node.body);
      const { rendering, isWhole } = await render(deps.work, { bytes, reader, within: node.audience });
      // What took too long on a busy day may not on another: such a page is not kept for a day, nor shared.
      if (!isWhole) throw new CostlyPage(rendering);
      return rendering;
    });
  } catch (error) {
    if (!(error instanceof CostlyPage)) throw error;
    deps.costlyPages.set(key, error.rendering);
    return error.rendering;
  }
}

class CostlyPage extends Error {
  constructor(readonly rendering: Rendering) {
    super('a part took too long');
  }
}

/** Renders a page; the part that took too long is left out at the next attempt, at the last one all from there on. */
async function render(
  work: BodyWork,
  what: { bytes: Uint8Array; reader: Audience; within: Audience },
): Promise<{ rendering: Rendering; isWhole: boolean }> {
  const costly: number[] = [];
  for (const deadlineMs of ATTEMPTS_MS) {
    const place = new Int32Array(new SharedArrayBuffer(4)).fill(-1);
    try {
      const rendering = await work.render({ ...what, costly, place }, deadlineMs);
      return { rendering, isWhole: costly.length === 0 };
    } catch (error) {
      if (!(error instanceof AppError) || error.reason !== 'WORK_TOO_COSTLY') throw error;
      costly.push(place[0] ?? -1);
    }
  }
  const place = new Int32Array(new SharedArrayBuffer(4));
  const rest = { ...what, costly, costlyFrom: Math.max(0, ...costly), place };
  return { rendering: await work.render(rest, LAST_MS), isWhole: false };
}

/** The only ref that a learner may name; any other is as absent for them as one that is not there. */
function learnersRef(call: Call, place: { courseId: string; ref: string }): string {
  const commit = publishedCommit(call.actor, place.courseId);
  if (commit === undefined) throw new AppError('not_found', 'NOT_PUBLISHED', { courseId: place.courseId });
  if (place.ref !== '' && place.ref !== commit) throw new AppError('not_found', 'REF_NOT_FOUND', { ref: place.ref });
  return commit;
}
