import type {
  Branch,
  CommitInfo,
  CommitResponse,
  CompareItem as WireItem,
  Node,
  OutlineNode as WireOutline,
  ResolvedRef,
} from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { NodeKind as Wire } from '@coursewright/proto/coursewright/common/v1/common';
import type { NodeDiff, NodePlace } from '../domain/diff.js';
import type { OutlineNode } from '../domain/outline.js';
import type { BranchView } from '../operations/branches.js';
import type { NodeView } from '../operations/nodes.js';
import type { WriteResult } from '../operations/outcomes.js';
import type { Commit } from '../operations/ports.js';
import type { Resolved } from '../operations/refs.js';
import { toCursor, toWireKind } from './convert.js';

export function toCommitResponse(result: WriteResult): CommitResponse {
  return { ...result, at: new Date(result.at), nodeIds: [...result.nodeIds] };
}

export function toResolvedRef(at: Resolved): ResolvedRef {
  return {
    courseId: at.course.courseId,
    commit: at.commit.hash,
    tree: at.commit.root,
    kind: at.kind,
    name: at.name,
    branchId: at.branchId,
  };
}

export function toNode(view: NodeView): Node {
  const { head, changed } = view;
  return {
    id: head.id,
    courseId: view.courseId,
    kind: toWireKind(head.kind),
    parentId: view.parent ?? '',
    position: view.position,
    fields: { ...head.fields },
    body: head.body ?? '',
    source: head.source ? { ...head.source } : undefined,
    selfEtag: view.selfEtag,
    treeEtag: view.treeEtag,
    childrenEtag: view.childrenEtag,
    childCount: view.childCount,
    commit: changed.hash,
    updatedAt: changed.at,
    updatedBy: changed.author,
    audience: view.audience,
  };
}

/** `commit` is pinned by the cursors of nodes whose children did not fit. */
export function toOutlineNode(node: OutlineNode, commit: string): WireOutline {
  const { head } = node;
  return {
    id: head.id,
    kind: toWireKind(head.kind),
    fields: { ...head.fields },
    body: head.body ?? '',
    children: node.children.map((child) => toOutlineNode(child, commit)),
    next: node.next === null ? '' : childrenCursor(commit, head.id, node.next),
    childCount: node.childCount,
  };
}

/** Where a list of children goes on, at which commit. */
export function childrenCursor(commit: string, parent: string, from: number): string {
  return toCursor({ commit, parent, from });
}

export function toCommitInfo(courseId: string, commit: Commit): CommitInfo {
  const { hash, parents, root, author, authorName, at, kind, message, changes } = commit;
  return {
    hash,
    courseId,
    parents: [...parents],
    tree: root,
    authorId: author,
    authorName,
    at,
    kind,
    message,
    changes: { ...changes },
  };
}

export function toBranchMessage(branch: BranchView): Branch {
  return {
    id: branch.id,
    name: branch.name,
    courseId: branch.courseId,
    head: branch.head,
    parent: branch.parentName,
    base: branch.base ?? '',
    protected: branch.isProtected,
    ahead: branch.ahead,
    behind: branch.behind,
    createdBy: branch.createdBy,
    createdAt: branch.createdAt,
    metadata: { ...branch.metadata },
    revision: branch.revision,
    defaultBranch: branch.isDefault,
  };
}

export function toCompareItem(item: NodeDiff): WireItem {
  const present = item.after ?? item.before;
  const title = present?.fields.title;
  return {
    nodeId: item.id,
    kind: toWireKind(present?.kind ?? 'lesson'),
    title: typeof title === 'string' ? title : '',
    path: [...item.path],
    changes: [...item.changes],
    fields: item.fields.map(({ pointer, from, to }) => ({ pointer, from, to })),
    from: toPlace(item.from),
    to: toPlace(item.to),
    fromBody: item.before?.body ?? '',
    toBody: item.after?.body ?? '',
    fromKind: item.changes.includes('kind_changed') ? toWireKind(item.before?.kind ?? 'lesson') : Wire.UNSPECIFIED,
  };
}

function toPlace(place: NodePlace | null) {
  return place ? { parentId: place.parent ?? '', position: place.position } : undefined;
}
