import { Committed, VersioningState } from '@coursewright/proto/coursewright/events/v1/versioning';
import { isId } from '@coursewright/platform/ids';
import type { TxSql } from '@coursewright/platform/sql';
import type { Subscription } from '@coursewright/platform/subscription';
import type { ChangedNode } from '../domain/content.js';
import { eventInvalid } from '../domain/errors.js';
import { kindFromProto } from '../node-kind.js';
import { applyCommit, type AppliedCommit } from '../operations/apply-commit.js';
import type { SyncDeps } from '../operations/ports.js';

/** Versioning's events: which nodes of the default branch can be deployed on. */
export function versioningEvents<Tx extends TxSql>(
  deps: Pick<SyncDeps<Tx>, 'contents' | 'jobs'> & { readonly onSyncNeeded: () => void; readonly now: () => Date },
): Subscription<Tx> {
  const apply = async (tx: Tx, commit: AppliedCommit): Promise<void> => {
    await applyCommit(deps, tx, commit);
    if (commit.nodes === undefined) tx.afterCommit(deps.onSyncNeeded);
  };
  return {
    source: 'versioning',
    types: ['committed'],
    isIdle: ({ data }) => !concernsContents(Committed.fromJSON(data)),
    async apply(tx, courses) {
      for (const { courseId, events } of courses)
        for (const { data } of events) await apply(tx, commitOf(courseId, Committed.fromJSON(data)));
    },
    async applyState(tx, courseId, json) {
      const { head } = VersioningState.fromJSON(json);
      // A state names no nodes: they are asked for. Rows of removed nodes are nowhere else, so they stay, marked.
      if (head !== undefined) return apply(tx, { ...commitOf(courseId, head), nodes: undefined });
      await deps.jobs.cancel(tx, courseId);
      await deps.contents.replace(tx, { courseId, contents: [], at: deps.now() });
    },
  };
}

/** Whether a commit may change what can be deployed on, or what is told of it. Another text of a lesson is nothing to anybody here. */
function concernsContents({ defaultBranch, nodes, truncated }: Committed): boolean {
  return defaultBranch && (truncated || nodes.some(({ submittable, bodyOnly }) => submittable || !bodyOnly));
}

function commitOf(courseId: string, { commit, at, nodes, truncated }: Committed): AppliedCommit {
  if (commit === '') throw eventInvalid('committed', 'commit');
  if (at === undefined) throw eventInvalid('committed', 'at');
  return { courseId, hash: commit, at, nodes: truncated ? undefined : nodes.map(nodeOf) };
}

function nodeOf(node: Committed['nodes'][number]): ChangedNode {
  const kind = kindFromProto(node.kind);
  if (!isId(node.id)) throw eventInvalid('committed', 'nodes.id');
  if (kind === undefined) throw eventInvalid('committed', 'nodes.kind');
  return { ...node, kind };
}
