import type { Import } from '@coursewright/proto/coursewright/content/v1/content';
import type { Reply } from '../http/route.js';
import { orNull, timeOf } from './common.js';

/** An import as it stands. */
export function importReply(job: Import, status: number): Reply {
  const { units = 0, modules = 0, lessons = 0, assignments = 0 } = job.counts ?? {};
  const body = {
    id: job.id,
    format: job.format,
    state: job.state,
    progress: { done: job.done, total: job.total ?? null },
    courseId: orNull(job.courseId),
    commit: orNull(job.commit),
    source: { read: job.sourceRead, mapped: job.sourceMapped, kept: job.sourceKept },
    counts: { units, modules, lessons, assignments, items: job.items, assets: job.assets },
    losses: job.losses.map(({ source, what, kept }) => ({ source, what, kept })),
    lossCount: job.lossCount,
    error: job.error ? { reason: job.error.reason, message: job.error.message } : null,
    startedBy: job.startedBy,
    startedAt: timeOf(job.startedAt),
    finishedAt: job.finishedAt ? timeOf(job.finishedAt) : null,
  };
  return { status, body, etag: [String(job.revision)] };
}
