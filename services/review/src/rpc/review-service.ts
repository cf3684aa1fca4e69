import { ReviewServiceDefinition } from '@coursewright/proto/coursewright/review/v1/review';
import { isId } from '@coursewright/platform/ids';
import { serve, type Served } from '@coursewright/platform/rpc-server';
import type { Sql } from '@coursewright/platform/sql';
import { courseNotFound } from '../domain/errors.js';
import { getReviewState } from '../operations/get-review-state.js';
import type { Reviews } from '../operations/ports.js';
import { callers } from './callers.js';

/** Review's RPCs. */
export function reviewService(deps: { readonly reviews: Reviews; readonly sql: Sql }): Served {
  return serve(ReviewServiceDefinition, callers, {
    async getReviewState(request, call) {
      if (!isId(request.courseId)) throw courseNotFound(request.courseId.slice(0, 100));
      return getReviewState(deps, call.actor, request.courseId);
    },
  });
}
