import type { VersioningServiceDefinition } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { isService, type Actor } from '@coursewright/platform/actor';
import { isId } from '@coursewright/platform/ids';
import type { Handlers } from '@coursewright/platform/rpc-server';
import { LRUCache } from 'lru-cache';
import { getCourse } from '../operations/course-state.js';
import { getNodeOnce, getOutline, type NodeView, listChildren, listNodes } from '../operations/nodes.js';
import type { Deps, VersioningReads } from '../operations/ports.js';
import { resolveFor } from './access.js';
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
  const memo = new LRUCache<string, NodeView>({ max: 20_000 });
  return {
    locate: (request, call) => locate(store, request.ids, call.actor),
    async resolveRef({ courseId, ref }, call) {
      checkIds({ courseId });
      return toResolvedRef(await resolveFor(store, call.actor, courseId, ref));
    },
    async getPublished({ courseId }) {
      checkIds({ courseId });
      const course = await store.course(courseId, '');
      return { commit: course?.published ?? '', version: course?.publishedVersion ?? 0 };
    },
    async getCourse({ courseId, ref }, call) {
      checkIds({ courseId });
      const at = await resolveFor(store, call.actor, courseId, ref);
      const [state, root] = await Promise.all([getCourse(store, at), getNodeOnce(memo, store, at, '')]);
      const { course, commit } = at;
      return {
        courseId,
        defaultBranch: state.defaultBranch,
        head: commit.hash,
        tree: commit.root,
        root: toNode(root),
        publishedCommit: state.published?.hash ?? '',
        publishedTree: state.published?.root ?? '',
        publishedVersion: course.publishedVersion,
        latestVersion: course.latestVersion,
        counts: { ...commit.counts },
        headAt: commit.at,
        headBy: commit.author,
      };
    },
    async getOutline({ courseId, ref, rootId, depth }, call) {
      checkIds({ courseId, rootId });
      const at = await resolveFor(store, call.actor, courseId, ref);
      const outline = await getOutline(store, at, { root: rootId, depth: depth > 0 ? depth : null });
      return { ref: toResolvedRef(at), root: toOutlineNode(outline, at.commit.hash) };
    },
    async getNode({ courseId, ref, nodeId }, call) {
      checkIds({ courseId, nodeId });
      const at = await resolveFor(store, call.actor, courseId, ref);
      return { node: toNode(await getNodeOnce(memo, store, at, nodeId)), ref: toResolvedRef(at) };
    },
    async listChildren({ courseId, ref, parentId, kind, cursor, limit }, call) {
      const pinned = fromCursor<ChildrenCursor>(
        cursor,
        (c) => typeof c.commit === 'string' && typeof c.parent === 'string' && isCount(c.from),
      );
      checkIds({ courseId, parentId: pinned?.parent ?? parentId });
      const at = await resolveFor(store, call.actor, courseId, pinned?.commit ?? ref);
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
      const at = await resolveFor(store, call.actor, courseId, pinned?.commit ?? ref);
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

/** The homes of nodes, told to who may know their course, and to services, which ask for their callers. */
async function locate(store: VersioningReads, ids: readonly string[], actor: Actor) {
  if (ids.length > MAX_IDS) refuse('/ids', 'too_many', `at most ${MAX_IDS} ids`);
  const homes = await store.homes(ids.filter(isId));
  const known = new Set(actor.grants.map((grant) => grant.course));
  const isOpen = isService(actor) || actor.roles.includes('admin');
  const visible = homes.filter(({ courseId }) => isOpen || known.has(courseId));
  return { homes: visible.map(({ node, courseId }) => ({ nodeId: node, courseId })) };
}
