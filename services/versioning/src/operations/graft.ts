import { AppError } from '@coursewright/platform/errors';
import type { NodeChange } from '../domain/changes.js';
import { changesOf } from '../domain/changes.js';
import { diffTrees, type NodeDiff } from '../domain/diff.js';
import { EVENT_NODES } from '../domain/events.js';
import { patchFields } from '../domain/fields.js';
import { WHAT } from '../domain/history.js';
import { allPlacements, findParents } from '../domain/index-trie.js';
import { mayHold, type Counts } from '../domain/kinds.js';
import type { Entry, NodeHead, NodeKind } from '../domain/objects.js';
import { readEntries } from '../domain/list.js';
import { ObjectPool } from '../domain/object-pool.js';
import { walkNodes } from '../domain/walk.js';
import { TreeDraft } from '../domain/tree-draft.js';
import { BranchAdvance, type Authorship, type Step } from './advance.js';
import { done, treeOf } from './commit.js';
import type { WriteOutcome, WriteResult } from './outcomes.js';
import type { CommandKey, Commit, Deps, Home, WriteTx } from './ports.js';

/** Asks to bring what an import wrote on a hidden branch into a visible one. */
export interface GraftInput extends Omit<Authorship, 'at'> {
  readonly courseId: string;
  /** Name of the hidden branch. */
  readonly from: string;
  /** Name of the branch to change; empty means the default one. */
  readonly branch: string;
  /** Where the hidden root's children go; empty means the root. */
  readonly parent: string;
  /** The child after which they go; empty means last. */
  readonly after: string;
  /** For a re-import: the head that the hidden branch started at. The result then is its whole tree. */
  readonly start: string;
  readonly takeRootFields: boolean;
  readonly command: CommandKey | null;
}

/** A step with what only a graft has to tell. */
interface Grafted {
  readonly step: Step;
  /** Nodes that become visible. */
  readonly revealed: readonly string[];
}

/**
 * Makes one commit of all that an import wrote: its nodes under a parent, or (a re-import) its whole tree while the branch still is
 * where the import began; else stale. Never into a protected branch. One commit, one event. Idempotent by its command; a second graft of the same nodes is refused.
 */
export async function graft(deps: Deps, input: GraftInput): Promise<WriteOutcome> {
  return deps.store.write(async (tx) => {
    const { courseId } = input;
    const { branch: source } = await tx.openBranch(courseId, input.from, []);
    const { branch, states } = await tx.openBranch(courseId, input.branch, [input.command]);
    const [state] = states;
    if (state?.state === 'done') return { outcome: 'done', result: state.result as unknown as WriteResult };
    if (state?.state === 'in_progress') return { outcome: 'in_progress' };
    if (state?.state === 'reused') return { outcome: 'key_reused' };
    if (!source?.isHidden) return { outcome: 'missing', what: 'branch', name: input.from };
    if (!branch) return { outcome: 'missing', what: 'branch', name: input.branch };
    if (branch.isClosed) return { outcome: 'closed' };
    // A job has no role on the course, whoever started it: what is protected is changed by its admins' own hands.
    if (branch.isProtected) return { outcome: 'protected', branch: branch.name };
    const commits = await tx.reads.commits(courseId, [source.head, branch.head]);
    const [from, head] = [commits.get(source.head), commits.get(branch.head)];
    if (!from || !head) throw new AppError('internal', 'OBJECT_MISSING', { courseId });
    if (input.start !== '' && input.start !== head.hash) return { outcome: 'stale', head: head.hash };
    const pool = new ObjectPool(tx.reads.objects(courseId));
    const grafted = await (input.start === '' ? underParent(pool, { from, head, input }) : wholeTree(pool, from, head));
    if ('outcome' in grafted) return grafted;
    const course = await tx.reads.course(courseId, '');
    const advance = new BranchAdvance(tx, pool, { branch, head, isDefault: course?.defaultBranch === branch.id });
    const { author, message, kind } = input;
    const at = deps.now();
    const commit = advance.add(grafted.step, { author, message, kind, at }, await homesOf(tx, grafted.step.changes));
    advance.reveal(commit, grafted.revealed);
    advance.addHistory(commit, await restoredRows(tx, grafted));
    const outcome = done(branch, commit, { unchanged: false, nodeIds: [] });
    await advance.write(
      input.command && outcome.outcome === 'done' ? [{ key: input.command, result: { ...outcome.result } }] : [],
    );
    return outcome;
  });
}

async function homesOf(tx: WriteTx, changes: readonly NodeChange[]): Promise<ReadonlyMap<string, Home>> {
  const added = changes.filter(({ what }) => what.includes('added')).map(({ id }) => id);
  return new Map((await tx.reads.homes(added)).map((home) => [home.node, home]));
}

/** Nodes that were visible once and come back below the listed ones: their last state is another commit's, so they get a row of their own. */
async function restoredRows(tx: WriteTx, { step, revealed }: Grafted): Promise<{ node: string; what: number }[]> {
  const listed = new Set(step.changes.map(({ id }) => id));
  const rows: { node: string; what: number }[] = [];
  for (let at = 0; at < revealed.length; at += 2_000) {
    const homes = await tx.reads.homes(revealed.slice(at, at + 2_000));
    for (const { node, born } of homes) if (born !== null && !listed.has(node)) rows.push({ node, what: WHAT.added });
  }
  return rows;
}

const TOPS_AT_ONCE = 250;

async function underParent(
  pool: ObjectPool,
  { from, head, input }: { readonly from: Commit; readonly head: Commit; readonly input: GraftInput },
): Promise<Grafted | WriteOutcome> {
  const draft = await TreeDraft.open(pool, treeOf(head));
  const parentId = input.parent === '' ? draft.rootId : input.parent;
  const parent = await draft.node(parentId);
  if (!parent) return { outcome: 'gone', what: 'parent', id: parentId, op: 0 };
  const hidden = await pool.head(from.root);
  const placements = await allPlacements(pool, from.index);
  const present = await findParents(pool, head.index, placements.keys());
  if (present.size > 0) return { outcome: 'taken', ids: [...present.keys()].slice(0, 20) };
  const tops = await readEntries(pool, hidden.children);
  const misfit = await firstMisfit(pool, parent.kind, tops);
  if (misfit) return refused('/parentId', 'kind', `a ${misfit.kind} cannot be under a ${parent.kind}`);
  const list = await draft.list(parent);
  const after = input.after === '' ? await list.idAt(list.size - 1) : input.after;
  if (after !== null && !(await list.find(after)))
    return refused('/afterId', 'not_a_child', 'this id is not a child of the parent');
  for (const top of tops) {
    await pool.turn();
    placements.set(top.id, parent.id);
  }
  await draft.graft(parent, after, tops, placements);
  if (input.takeRootFields) {
    const root = await draft.node(draft.rootId);
    const fields = patchFields({}, { ...root?.fields, ...hidden.fields }, 'course', '/fields');
    if (root && fields.ok) draft.set(root, { fields: fields.fields });
  }
  const tree = await draft.seal();
  const own = changesOf(draft);
  const listed = await firstChanges(pool, from, parent.id);
  const changes = { added: placements.size, removed: 0, moved: 0, edited: own.length };
  return {
    step: { tree, changes: [...own, ...listed], sums: { changes, counts: plus(head.counts, from.counts) } },
    revealed: [...placements.keys()],
  };
}

/** The first of these nodes that cannot be under a parent of this kind. */
async function firstMisfit(pool: ObjectPool, parent: NodeKind, tops: readonly Entry[]): Promise<NodeHead | undefined> {
  for (let at = 0; at < tops.length; at += TOPS_AT_ONCE) {
    await pool.turn();
    const heads = await pool.heads(tops.slice(at, at + TOPS_AT_ONCE).map(({ hash }) => hash));
    const misfit = heads.find(({ kind }) => !mayHold(parent, kind));
    if (misfit) return misfit;
  }
  return undefined;
}

/** As many of the grafted nodes as an event lists, in document order. */
async function firstChanges(pool: ObjectPool, from: Commit, parentId: string): Promise<NodeChange[]> {
  const root = {
    head: await pool.head(from.root),
    hash: from.root,
    parent: null,
    position: 0,
    audience: 'learner',
  } as const;
  const page = await walkNodes(pool, root, [], { kinds: [], submittableOnly: false, limit: EVENT_NODES + 1 });
  return page.nodes
    .filter(({ parent }) => parent !== null)
    .map(({ head, parent }) => ({
      id: head.id,
      kind: head.kind,
      what: ['added'],
      fields: head.fields,
      parent: parent === root.head.id ? parentId : parent,
      body: head.body,
      bodyChanged: head.body !== null,
      bodyOnly: false,
    }));
}

async function wholeTree(pool: ObjectPool, from: Commit, head: Commit): Promise<Grafted> {
  const diffs = await diffTrees(pool, treeOf(head), treeOf(from));
  const changes = diffs.flatMap((diff) => changeOf(diff) ?? []);
  const added = changes.filter(({ what }) => what.includes('added')).map(({ id }) => id);
  return { step: { tree: treeOf(from), changes }, revealed: added };
}

function changeOf(diff: NodeDiff): NodeChange | null {
  const present = diff.after ?? diff.before;
  const what = diff.changes.flatMap((change): NodeChange['what'] => {
    if (change === 'renamed') return ['edited'];
    // A reorder is told of the parent in events; which child moved is for compare to say.
    return change === 'reordered' ? [] : [change];
  });
  if (!present || what.length === 0) return null;
  return {
    id: diff.id,
    kind: present.kind,
    ...(diff.before && what.includes('kind_changed') && { wasKind: diff.before.kind }),
    what: [...new Set(what)],
    fields: present.fields,
    parent: diff.to?.parent ?? diff.from?.parent ?? null,
    body: present.body,
    bodyChanged: (diff.before?.body ?? null) !== (diff.after?.body ?? null),
    bodyOnly: false,
  };
}

function plus(a: Counts, b: Counts): Counts {
  return {
    units: a.units + b.units,
    modules: a.modules + b.modules,
    lessons: a.lessons + b.lessons,
    assignments: a.assignments + b.assignments,
  };
}

function refused(pointer: string, code: string, message: string): WriteOutcome {
  return { outcome: 'refused', problems: [{ pointer, code, message }] };
}
