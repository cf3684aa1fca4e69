import { expect } from '@jest/globals';
import type { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import type { Op } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { newId } from '@coursewright/platform/ids';

type AddValue = Extract<Op['op'], { $case: 'add' }>['value'];
export type WireOp = { op: Op['op'] };

/** An op that adds a node with a title. */
export function add(value: Partial<AddValue> & { parentId: string; kind: NodeKind }): {
  op: { $case: 'add'; value: AddValue };
} {
  return {
    op: { $case: 'add', value: { id: newId(), fields: { title: 'A title' }, body: '', source: undefined, ...value } },
  };
}

export function setFields(nodeId: string, fields: Record<string, unknown>): WireOp {
  return { op: { $case: 'setFields', value: { nodeId, fields } } };
}

/** The refusal of a call must have this kind and reason; answers its details. */
export async function expectRefusal(
  work: Promise<unknown>,
  kind: string,
  reason: string,
): Promise<Record<string, unknown>> {
  const error = await work.then(
    () => undefined,
    (failure: unknown) => failure as { kind: string; reason: string; details: Record<string, unknown> },
  );
  expect(error).toMatchObject({ kind, reason });
  return error?.details ?? {};
}
