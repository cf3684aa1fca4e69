import { Committed, VersioningState } from '@coursewright/proto/coursewright/events/v1/versioning';
import type { TxSql } from '@coursewright/platform/sql';
import type { Subscription } from '@coursewright/platform/subscription';
import { eventInvalid } from '../domain/errors.js';
import type { CourseHead } from '../domain/review.js';
import type { Heads } from '../operations/ports.js';

/** Versioning's events: which tree the default branch has, so that an approval of another is known as stale. */
export function versioningEvents(heads: Heads): Subscription<TxSql> {
  return {
    source: 'versioning',
    types: ['committed'],
    isIdle: ({ data }) => !Committed.fromJSON(data).defaultBranch,
    async apply(tx, courses) {
      // All are read, so that one that says too little is not hidden by the next.
      const lasts = courses.map(({ courseId, events }) =>
        events.map(({ data }) => headOf(courseId, Committed.fromJSON(data))).at(-1)!,
      );
      await heads.put(tx, lasts);
    },
    async applyState(tx, courseId, json) {
      const { head } = VersioningState.fromJSON(json);
      if (head === undefined) await heads.remove(tx, courseId);
      else await heads.put(tx, [headOf(courseId, head)]);
    },
  };
}

function headOf(courseId: string, { commit, tree, at }: Committed): CourseHead {
  if (commit === '') throw eventInvalid('committed', 'commit');
  if (tree === '') throw eventInvalid('committed', 'tree');
  if (at === undefined) throw eventInvalid('committed', 'at');
  return { courseId, commit, tree, at };
}
