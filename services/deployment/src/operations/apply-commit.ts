import type { TxSql } from '@coursewright/platform/sql';
import { contentChange, type ChangedNode } from '../domain/content.js';
import type { SyncDeps } from './ports.js';

/** A commit on the default branch of a course. */
export interface AppliedCommit {
  readonly courseId: string;
  readonly hash: string;
  readonly at: Date;
  /** Undefined when not all changed nodes are known. */
  readonly nodes: readonly ChangedNode[] | undefined;
}

/**
 * Makes the contents follow a commit, in the transaction that records its event.
 * A commit that changed too much to say, and every one while its course waits to be listed anew, only sets the aim: the listing itself
 * asks versioning, which no transaction should wait for.
 */
export async function applyCommit<Tx extends TxSql>(
  deps: Pick<SyncDeps<Tx>, 'contents' | 'jobs'>,
  tx: Tx,
  commit: AppliedCommit,
): Promise<void> {
  const aim = { courseId: commit.courseId, commit: commit.hash, requestedAt: commit.at };
  if (commit.nodes === undefined) return deps.jobs.request(tx, aim);
  if (await deps.jobs.moveAim(tx, aim)) return;
  const { present, absent } = contentChange(commit.courseId, commit, commit.nodes);
  if (present.length > 0) await deps.contents.put(tx, present);
  if (absent.length > 0)
    await deps.contents.markRemoved(tx, { courseId: commit.courseId, nodeIds: absent, at: commit.at });
}
