import { isWellFormed } from '@coursewright/course-model/canonical';
import { isAtMost } from '@coursewright/course-model/text-length';
import type { NodeKind as WireKind } from '@coursewright/proto/coursewright/common/v1/common';
import { NodeKind as Wire } from '@coursewright/proto/coursewright/common/v1/common';
import {
  Part as WirePart,
  type CommitRequest,
  type Op as WireOp,
} from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { personOf, type Actor } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { isId } from '@coursewright/platform/ids';
import type { CallContext } from '@coursewright/platform/rpc-call';
import { COMMIT_KINDS, type CommitKind } from '../domain/commit.js';
import type { Problem } from '../domain/fields.js';
import { isHidden } from '../domain/names.js';
import type { Fields, NodeKind } from '../domain/objects.js';
import type { Op, Part } from '../domain/ops.js';
import type { CommandKey } from '../operations/ports.js';

const KINDS: Readonly<Record<NodeKind, WireKind>> = {
  course: Wire.COURSE,
  unit: Wire.UNIT,
  module: Wire.MODULE,
  lesson: Wire.LESSON,
  assignment: Wire.ASSIGNMENT,
};
const FROM_WIRE = new Map(Object.entries(KINDS).map(([kind, wire]) => [wire, kind as NodeKind]));
const PARTS = new Map<WirePart, Part>([
  [WirePart.SELF, 'self'],
  [WirePart.BODY, 'body'],
  [WirePart.CHILDREN, 'children'],
  [WirePart.SUBTREE, 'subtree'],
]);
const MAX_MESSAGE = 2_000;

export function toWireKind(kind: NodeKind): WireKind {
  return KINDS[kind];
}

/** Kinds of a request; unspecified ones are left out. */
export function toKinds(kinds: readonly WireKind[]): NodeKind[] {
  return kinds.flatMap((kind) => FROM_WIRE.get(kind) ?? []);
}

/** Throws invalid_argument `INVALID_REQUEST` with what is wrong. */
export function refuse(pointer: string, code: string, message: string): never {
  throw new AppError('invalid_argument', 'INVALID_REQUEST', {}, { message, fields: [{ pointer, code, message }] });
}

/** The author of a call. */
export function authorOf(actor: Actor): { id: string; name: string } {
  const person = personOf(actor);
  return { id: person.sub, name: person.name ?? '' };
}

/** The command of a call under the name of its person, or null. */
export function commandOf(call: CallContext): CommandKey | null {
  return call.command ? { actor: call.actor.sub, ...call.command } : null;
}

/** A commit's message. Throws invalid_argument `INVALID_REQUEST`. */
export function toMessage(message: string): string {
  if (!isAtMost(message, MAX_MESSAGE) || message.includes('\0') || !isWellFormed(message)) {
    refuse('/message', 'message', `at most ${MAX_MESSAGE} characters, no NUL, no lone surrogates`);
  }
  return message;
}

/** The name of an import's branch. Throws invalid_argument `INVALID_REQUEST`. */
export function toHiddenName(name: string): string {
  return isHidden(name) ? name : refuse('/name', 'hidden', 'only the hidden branch of an import: import/<id>');
}

/** A commit's kind; empty means edit. Throws invalid_argument `INVALID_REQUEST`. */
export function toCommitKind(kind: string): CommitKind {
  const word = kind === '' ? 'edit' : kind;
  return (
    COMMIT_KINDS.find((known) => known === word) ??
    refuse('/kind', 'kind', 'must be edit, autosave, import, merge or revert')
  );
}

/** The expectations of a change. Throws invalid_argument `INVALID_REQUEST`. */
export function toExpectations(expect: CommitRequest['expect']) {
  return expect.map(({ nodeId, part, etag }, i) => ({
    node: nodeId,
    part: PARTS.get(part) ?? refuse(`/expect/${i}/part`, 'part', 'a part is needed'),
    etag,
  }));
}

/** The ops of a change; ids are made where none is proposed. Throws invalid_argument `INVALID_REQUEST`. */
export function toOps(ops: readonly WireOp[], newId: () => string): Op[] {
  const problems: Problem[] = [];
  const converted = ops.flatMap(({ op }, i) => {
    const at = `/ops/${i}`;
    if (!op) {
      problems.push({ pointer: at, code: 'op', message: 'an op is needed' });
      return [];
    }
    return toOp(op, at, { newId, problems }) ?? [];
  });
  if (problems.length > 0)
    throw new AppError(
      'invalid_argument',
      'INVALID_REQUEST',
      {},
      { fields: problems, message: problems[0]?.message ?? '' },
    );
  return converted;
}

function toOp(
  op: NonNullable<WireOp['op']>,
  at: string,
  context: { newId: () => string; problems: Problem[] },
): Op | null {
  switch (op.$case) {
    case 'add': {
      const { id, parentId, position, kind, fields, body, source } = op.value;
      const known = FROM_WIRE.get(kind);
      if (known === undefined) {
        context.problems.push({ pointer: `${at}/kind`, code: 'kind', message: 'a kind is needed' });
        return null;
      }
      return {
        op: 'add',
        id: id === '' ? context.newId() : id,
        parent: parentId,
        position: position ?? null,
        kind: known,
        fields: toFields(fields),
        body: body === '' ? null : body,
        source: source ?? null,
      };
    }
    case 'setFields':
      return { op: 'setFields', node: op.value.nodeId, fields: toFields(op.value.fields) };
    case 'setBody':
      return { op: 'setBody', node: op.value.nodeId, body: op.value.body === '' ? null : op.value.body };
    case 'move':
      return { op: 'move', node: op.value.nodeId, parent: op.value.parentId, position: op.value.position ?? null };
    case 'reorder':
      return { op: 'reorder', node: op.value.nodeId, children: op.value.children };
    case 'remove':
      return { op: 'remove', node: op.value.nodeId };
  }
}

/** Fields as they came; the domain checks each of them. */
function toFields(fields: Record<string, unknown> | undefined): Fields {
  return (fields ?? {}) as Fields;
}

/** How many things a page has. */
export function toLimit(limit: number, most: number): number {
  return limit <= 0 ? 50 : Math.min(limit, most);
}

/** Writes what a cursor has to remember. */
export function toCursor(content: Readonly<Record<string, unknown>> | null): string {
  return content === null ? '' : Buffer.from(JSON.stringify(content)).toString('base64url');
}

/** Reads a cursor that `toCursor` wrote; null for none. Throws invalid_argument `CURSOR_INVALID`. */
export function fromCursor<T>(
  cursor: string,
  isValid: (content: Readonly<Record<string, unknown>>) => boolean,
): T | null {
  if (cursor === '') return null;
  try {
    const content: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (typeof content === 'object' && content !== null && isValid(content as Record<string, unknown>))
      return content as T;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new AppError('invalid_argument', 'CURSOR_INVALID');
}

/** Whether a value is a whole number from 0. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Ids that are given must be ids; an empty one means none is given, but a course is always needed. */
export function checkIds(ids: Readonly<Record<string, string>>): void {
  for (const [name, id] of Object.entries(ids)) {
    if (!isId(id) && (id !== '' || name === 'courseId')) refuse(`/${name}`, 'id', 'not a UUIDv7');
  }
}
