import { Committed, VersioningState } from '@coursewright/proto/coursewright/events/v1/versioning';
import type { TxSql } from '@coursewright/platform/sql';
import type { Subscription } from '@coursewright/platform/subscription';
import { eventInvalid } from '../domain/errors.js';
import type { CourseHead } from '../domain/review.js';
import type { Heads } from '../operations/ports.js';

/** Versioning's events: which tree the default branch has, so that an approval of another is known as stale. */
export function versioningEvents<Tx extends TxSql>(heads: Heads<Tx>): Subscription<Tx> {
  return {
    source: 'versioning',
    handlers: {
      async committed(tx, event) {
        const committed = Committed.fromJSON(event.data);
        if (committed.defaultBranch) await heads.put(tx, headOf(event.courseId, committed));
      },
    },
    isIdle: ({ type, data }) => type === 'committed' && !Committed.fromJSON(data).defaultBranch,
    async applyState(tx, courseId, json) {
      const { head } = VersioningState.fromJSON(json);
      if (head === undefined) await heads.remove(tx, courseId);
      else await heads.put(tx, headOf(courseId, head));
    },
  };
}

function headOf(courseId: string, { commit, tree, at }: Committed): CourseHead {
  if (commit === '') throw eventInvalid('committed', 'commit');
  if (tree === '') throw eventInvalid('committed', 'tree');
  if (at === undefined) throw eventInvalid('committed', 'at');
  return { courseId, commit, tree, at };
}
