import { AppError } from '@coursewright/platform/errors';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import type { NodeJson } from '../shapes/node.js';

const kinds: Readonly<Record<NodeKind, NodeJson['kind']>> = {
  [NodeKind.COURSE]: 'course',
  [NodeKind.UNIT]: 'unit',
  [NodeKind.MODULE]: 'module',
  [NodeKind.LESSON]: 'lesson',
  [NodeKind.ASSIGNMENT]: 'assignment',
  [NodeKind.UNSPECIFIED]: 'course',
};

/** The word for a kind of node. */
export function kindOf(kind: NodeKind): NodeJson['kind'] {
  return kinds[kind];
}

/** RFC 3339 in UTC with milliseconds; an empty string where a service left it out. */
export function timeOf(time: Date | undefined): string {
  return time?.toISOString() ?? '';
}

/** The message of an answer that a service may not leave out. Throws internal INTERNAL. */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new AppError('internal', 'INTERNAL', {}, { message: `an answer without its ${what}` });
  return value;
}

/** What stands for "nothing" in a contract without null. */
export function orNull(text: string): string | null {
  return text === '' ? null : text;
}
