import type { TxSql } from '@coursewright/platform/sql';
import type { SyncDeps } from './ports.js';

const leaseMs = 30_000;
const longestPauseMs = 60_000;

/**
 * Lists the contents of one waiting course anew; false when none waits.
 * What was fetched is used only if the aim is still the same, so a commit that came meanwhile is never undone by an older listing.
 */
export async function syncNext<Tx extends TxSql>(deps: SyncDeps<Tx>): Promise<boolean> {
  const job = await deps.database.tx((tx) => deps.jobs.claim(tx, leaseMs));
  if (job === undefined) return false;
  try {
    // A large course has many pages: while they come, nobody else takes it.
    const prolong = () => deps.database.tx((tx) => deps.jobs.lease(tx, job.courseId, leaseMs));
    const contents = await deps.trees.listSubmittable(job.courseId, job.commit, prolong);
    await deps.database.tx(async (tx) => {
      if (await deps.jobs.finish(tx, job))
        await deps.contents.replace(tx, { courseId: job.courseId, contents, at: job.requestedAt });
      else await deps.jobs.lease(tx, job.courseId, 0);
    });
  } catch (error) {
    deps.logger.warn({ reason: String(error), attempts: job.attempts }, 'contents could not be listed anew yet');
    const pause = Math.min(500 * 2 ** Math.min(job.attempts, 7), longestPauseMs);
    await deps.database.tx((tx) => deps.jobs.lease(tx, job.courseId, pause));
  }
  return true;
}
