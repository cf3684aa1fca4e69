import { fromHash } from '@coursewright/platform/ids';
import type { TestService } from './service.js';

/** Makes a commit the published one (null: none is), `agoMs` ago; written as publishing will write it. */
export async function publish(service: TestService, courseId: string, commit: string | null, agoMs = 0): Promise<void> {
  const hash = commit === null ? null : fromHash(commit);
  await service.database.pool.query(
    `WITH o AS (SELECT published AS old, log_seq FROM course WHERE course_id = $1 FOR UPDATE),
       c AS (UPDATE course SET published = $2, published_version = 1, latest_version = 3, log_seq = course.log_seq + 1
             FROM o WHERE course_id = $1)
     INSERT INTO ref_log (course_id, seq, ref, old, new, actor, reason, at, prev_hash, hash)
     SELECT $1, o.log_seq + 1, 'published', o.old, $2, 'pub', 'publish', now() - $3 * interval '1 millisecond', '', '' FROM o`,
    [courseId, hash, agoMs],
  );
}
