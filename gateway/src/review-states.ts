import { AppError } from '@coursewright/platform/errors';
import type { CallOptions } from '@coursewright/platform/rpc-client';
import type { Peers } from './peers.js';

/** Where the review of a course stands. */
export interface Review {
  readonly state: string;
  readonly tree: string;
  /** The tree of the default branch as review has heard of it. */
  readonly knownTree: string;
}

/** Asks where reviews stand, and takes no for an answer. */
export interface ReviewStates {
  /** Undefined while review cannot be reached: callers then use what catalog has projected. */
  of(courseId: string, options: CallOptions): Promise<Review | undefined>;
}

const patienceMs = 300;
const pauseMs = 1_000;

/** After a failure review is left alone for a second, so that its absence costs no request its time. */
export function createReviewStates(peers: Pick<Peers, 'review'>, now: () => number = Date.now): ReviewStates {
  let silentUntil = 0;
  return {
    async of(courseId, options) {
      if (now() < silentUntil || options.call === undefined) return undefined;
      const deadline = Math.min(options.call.deadline ?? Infinity, now() + patienceMs);
      try {
        return await peers.review.getReviewState({ courseId }, { call: { ...options.call, deadline } });
      } catch (error) {
        const isAway =
          error instanceof AppError && ['unavailable', 'deadline_exceeded', 'unimplemented'].includes(error.kind);
        if (!isAway) throw error;
        silentUntil = now() + pauseMs;
        return undefined;
      }
    },
  };
}
