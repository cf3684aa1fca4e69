import { anchorOf, placeAt, reordered, type Anchor } from './anchors.js';
import { sameFields } from './etag.js';
import { patchFields, type Problem } from './fields.js';
import { mayHaveBody, mayHold } from './kinds.js';
import type { AddOp, MoveOp, Op, RemoveOp, ReorderOp, SetBodyOp, SetFieldsOp } from './ops.js';
import type { DraftNode, TreeDraft } from './tree-draft.js';

/** What came of one op: whether it changed anything, or why it cannot be applied. */
export type OpOutcome =
  | { readonly ok: true; readonly changed: boolean }
  | { readonly ok: false; readonly why: 'gone'; readonly what: 'node' | 'parent'; readonly id: string }
  | { readonly ok: false; readonly why: 'taken'; readonly id: string }
  | { readonly ok: false; readonly why: 'refused'; readonly problem: Problem };

const UNCHANGED: OpOutcome = { ok: true, changed: false };
const CHANGED: OpOutcome = { ok: true, changed: true };

/** Applies one op to a tree; `seen` is the tree its positions and lists of children refer to (the same one when nobody wrote since). */
export async function applyOp(tree: TreeDraft, seen: TreeDraft, op: Op, pointer: string): Promise<OpOutcome> {
  switch (op.op) {
    case 'add':
      return add(tree, seen, op, pointer);
    case 'move':
      return move(tree, seen, op, pointer);
    case 'remove':
      return remove(tree, op, pointer);
    case 'reorder':
      return reorder(tree, seen, op, pointer);
    case 'setFields':
      return setFields(tree, op, pointer);
    case 'setBody':
      return setBody(tree, op, pointer);
  }
}

async function add(tree: TreeDraft, seen: TreeDraft, op: AddOp, pointer: string): Promise<OpOutcome> {
  const [there, parent] = await Promise.all([tree.node(op.id), tree.node(op.parent)]);
  if (there) return isAsAdded(there, op) ? UNCHANGED : { ok: false, why: 'taken', id: op.id };
  if (!parent) return { ok: false, why: 'gone', what: 'parent', id: op.parent };
  if (!mayHold(parent.kind, op.kind)) return wrongParent(parent, op.kind, pointer);
  const whole = patchFields({}, op.fields, op.kind, `${pointer}/fields`);
  if (!whole.ok) return { ok: false, why: 'refused', problem: whole.problems[0] as Problem };
  const after = await anchorId(tree, parent, await anchorOf(seen, op.parent, op.id, op.position));
  const { id, kind, source, body } = op;
  await tree.add({ id, kind, source, body, fields: whole.fields }, parent, after);
  return CHANGED;
}

/** Whether a node is what an add asked for: then the add was made before. */
function isAsAdded(node: DraftNode, op: AddOp): boolean {
  const whole = patchFields({}, op.fields, op.kind, '');
  return (
    node.parent === op.parent &&
    node.kind === op.kind &&
    node.body === op.body &&
    whole.ok &&
    sameFields(node.fields, whole.fields)
  );
}

async function move(tree: TreeDraft, seen: TreeDraft, op: MoveOp, pointer: string): Promise<OpOutcome> {
  const [node, parent] = await Promise.all([tree.node(op.node), tree.node(op.parent)]);
  if (!node) return { ok: false, why: 'gone', what: 'node', id: op.node };
  if (!parent) return { ok: false, why: 'gone', what: 'parent', id: op.parent };
  if (node.parent === null) return refused(pointer, 'root', 'the course itself cannot be moved');
  if (!mayHold(parent.kind, node.kind)) return wrongParent(parent, node.kind, pointer);
  if (await isAtOrBelow(tree, parent, node.id))
    return refused(`${pointer}/parent`, 'cycle', 'a node cannot go below itself');
  if (node.parent === parent.id && op.position === null) return UNCHANGED;
  const list = await tree.list(parent);
  const anchor = await anchorOf(seen, op.parent, op.node, op.position);
  const after = await anchorId(tree, parent, anchor);
  if (node.parent === parent.id) {
    const own = await list.positionOf(node.id);
    if ((own === 0 ? null : await list.idAt(own - 1)) === after) return UNCHANGED;
  }
  await tree.move(node, parent, after === node.id ? null : after);
  return CHANGED;
}

async function anchorId(tree: TreeDraft, parent: DraftNode, anchor: Anchor): Promise<string | null> {
  const list = await tree.list(parent);
  const place = await placeAt(anchor, list);
  return place.at === 'end' ? list.idAt(list.size - 1) : place.anchor;
}

/** Kinds alone forbid cycles today; this holds whatever the kinds allow. */
async function isAtOrBelow(tree: TreeDraft, node: DraftNode, id: string): Promise<boolean> {
  for (let at: DraftNode | null = node; at; at = at.parent === null ? null : await tree.node(at.parent))
    if (at.id === id) return true;
  return false;
}

async function remove(tree: TreeDraft, op: RemoveOp, pointer: string): Promise<OpOutcome> {
  const node = await tree.node(op.node);
  if (!node) return UNCHANGED;
  if (node.parent === null) return refused(pointer, 'root', 'the course itself cannot be removed');
  await tree.remove(node);
  return CHANGED;
}

async function reorder(tree: TreeDraft, seen: TreeDraft, op: ReorderOp, pointer: string): Promise<OpOutcome> {
  const [node, before] = await Promise.all([tree.node(op.node), seen.node(op.node)]);
  if (!node) return { ok: false, why: 'gone', what: 'node', id: op.node };
  const present = await tree.childIds(node);
  const here = new Set(present);
  const once = new Set(before && seen !== tree ? await seen.childIds(before) : []);
  const stranger = op.children.findIndex((id) => !here.has(id) && !once.has(id));
  if (stranger >= 0)
    return refused(`${pointer}/children/${stranger}`, 'not_a_child', 'this id is not a child of the node');
  const order = reordered(
    present,
    op.children.filter((id) => here.has(id)),
  );
  if (order.every((id, i) => id === present[i])) return UNCHANGED;
  await tree.reorder(node, order);
  return CHANGED;
}

async function setFields(tree: TreeDraft, op: SetFieldsOp, pointer: string): Promise<OpOutcome> {
  const node = await tree.node(op.node);
  if (!node) return { ok: false, why: 'gone', what: 'node', id: op.node };
  const after = patchFields(node.fields, op.fields, node.kind, `${pointer}/fields`);
  if (!after.ok) return { ok: false, why: 'refused', problem: after.problems[0] as Problem };
  if (sameFields(node.fields, after.fields)) return UNCHANGED;
  tree.set(node, { fields: after.fields });
  return CHANGED;
}

async function setBody(tree: TreeDraft, op: SetBodyOp, pointer: string): Promise<OpOutcome> {
  const node = await tree.node(op.node);
  if (!node) return { ok: false, why: 'gone', what: 'node', id: op.node };
  if (op.body !== null && !mayHaveBody(node.kind))
    return refused(`${pointer}/body`, 'body', `a ${node.kind} has no body`);
  if (node.body === op.body) return UNCHANGED;
  tree.set(node, { body: op.body });
  return CHANGED;
}

function wrongParent(parent: DraftNode, kind: string, pointer: string): OpOutcome {
  return refused(`${pointer}/parent`, 'kind', `a ${kind} cannot be under a ${parent.kind}`);
}

function refused(pointer: string, code: string, message: string): OpOutcome {
  return { ok: false, why: 'refused', problem: { pointer, code, message } };
}
