import { NONE, selfEtag } from '../domain/etag.js';
import { listSize } from '../domain/list.js';
import { ObjectPool } from '../domain/object-pool.js';
import type { NodeHead } from '../domain/objects.js';
import {
  childrenOf,
  outlineOf,
  walkNodes,
  type NodeFilter,
  type OutlineNode,
  type PlacedNode,
} from '../domain/outline.js';
import { TreeDraft } from '../domain/tree-draft.js';
import { AppError } from '@coursewright/platform/errors';
import { treeOf } from './commit.js';
import { lastChanges } from './last-changes.js';
import type { Commit, VersioningReads } from './ports.js';
import type { Resolved } from './refs.js';

/** A node at a version, with its etags and the commit that last changed it. */
export interface NodeView {
  readonly head: NodeHead;
  readonly courseId: string;
  readonly parent: string | null;
  readonly position: number;
  readonly selfEtag: string;
  /** Hash of the node's object: everything at and below it. */
  readonly treeEtag: string;
  readonly childrenEtag: string;
  readonly childCount: number;
  readonly changed: Commit;
}

/** The nodes as callers see them; reads their last changes together. */
async function viewsOf(
  reads: VersioningReads,
  at: Resolved,
  pool: ObjectPool,
  nodes: readonly PlacedNode[],
): Promise<NodeView[]> {
  const { courseId } = at.course;
  const changed = await lastChanges(
    reads,
    courseId,
    at.commit,
    nodes.map(({ head }) => head.id),
  );
  return Promise.all(
    nodes.map(async ({ head, hash, parent, position }) => ({
      head,
      courseId,
      parent,
      position,
      selfEtag: selfEtag({ kind: head.kind, fields: head.fields, parent }),
      treeEtag: hash,
      childrenEtag: head.children ?? NONE,
      childCount: await listSize(pool, head.children),
      changed: changed.get(head.id) ?? at.commit,
    })),
  );
}

/** A node of a version with its place. Throws not_found `NODE_NOT_FOUND`. */
async function placedNode(pool: ObjectPool, at: Commit, id: string): Promise<PlacedNode> {
  const draft = await TreeDraft.open(pool, treeOf(at));
  const node = await draft.node(id === '' ? draft.rootId : id);
  if (!node) throw new AppError('not_found', 'NODE_NOT_FOUND', { nodeId: id });
  const parent = node.parent === null ? null : await draft.node(node.parent);
  const position = parent ? await (await draft.list(parent)).positionOf(node.id) : 0;
  return { head: await pool.head(node.hash), hash: node.hash, parent: node.parent, position };
}

/** Nodes as they were at a commit, which never changes: a course page is asked for far more often than the course changes. */
export type NodeMemo = Pick<Map<string, NodeView>, 'get'> & { set(key: string, view: NodeView): unknown };

/** Like `getNode`, from memory where the same node was asked for at the same commit. */
export async function getNodeOnce(memo: NodeMemo, reads: VersioningReads, at: Resolved, id: string): Promise<NodeView> {
  const key = `${at.course.courseId} ${at.commit.hash} ${id}`;
  const known = memo.get(key);
  if (known) return known;
  const view = await getNode(reads, at, id);
  memo.set(key, view);
  return view;
}

/** One node at a ref; the empty id means the root. Throws not_found `NODE_NOT_FOUND`. */
export async function getNode(reads: VersioningReads, at: Resolved, id: string): Promise<NodeView> {
  const pool = new ObjectPool(reads.objects(at.course.courseId));
  const [view] = await viewsOf(reads, at, pool, [await placedNode(pool, at.commit, id)]);
  return view as NodeView;
}

/** The outline below a node at a ref; `depth` null stops at modules. Throws not_found `NODE_NOT_FOUND`. */
export async function getOutline(
  reads: VersioningReads,
  at: Resolved,
  ask: { readonly root: string; readonly depth: number | null },
): Promise<OutlineNode> {
  const pool = new ObjectPool(reads.objects(at.course.courseId));
  const head = ask.root === '' ? await pool.head(at.commit.root) : (await placedNode(pool, at.commit, ask.root)).head;
  return outlineOf(pool, head, ask.depth);
}

/** A page of the children of a node, and the position to go on at. Throws not_found `NODE_NOT_FOUND`. */
export async function listChildren(
  reads: VersioningReads,
  at: Resolved,
  ask: NodeFilter & { readonly parent: string; readonly from: number; readonly limit: number },
): Promise<{ readonly nodes: readonly NodeView[]; readonly next: number | null }> {
  const pool = new ObjectPool(reads.objects(at.course.courseId));
  const { head } = await placedNode(pool, at.commit, ask.parent);
  const size = await listSize(pool, head.children);
  const found: PlacedNode[] = [];
  let position = ask.from;
  while (position < size && found.length < ask.limit) {
    const page = await childrenOf(pool, head, position, Math.min(ask.limit, size - position));
    for (const node of page) {
      if (found.length >= ask.limit) break;
      if (ask.kinds.length === 0 || ask.kinds.includes(node.head.kind)) found.push(node);
      position++;
    }
  }
  return { nodes: await viewsOf(reads, at, pool, found), next: position < size ? position : null };
}

/** A page of all nodes of a tree in document order, and the path to go on at. */
export async function listNodes(
  reads: VersioningReads,
  at: Resolved,
  ask: NodeFilter & { readonly from: readonly number[]; readonly limit: number },
): Promise<{ readonly nodes: readonly NodeView[]; readonly next: readonly number[] | null }> {
  const pool = new ObjectPool(reads.objects(at.course.courseId));
  const root = { head: await pool.head(at.commit.root), hash: at.commit.root, parent: null, position: 0 };
  const { nodes, next } = await walkNodes(pool, root, ask.from, ask);
  return { nodes: await viewsOf(reads, at, pool, nodes), next };
}
