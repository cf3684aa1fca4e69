import type { NewEvent } from '@coursewright/platform/event';
import type { ChangeCounts, NodeChange } from './changes.js';
import type { Counts } from './kinds.js';
import type { Fields, NodeKind } from './objects.js';

/** An event lists at most this many changed nodes. */
export const EVENT_NODES = 200;

/** What `committed` says, in the words of the domain. */
export interface CommittedFact {
  readonly courseId: string;
  readonly branch: { readonly id: string; readonly name: string; readonly isDefault: boolean };
  readonly commit: {
    readonly hash: string;
    readonly parents: readonly string[];
    readonly root: string;
    readonly author: string;
    readonly authorName: string;
    readonly at: Date;
    readonly message: string;
    readonly kind: string;
    readonly changes: ChangeCounts;
    readonly counts: Counts;
  };
  readonly nodes: readonly NodeChange[];
  /** More nodes changed than `nodes` has. */
  readonly isCut: boolean;
  readonly rootFields: Fields;
  /** Number of the row of the course's ref log that the commit made. */
  readonly logSeq: number;
}

/** The event `committed`: a visible branch has a new head. */
export function committed(fact: CommittedFact): NewEvent {
  return { type: 'committed', courseId: fact.courseId, at: fact.commit.at, data: committedData(fact) };
}

/** coursewright.events.v1.Committed as proto3 JSON. */
export function committedData({
  courseId,
  branch,
  commit,
  nodes,
  isCut,
  rootFields,
  logSeq,
}: CommittedFact): Record<string, unknown> {
  return {
    courseId,
    branchId: branch.id,
    branch: branch.name,
    defaultBranch: branch.isDefault,
    commit: commit.hash,
    parents: commit.parents,
    tree: commit.root,
    authorId: commit.author,
    authorName: commit.authorName,
    at: commit.at.toISOString(),
    message: commit.message,
    kind: commit.kind,
    changes: commit.changes,
    nodes: nodes.slice(0, EVENT_NODES).map(changedNode),
    truncated: isCut || nodes.length > EVENT_NODES,
    rootFields,
    counts: commit.counts,
    // An int64 is a string in proto3 JSON.
    logSeq: String(logSeq),
  };
}

function changedNode({ id, kind, what, fields, parent, body, bodyOnly }: NodeChange): Record<string, unknown> {
  return {
    id,
    kind: kindWord(kind),
    what,
    title: typeof fields.title === 'string' ? fields.title : '',
    submittable: fields.submittable === true,
    parentId: parent ?? '',
    body: body ?? '',
    bodyOnly,
  };
}

/** The event `branch-created`. */
export function branchCreated(fact: {
  readonly courseId: string;
  readonly id: string;
  readonly name: string;
  readonly head: string;
  readonly parentId: string | null;
  readonly createdBy: string;
  readonly createdAt: Date;
}): NewEvent {
  const { courseId, id, name, head, parentId, createdBy, createdAt } = fact;
  const data = {
    courseId,
    branchId: id,
    branch: name,
    commit: head,
    parentBranchId: parentId ?? '',
    createdBy,
    at: createdAt.toISOString(),
  };
  return { type: 'branch-created', courseId, at: createdAt, data };
}

/** The name of a kind in coursewright.common.v1.NodeKind. */
export function kindWord(kind: NodeKind): `NODE_KIND_${Uppercase<NodeKind>}` {
  return `NODE_KIND_${kind.toUpperCase() as Uppercase<NodeKind>}`;
}
