import type { CourseFailure, Inbox } from './inbox.js';
import type { Logger } from './logger.js';

/** Rounds over all courses of a source, in the background. */
export interface CatchUps {
  /** Starts a round; when one is under way, another one after it, since that one may have passed what is meant. */
  soon(): void;
  /** False once rounds have failed for some seconds. */
  isWell(): boolean;
  stop(): Promise<void>;
}

const firstPauseMs = 250;
const sourcePauseMs = 2_000;
const coursePauseMs = 30_000;
const unwellAfterMs = 3_000;

/** Catches up with a source until nothing is missing: waits for it while it is away, and tries again what failed with single courses. */
export function followCatchUp(options: {
  readonly source: string;
  readonly inbox: Inbox;
  readonly logger: Logger;
  /** Courses that are another replica's are left to it. */
  readonly isOurs: (courseId: string) => boolean;
}): CatchUps {
  const { source, inbox, logger, isOurs } = options;
  let stopping = false;
  let asked = false;
  let under: Promise<void> | undefined;
  let failingSince: number | undefined;
  let endPause: () => void = () => undefined;
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  /** One round that came to its end, however long the source was away. */
  async function round(): Promise<readonly CourseFailure[]> {
    for (let ms = firstPauseMs; !stopping; ms = Math.min(ms * 2, sourcePauseMs)) {
      try {
        const { done, failed } = await inbox.catchUpAll(isOurs);
        if (done > 0) logger.info({ source, courses: done }, 'caught up from the source');
        failingSince = undefined;
        return failed;
      } catch (error) {
        failingSince ??= performance.now();
        if (ms === firstPauseMs) logger.warn({ source, reason: String(error) }, 'source not reachable yet');
        await pause(ms);
      }
    }
    return [];
  }

  /** A course that failed holds up no other, so it is tried again by itself. */
  async function again(failed: readonly CourseFailure[]): Promise<readonly CourseFailure[]> {
    const left: CourseFailure[] = [];
    for (const { courseId } of failed) {
      if (stopping || asked) break;
      if (!isOurs(courseId)) continue;
      const result = await inbox.catchUp(courseId).catch((error: unknown) => error);
      if (result instanceof Error) left.push({ courseId, reason: String(result) });
    }
    return left;
  }

  async function work(): Promise<void> {
    while (asked && !stopping) {
      asked = false;
      let failed = await round();
      if (failed.length > 0)
        logger.warn({ source, courses: failed.length, first: failed[0] }, 'courses not caught up yet');
      for (let ms = firstPauseMs; failed.length > 0 && !stopping && !asked; ms = Math.min(ms * 2, coursePauseMs)) {
        await pause(ms);
        failed = await again(failed);
      }
    }
  }
  const soon = (): void => {
    asked = true;
    endPause();
    under ??= work().finally(() => {
      under = undefined;
      // Asked for after the last look of the round that has just ended.
      if (asked && !stopping) soon();
    });
  };
  return {
    soon,
    isWell: () => failingSince === undefined || performance.now() - failingSince < unwellAfterMs,
    async stop() {
      stopping = true;
      endPause();
      await under;
    },
  };
}
