import { audienceIn } from '@coursewright/course-model/audience';
import { withKind, hasChildren, NO_COUNTS, type Counts } from '../domain/kinds.js';
import { ObjectPool } from '../domain/object-pool.js';
import type { NodeHead } from '../domain/objects.js';
import { readPage } from '../domain/list.js';
import { TreeDraft } from '../domain/tree-draft.js';
import type { HiddenNodes, Viewer } from '../domain/viewer.js';
import type { Commit, VersioningReads } from './ports.js';

/** Heads are large: so many of them are in memory at once. */
const AT_ONCE = 50;

/** A learner at a version: what is not for learners is not there. */
export async function learnersView(reads: VersioningReads, courseId: string, at: Commit): Promise<Viewer> {
  return { audience: 'learner', hidden: (await hiddenNodes(reads, courseId, at)).byParent };
}

/**
 * The nodes of a version that learners do not see. Looks only at nodes that were for staff at some commit, which are few; a version
 * never changes, so the answer is kept.
 */
export async function hiddenNodes(reads: VersioningReads, courseId: string, at: Commit): Promise<HiddenNodes> {
  const memo = reads.hidden(courseId);
  const known = memo.get(at.hash);
  if (known) return known;
  const ids = await reads.restricted(courseId);
  const byParent = new Map<string, number[]>();
  let counts = NO_COUNTS;
  for (let from = 0; from < ids.length; from += AT_ONCE) {
    const draft = await TreeDraft.open(new ObjectPool(reads.objects(courseId)), at);
    const part = await Promise.all(ids.slice(from, from + AT_ONCE).map((id) => draft.node(id)));
    for (const node of part) {
      if (!node || audienceIn(node.fields.audience) === 'learner') continue;
      const parent = node.parent === null ? null : await draft.node(node.parent);
      if (parent) {
        const position = await (await draft.list(parent)).positionOf(node.id);
        byParent.set(parent.id, [...(byParent.get(parent.id) ?? []), position]);
      }
      if (await isTopmost(draft, node.parent)) counts = plus(counts, await countsAt(reads, courseId, node));
    }
  }
  for (const positions of byParent.values()) positions.sort((a, b) => a - b);
  const hidden = { byParent, counts };
  memo.set(at.hash, hidden);
  return hidden;
}

/** Whether nothing above a node is hidden as well. */
async function isTopmost(draft: TreeDraft, parent: string | null): Promise<boolean> {
  for (let id = parent; id !== null;) {
    const node = await draft.node(id);
    if (!node || audienceIn(node.fields.audience) !== 'learner') return false;
    id = node.parent;
  }
  return true;
}

/** How many nodes of each kind there are at and below a node. */
async function countsAt(
  reads: VersioningReads,
  courseId: string,
  node: Pick<NodeHead, 'kind' | 'children'>,
): Promise<Counts> {
  let counts = withKind(NO_COUNTS, node.kind, 1);
  if (!hasChildren(node.kind)) return counts;
  for (let from = 0; ; from += AT_ONCE) {
    const pool = new ObjectPool(reads.objects(courseId));
    const entries = await readPage(pool, node.children, from, AT_ONCE);
    if (entries.length === 0) return counts;
    const heads = await pool.heads(entries.map(({ hash }) => hash));
    for (const head of heads) counts = plus(counts, await countsAt(reads, courseId, head));
  }
}

function plus(a: Counts, b: Counts, sign = 1): Counts {
  return {
    units: a.units + sign * b.units,
    modules: a.modules + sign * b.modules,
    lessons: a.lessons + sign * b.lessons,
    assignments: a.assignments + sign * b.assignments,
  };
}

/** Counts without those that are hidden. */
export function without(counts: Counts, hidden: Counts): Counts {
  return plus(counts, hidden, -1);
}
