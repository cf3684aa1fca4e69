import { applyOp, type OpOutcome } from './apply-op.js';
import { changesOf, type NodeChange } from './changes.js';
import { NONE, selfEtag } from './etag.js';
import type { Problem } from './fields.js';
import type { ObjectPool } from './object-pool.js';
import { checkOps, idsOf, targetOf, type Expectation, type Op, type Part } from './ops.js';
import { TreeDraft, type DraftNode, type TreeRef } from './tree-draft.js';

/** The present etags of a node, each computed when it is needed. */
export interface PresentNode {
  readonly node: string;
  readonly self: string;
  readonly body: string;
  readonly children: string;
  readonly subtree: string;
}

/** What came of a change. Everything but `changed` leaves the tree as it is. */
export type ApplyOutcome =
  | {
      readonly outcome: 'changed';
      readonly tree: TreeRef;
      readonly changes: readonly NodeChange[];
      readonly nodes: readonly string[];
    }
  /** All was as asked already. */
  | { readonly outcome: 'unchanged'; readonly nodes: readonly string[] }
  /** Something is not as the writer believes; `present` is how it is now, null when the node is gone. */
  | { readonly outcome: 'stale'; readonly node: string; readonly part: Part; readonly present: PresentNode | null }
  | { readonly outcome: 'gone'; readonly what: 'node' | 'parent'; readonly id: string; readonly op: number }
  | { readonly outcome: 'taken'; readonly id: string; readonly op: number }
  | { readonly outcome: 'refused'; readonly problems: readonly Problem[] };

/** A change as it was asked for. */
export interface ApplyInput {
  /** The tree at the head. */
  readonly head: TreeRef;
  /** The tree that the writer saw; positions are meant in it. */
  readonly base: TreeRef;
  readonly ops: readonly Op[];
  readonly expect: readonly Expectation[];
}

/**
 * Applies ops to the head under the writer's expectations. Positions become anchors in the tree that the writer saw, each op in
 * turn; then the op is applied to the head, so that writers of different things never disturb each other. An expectation that
 * fails is forgiven when the ops on that very node change nothing: the thing already is as asked. The new objects are in the pool.
 */
export async function applyOps(pool: ObjectPool, input: ApplyInput): Promise<ApplyOutcome> {
  const checked = checkOps(input.ops);
  if (!checked.ok) return { outcome: 'refused', problems: checked.problems };
  const { ops } = checked;
  const head = await TreeDraft.open(pool, input.head);
  const seen =
    isSame(input.head, input.base) || !ops.some(refersToBase) ? head : await TreeDraft.open(pool, input.base);
  await Promise.all([warm(head, ops, input.expect), seen === head ? null : warm(seen, ops, [])]);

  const failed = await failedExpectations(head, input.expect);
  const changedOps: boolean[] = [];
  for (const [i, op] of ops.entries()) {
    await pool.turn();
    const result = await applyOp(head, seen, op, `/ops/${i}`);
    if (!result.ok) return failed[0] ? stale(pool, input.head, failed[0]) : refusal(pool, input, i, result);
    changedOps.push(result.changed);
    // The base takes each op too, so that the positions of those that follow count it; what it refuses is of no matter.
    if (seen !== head) await applyOp(seen, seen, op, '');
  }
  const blocking = failed.find((expectation) => !isAsAsked(expectation, ops, changedOps));
  if (blocking) return stale(pool, input.head, blocking);
  const nodes = ops.map(targetOf);
  if (!changedOps.includes(true)) return { outcome: 'unchanged', nodes };
  const tree = await head.seal();
  if (isSame(tree, input.head)) return { outcome: 'unchanged', nodes };
  return { outcome: 'changed', tree, changes: changesOf(head), nodes };
}

function isSame(a: TreeRef, b: TreeRef): boolean {
  return a.root === b.root && a.index === b.index;
}

function refersToBase(op: Op): boolean {
  return op.op === 'reorder' || ((op.op === 'add' || op.op === 'move') && op.position !== null);
}

/** Reads what the ops will touch, all at once. */
async function warm(draft: TreeDraft, ops: readonly Op[], expect: readonly Expectation[]): Promise<void> {
  const ids = new Set([...ops.flatMap(idsOf), ...expect.map((e) => e.node)]);
  const nodes = await draft.nodes(ids);
  const parents = new Set(ops.map((op) => idsOf(op)[1]));
  await Promise.all(nodes.map(async (node) => (node && parents.has(node.id) ? draft.list(node) : null)));
}

function refusal(
  pool: ObjectPool,
  input: ApplyInput,
  at: number,
  result: Exclude<OpOutcome, { ok: true }>,
): ApplyOutcome | Promise<ApplyOutcome> {
  if (result.why === 'refused') return { outcome: 'refused', problems: [result.problem] };
  if (result.why === 'taken') return { outcome: 'taken', id: result.id, op: at };
  const expected = result.what === 'node' ? input.expect.find((e) => e.node === result.id) : undefined;
  return expected ? stale(pool, input.head, expected) : { outcome: 'gone', what: result.what, id: result.id, op: at };
}

/** Whether every op that is about the expectation's node left things as they were, and there is one. */
function isAsAsked(expectation: Expectation, ops: readonly Op[], changed: readonly boolean[]): boolean {
  const about = ops.flatMap((op, i) => {
    const isAbout =
      targetOf(op) === expectation.node || (expectation.part === 'children' && idsOf(op)[1] === expectation.node);
    return isAbout ? [changed[i]] : [];
  });
  return about.length > 0 && !about.includes(true);
}

async function failedExpectations(head: TreeDraft, expect: readonly Expectation[]): Promise<Expectation[]> {
  const failed: Expectation[] = [];
  for (const expectation of expect) {
    const node = await head.node(expectation.node);
    if (node === null || !(expectation.etag === '*' || etagOf(node, expectation.part) === (expectation.etag || NONE))) {
      failed.push(expectation);
    }
  }
  return failed;
}

/** The etag of a part of a node as it was read; ask before it is changed. */
function etagOf(node: DraftNode, part: Part): string {
  switch (part) {
    case 'self':
      return selfEtag(node);
    case 'body':
      return node.body ?? NONE;
    case 'children':
      return node.children ?? NONE;
    case 'subtree':
      return node.hash;
  }
}

async function stale(pool: ObjectPool, tree: TreeRef, { node: id, part }: Expectation): Promise<ApplyOutcome> {
  return { outcome: 'stale', node: id, part, present: await presentNode(pool, tree, id) };
}

/** The etags of a node at a version; null when it has no such node. */
export async function presentNode(pool: ObjectPool, tree: TreeRef, id: string): Promise<PresentNode | null> {
  const node = await (await TreeDraft.open(pool, tree)).node(id);
  if (!node) return null;
  const of = (part: Part): string => etagOf(node, part);
  return { node: id, self: of('self'), body: of('body'), children: of('children'), subtree: of('subtree') };
}
