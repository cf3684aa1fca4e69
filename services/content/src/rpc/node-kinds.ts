import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import type { PlannedNode } from '../domain/import-plan.js';

/** The kinds of nodes as they cross the wire. */
export const KINDS = {
  course: NodeKind.COURSE,
  unit: NodeKind.UNIT,
  module: NodeKind.MODULE,
  lesson: NodeKind.LESSON,
  assignment: NodeKind.ASSIGNMENT,
} as const;

const NAMES: ReadonlyMap<NodeKind, PlannedNode['kind']> = new Map(
  (Object.keys(KINDS) as PlannedNode['kind'][]).map((name) => [KINDS[name], name]),
);

/** The name of a kind that came over the wire; undefined for one that is not known. */
export function kindName(kind: NodeKind): PlannedNode['kind'] | undefined {
  return NAMES.get(kind);
}
