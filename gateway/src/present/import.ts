import type { Import, KeptPart, Loss } from '@coursewright/proto/coursewright/content/v1/content';
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
    losses: job.losses.map(lossJson),
    lossCount: job.lossCount,
    error: job.error ? { reason: job.error.reason, message: job.error.message } : null,
    startedBy: job.startedBy,
    startedAt: timeOf(job.startedAt),
    finishedAt: job.finishedAt ? timeOf(job.finishedAt) : null,
  };
  return { status, body, etag: [String(job.revision)] };
}

/** One line of what has no full counterpart. */
export function lossJson({ source, what, kept }: Loss): { source: string; what: string; kept: boolean } {
  return { source, what, kept };
}

/** Something that is kept beside the course: attributes, a text, or a file by its hash. */
export function keptJson(part: KeptPart): Record<string, unknown> {
  const { source, kind, attributes, text, hash, bytes, type } = part;
  if (kind === 'file') return { source, kind, hash, bytes, type };
  return kind === 'attributes' ? { source, kind, attributes } : { source, kind, text };
}
