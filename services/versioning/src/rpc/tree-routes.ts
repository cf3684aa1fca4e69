import type {
  CourseRepository,
  GetCourseRequest,
  VersioningServiceDefinition,
} from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { isService, type Actor } from '@coursewright/platform/actor';
import { isId } from '@coursewright/platform/ids';
import type { Handlers } from '@coursewright/platform/rpc-server';
import { LRUCache } from 'lru-cache';
import { NO_COUNTS } from '../domain/kinds.js';
import { memoryOf } from '../domain/sizes.js';
import { getCourse } from '../operations/course-state.js';
import { hiddenNodes, without } from '../operations/hidden-nodes.js';
import {
  getNodeOnce,
  getOutline,
  type NodeMemo,
  type NodeView,
  listChildren,
  listNodes,
  seenByLearner,
} from '../operations/nodes.js';
import type { Deps, VersioningReads } from '../operations/ports.js';
import { grantedTo, readsDrafts, resolveFor } from './access.js';
import { checkIds, fromCursor, isCount, refuse, toCursor, toKinds, toLimit } from './convert.js';
import { childrenCursor, toNode, toOutlineNode, toResolvedRef } from './views.js';

type All = Handlers<typeof VersioningServiceDefinition>;
type TreeReads =
  'locate' | 'resolveRef' | 'getPublished' | 'getCourse' | 'getOutline' | 'getNode' | 'listChildren' | 'listNodes';
const MAX_IDS = 500;

interface ChildrenCursor {
  readonly commit: string;
  readonly parent: string;
  readonly from: number;
}

/** Handlers of the calls that read a tree at a ref. */
export function treeRoutes({ store }: Deps): Pick<All, TreeReads> {
  const memo = createNodeMemo();
  return {
    locate: (request, call) => locate(store, request.ids, call.actor),
    async resolveRef({ courseId, ref }, call) {
      checkIds({ courseId });
      return toResolvedRef(await resolveFor(store, call.actor, courseId, { ref }));
    },
    async getPublished({ courseId }) {
      checkIds({ courseId });
      const course = await store.course(courseId, '');
      return { commit: course?.published ?? '', version: course?.publishedVersion ?? 0 };
    },
    getCourse: (request, call) => courseAt(store, memo, request, call.actor),
    async getOutline({ courseId, ref, rootId, depth }, call) {
      checkIds({ courseId, rootId });
      const at = await resolveFor(store, call.actor, courseId, { ref });
      const outline = await getOutline(store, at, { root: rootId, depth: depth > 0 ? depth : null });
      return { ref: toResolvedRef(at), root: toOutlineNode(outline, at.commit.hash) };
    },
    async getNode({ courseId, ref, nodeId }, call) {
      checkIds({ courseId, nodeId });
      const at = await resolveFor(store, call.actor, courseId, { ref });
      return { node: toNode(await getNodeOnce(memo, store, at, nodeId)), ref: toResolvedRef(at) };
    },
    async listChildren({ courseId, ref, parentId, kind, cursor, limit }, call) {
      const pinned = fromCursor<ChildrenCursor>(
        cursor,
        (c) => typeof c.commit === 'string' && typeof c.parent === 'string' && isCount(c.from),
      );
      checkIds({ courseId, parentId: pinned?.parent ?? parentId });
      const at = await resolveFor(store, call.actor, courseId, { ref, pinned: pinned?.commit });
      const parent = pinned?.parent ?? parentId;
      const ask = {
        parent,
        from: pinned?.from ?? 0,
        limit: toLimit(limit, 1_000),
        kinds: toKinds([kind]),
        submittableOnly: false,
      };
      const { nodes, next } = await listChildren(store, at, ask);
      const rest = next === null ? '' : childrenCursor(at.commit.hash, parent, next);
      return { nodes: nodes.map(toNode), next: rest, ref: toResolvedRef(at) };
    },
    async listNodes({ courseId, ref, kinds, submittableOnly, cursor, limit }, call) {
      checkIds({ courseId });
      const pinned = fromCursor<{ commit: string; path: number[] }>(
        cursor,
        (c) => typeof c.commit === 'string' && Array.isArray(c.path) && c.path.every(isCount),
      );
      const at = await resolveFor(store, call.actor, courseId, { ref, pinned: pinned?.commit });
      const ask = { kinds: toKinds(kinds), submittableOnly, from: pinned?.path ?? [], limit: toLimit(limit, 1_000) };
      const { nodes, next } = await listNodes(store, at, ask);
      return {
        nodes: nodes.map(toNode),
        next: toCursor(next && { commit: at.commit.hash, path: next }),
        ref: toResolvedRef(at),
      };
    },
  };
}

/** A course at a ref; learners are told of what they see alone. */
async function courseAt(
  store: VersioningReads,
  memo: NodeMemo,
  { courseId, ref }: GetCourseRequest,
  actor: Actor,
): Promise<CourseRepository> {
  checkIds({ courseId });
  const at = await resolveFor(store, actor, courseId, { ref });
  const [state, root] = await Promise.all([getCourse(store, at), getNodeOnce(memo, store, at, '')]);
  const { course, commit } = at;
  const isLearner = !readsDrafts(actor, courseId);
  const hidden = isLearner ? (await hiddenNodes(store, courseId, commit)).counts : NO_COUNTS;
  return {
    courseId,
    defaultBranch: state.defaultBranch,
    head: commit.hash,
    tree: commit.root,
    root: toNode(root),
    publishedCommit: state.published?.hash ?? '',
    publishedTree: state.published?.root ?? '',
    publishedVersion: course.publishedVersion,
    // Which versions there are beside the published one is nothing for learners.
    latestVersion: isLearner ? course.publishedVersion : course.latestVersion,
    counts: without(commit.counts, hidden),
    headAt: commit.at,
    headBy: commit.author,
  };
}

/**
 * The homes of nodes. Our services ask for their callers and are told all; staff are told those of their courses, a learner those that
 * he sees in what is published: whether there is a draft is nothing for him.
 */
async function locate(store: VersioningReads, ids: readonly string[], actor: Actor) {
  if (ids.length > MAX_IDS) refuse('/ids', 'too_many', `at most ${MAX_IDS} ids`);
  const homes = await store.homes(ids.filter(isId));
  const isOpen = isService(actor) || actor.roles.includes('admin');
  const mine = new Set(actor.grants.map((grant) => grant.course));
  const known = isOpen ? homes : homes.filter(({ courseId }) => mine.has(courseId));
  const seen = await Promise.all(
    [...Map.groupBy(known, ({ courseId }) => courseId)].map(async ([courseId, own]) => {
      if (readsDrafts(actor, courseId)) return own;
      const granted = grantedTo(actor, courseId);
      const visible = await seenByLearner(
        store,
        courseId,
        granted,
        own.map(({ node }) => node),
      );
      return own.filter(({ node }) => visible.has(node));
    }),
  );
  return { homes: seen.flat().map(({ node, courseId }) => ({ nodeId: node, courseId })) };
}

/** What nodes take that were read a moment ago. */
const MEMO_BYTES = 16 * 1024 * 1024;

/** Nodes by commit, so that a course page costs its heads once. */
export function createNodeMemo(maxBytes: number = MEMO_BYTES): LRUCache<string, NodeView> {
  return new LRUCache({ maxSize: maxBytes, sizeCalculation: (view, key) => 1_200 + key.length + memoryOf(view.head) });
}
