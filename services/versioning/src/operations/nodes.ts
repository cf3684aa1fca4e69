import { AppError } from '@coursewright/platform/errors';
import { audienceIn, narrowed, sees } from '@coursewright/course-model/audience';
import type { Audience } from '@coursewright/course-model/lesson';
import { NONE, selfEtag } from '../domain/etag.js';
import { PUBLISHED } from '../domain/names.js';
import { ObjectPool } from '../domain/object-pool.js';
import type { NodeHead } from '../domain/objects.js';
import { outlineOf, seenChildren, type OutlineNode } from '../domain/outline.js';
import { ANSWER_BYTES, Pace } from '../domain/sizes.js';
import { TreeDraft } from '../domain/tree-draft.js';
import { childrenFrom, walkNodes, weightOfNode, type NodeFilter, type PlacedNode } from '../domain/walk.js';
import { EVERYTHING, SeenList, type Viewer } from '../domain/viewer.js';
import { treeOf } from './commit.js';
import { lastChanges } from './last-changes.js';
import type { Commit, VersioningReads } from './ports.js';
import { resolveForLearner, type Resolved } from './refs.js';

/** A version of a tree, and for whom it is read; staff where nobody is named. */
export interface Reading extends Pick<Resolved, 'course' | 'commit'> {
  readonly viewer?: Viewer;
}

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
  /** Whom the node is for, its ancestors counted in. */
  readonly audience: Audience;
}

const viewerOf = ({ viewer = EVERYTHING }: Reading): Viewer => viewer;

/** The nodes as callers see them; reads their last changes together. */
async function viewsOf(
  reads: VersioningReads,
  at: Reading,
  pool: ObjectPool,
  nodes: readonly PlacedNode[],
): Promise<NodeView[]> {
  const { courseId } = at.course;
  // The lists are read together, and are at hand below.
  await pool.many(nodes.flatMap(({ head }) => head.children ?? []));
  const changed = await lastChanges(
    reads,
    courseId,
    at.commit,
    nodes.map(({ head }) => head.id),
  );
  const views: NodeView[] = [];
  for (const { head, hash, parent, position, audience } of nodes) {
    await pool.turn();
    views.push({
      head,
      courseId,
      parent,
      position,
      selfEtag: selfEtag({ kind: head.kind, fields: head.fields, parent }),
      treeEtag: hash,
      childrenEtag: head.children ?? NONE,
      childCount: (await seenChildren(pool, viewerOf(at), head)).size,
      changed: changed.get(head.id) ?? at.commit,
      audience,
    });
  }
  return views;
}

/** A node of a version with its place. Throws not_found `NODE_NOT_FOUND`, also for one that the viewer does not see. */
async function placedNode(pool: ObjectPool, at: Reading, id: string): Promise<PlacedNode> {
  const viewer = viewerOf(at);
  const draft = await TreeDraft.open(pool, treeOf(at.commit));
  const node = await draft.node(id === '' ? draft.rootId : id);
  const audience = node && (await audienceAt(draft, node.id));
  if (!node || !audience || !sees(viewer.audience, audience))
    throw new AppError('not_found', 'NODE_NOT_FOUND', { nodeId: id });
  const head = await pool.head(node.hash);
  const parent = node.parent === null ? null : await draft.node(node.parent);
  if (!parent) return { head, hash: node.hash, parent: node.parent, position: 0, audience };
  const list = await draft.list(parent);
  const position = new SeenList(viewer, parent.id, list.size).positionOf(await list.positionOf(node.id));
  return { head, hash: node.hash, parent: parent.id, position, audience };
}

/** Whom a node is for: its own audience and those of all above it. */
export async function audienceAt(draft: TreeDraft, id: string): Promise<Audience | null> {
  let audience: Audience | null = null;
  for (let node = await draft.node(id); node; node = node.parent === null ? null : await draft.node(node.parent))
    audience = narrowed(audience ?? 'learner', audienceIn(node.fields.audience));
  return audience;
}

/** Of these nodes, those that a learner with these grants sees; none when what they name is not published. */
export async function seenByLearner(
  reads: VersioningReads,
  courseId: string,
  granted: readonly string[],
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const at = await resolveForLearner(reads, courseId, { granted, ref: PUBLISHED, pinned: undefined }).catch(notThere);
  if (!at) return new Set();
  const draft = await TreeDraft.open(new ObjectPool(reads.objects(courseId)), treeOf(at.commit));
  const audiences = await Promise.all(ids.map((id) => audienceAt(draft, id)));
  return new Set(ids.filter((_, i) => audiences[i] === 'learner'));
}

function notThere(error: unknown): undefined {
  if (error instanceof AppError && error.kind === 'not_found') return undefined;
  throw error;
}

/** Nodes as they were at a commit, which never changes: a course page is asked for far more often than the course changes. */
export type NodeMemo = Pick<Map<string, NodeView>, 'get'> & { set(key: string, view: NodeView): unknown };

/** Like `getNode`, from memory where the same node was asked for at the same commit. */
export async function getNodeOnce(memo: NodeMemo, reads: VersioningReads, at: Reading, id: string): Promise<NodeView> {
  const key = `${at.course.courseId} ${at.commit.hash} ${viewerOf(at).audience} ${id}`;
  const known = memo.get(key);
  if (known) return known;
  const view = await getNode(reads, at, id);
  memo.set(key, view);
  return view;
}

/** One node at a ref; the empty id means the root. Throws not_found `NODE_NOT_FOUND`. */
export async function getNode(reads: VersioningReads, at: Reading, id: string): Promise<NodeView> {
  const pool = new ObjectPool(reads.objects(at.course.courseId));
  const [view] = await viewsOf(reads, at, pool, [await placedNode(pool, at, id)]);
  return view as NodeView;
}

/** The outline below a node at a ref; `depth` null stops at modules. Throws not_found `NODE_NOT_FOUND`. */
export async function getOutline(
  reads: VersioningReads,
  at: Reading,
  ask: { readonly root: string; readonly depth: number | null },
): Promise<OutlineNode> {
  const pool = new ObjectPool(reads.objects(at.course.courseId));
  const { head } = await placedNode(pool, at, ask.root);
  return outlineOf(pool, head, ask.depth, viewerOf(at));
}

/** A page of the children of a node, and the position to go on at. Throws not_found `NODE_NOT_FOUND`. */
export async function listChildren(
  reads: VersioningReads,
  at: Reading,
  ask: NodeFilter & { readonly parent: string; readonly from: number; readonly limit: number },
): Promise<{ readonly nodes: readonly NodeView[]; readonly next: number | null }> {
  const pool = new ObjectPool(reads.objects(at.course.courseId));
  const viewer = viewerOf(at);
  const parent = await placedNode(pool, at, ask.parent);
  const list = await seenChildren(pool, viewer, parent.head);
  const found: PlacedNode[] = [];
  const pace = new Pace();
  let room = ANSWER_BYTES;
  let place = ask.from;
  for (; list.restFrom(place) !== null && found.length < ask.limit;) {
    const limit = Math.min(pace.next(room), ask.limit);
    for (const node of await childrenFrom(pool, { ...parent, list }, { place, limit, viewer })) {
      const isWanted = node !== null && (ask.kinds.length === 0 || ask.kinds.includes(node.head.kind));
      if (node) room -= pace.took(weightOfNode(node.head));
      if (isWanted && (found.length >= ask.limit || (room < 0 && found.length > 0))) break;
      if (isWanted) found.push(node);
      place++;
    }
    if (room < 0) break;
  }
  return { nodes: await viewsOf(reads, at, pool, found), next: list.restFrom(place) };
}

/** A page of all nodes of a tree in document order, and the path to go on at. */
export async function listNodes(
  reads: VersioningReads,
  at: Reading,
  ask: NodeFilter & { readonly from: readonly number[]; readonly limit: number },
): Promise<{ readonly nodes: readonly NodeView[]; readonly next: readonly number[] | null }> {
  const pool = new ObjectPool(reads.objects(at.course.courseId));
  const root = await placedNode(pool, at, '');
  const { nodes, next } = await walkNodes(pool, root, ask.from, { ...ask, viewer: viewerOf(at) });
  return { nodes: await viewsOf(reads, at, pool, nodes), next };
}
