import { isWellFormed } from '@coursewright/course-model/canonical';
import { isAtMost } from '@coursewright/course-model/text-length';
import { isId } from '@coursewright/platform/ids';
import { checkFields, type Problem } from './fields.js';
import { mayHaveBody } from './kinds.js';
import type { Fields, NodeKind, Source } from './objects.js';

/** Puts a new node under a parent; without a position it goes last. */
export interface AddOp {
  readonly op: 'add';
  readonly id: string;
  readonly parent: string;
  readonly position: number | null;
  readonly kind: NodeKind;
  readonly fields: Fields;
  /** Hash of the body, or null. */
  readonly body: string | null;
  readonly source: Source | null;
}

/** Changes fields; null removes one. */
export interface SetFieldsOp {
  readonly op: 'setFields';
  readonly node: string;
  readonly fields: Fields;
}

/** Gives a node another body; null takes it away. */
export interface SetBodyOp {
  readonly op: 'setBody';
  readonly node: string;
  readonly body: string | null;
}

/** Moves a node under a parent. The position counts the other children; without one a node goes last, or stays if it is there already. */
export interface MoveOp {
  readonly op: 'move';
  readonly node: string;
  readonly parent: string;
  readonly position: number | null;
}

/** Puts the named children of a node in this order; each unnamed one stays after its present predecessor. */
export interface ReorderOp {
  readonly op: 'reorder';
  readonly node: string;
  readonly children: readonly string[];
}

/** Removes a node and everything below it. */
export interface RemoveOp {
  readonly op: 'remove';
  readonly node: string;
}

/** One change of a course's tree. */
export type Op = AddOp | SetFieldsOp | SetBodyOp | MoveOp | ReorderOp | RemoveOp;

/** At most so many ops in one change. */
export const MAX_OPS = 2_000;

/** Which part of a node an expectation is about. */
export type Part = 'self' | 'body' | 'children' | 'subtree';

/** What the writer believes: the etag of a part of a node. `*` means that the node exists. */
export interface Expectation {
  readonly node: string;
  readonly part: Part;
  readonly etag: string;
}

/** The node that an op is about. */
export function targetOf(op: Op): string {
  return op.op === 'add' ? op.id : op.node;
}

/** Ids that have to be at hand before an op can be applied. */
export function idsOf(op: Op): readonly string[] {
  switch (op.op) {
    case 'add':
      return [op.id, op.parent];
    case 'move':
      return [op.node, op.parent];
    case 'setFields':
    case 'setBody':
    case 'reorder':
    case 'remove':
      return [op.node];
  }
}

const HASH = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

/** Whether a string is a sha-256 in base64url. */
export function isHash(value: string): boolean {
  return HASH.test(value);
}

/** Ops with their fields in stored form, or all that is wrong with them whatever the tree. Pointers are `/ops/<n>/…`. */
export function checkOps(
  ops: readonly Op[],
): { readonly ok: true; readonly ops: readonly Op[] } | { readonly ok: false; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const added = new Set<string>();
  const checked = ops.map((op, i) => {
    const at = `/ops/${i}`;
    for (const id of idsOf(op)) if (!isId(id)) problems.push({ pointer: at, code: 'id', message: 'not a UUIDv7' });
    if (op.op === 'add') {
      if (added.has(op.id))
        problems.push({ pointer: `${at}/id`, code: 'duplicate', message: 'this id is added twice' });
      added.add(op.id);
    }
    return checkOp(op, at, problems);
  });
  return problems.length > 0 ? { ok: false, problems } : { ok: true, ops: checked };
}

function checkOp(op: Op, at: string, problems: Problem[]): Op {
  if ('position' in op && op.position !== null && !(Number.isSafeInteger(op.position) && op.position >= 0)) {
    problems.push({ pointer: `${at}/position`, code: 'position', message: 'must be a whole number from 0' });
  }
  if ('body' in op && op.body !== null && !isHash(op.body)) {
    problems.push({ pointer: `${at}/body`, code: 'hash', message: 'not the hash of a body' });
  }
  if (op.op === 'reorder') {
    if (new Set(op.children).size !== op.children.length || !op.children.every(isId)) {
      problems.push({ pointer: `${at}/children`, code: 'children', message: 'must be different UUIDv7s' });
    }
    return op;
  }
  if (op.op === 'add') checkAdd(op, at, problems);
  if (op.op !== 'add' && op.op !== 'setFields') return op;
  const checked = checkFields(op.fields, `${at}/fields`);
  if (!checked.ok) {
    problems.push(...checked.problems);
    return op;
  }
  return { ...op, fields: checked.fields };
}

function checkAdd(op: AddOp, at: string, problems: Problem[]): void {
  if (op.body !== null && !mayHaveBody(op.kind)) {
    problems.push({ pointer: `${at}/body`, code: 'body', message: `a ${op.kind} has no body` });
  }
  const { source } = op;
  if (source && (!isSourceText(source.format, 64) || !isSourceText(source.key, 1_000))) {
    problems.push({
      pointer: `${at}/source`,
      code: 'source',
      message: 'format (1 to 64) and key (1 to 1,000 characters) are needed',
    });
  }
}

function isSourceText(text: string, max: number): boolean {
  return text !== '' && isAtMost(text, max) && isWellFormed(text) && !text.includes('\0');
}
