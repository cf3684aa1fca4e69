import type { NodeKind } from './objects.js';

const CHILDREN: Readonly<Record<NodeKind, readonly NodeKind[]>> = {
  course: ['unit', 'module'],
  unit: ['module'],
  module: ['lesson', 'assignment'],
  lesson: [],
  assignment: [],
};

/** All kinds, from the root down. */
export const NODE_KINDS = Object.keys(CHILDREN) as NodeKind[];

/** Whether a node of the one kind may hang directly under one of the other: course → unit → module → lesson, and modules under courses. */
export function mayHold(parent: NodeKind, child: NodeKind): boolean {
  return CHILDREN[parent].includes(child);
}

/** Whether nodes of this kind can have children at all. */
export function hasChildren(kind: NodeKind): boolean {
  return CHILDREN[kind].length > 0;
}

/** Whether nodes of this kind can have a body. */
export function mayHaveBody(kind: NodeKind): boolean {
  return kind === 'lesson' || kind === 'assignment';
}

/** How many nodes of each kind a tree has, the root not counted. */
export interface Counts {
  readonly units: number;
  readonly modules: number;
  readonly lessons: number;
  readonly assignments: number;
}

/** The counts of a tree that has only a root. */
export const NO_COUNTS: Counts = { units: 0, modules: 0, lessons: 0, assignments: 0 };

/** Counts after `by` more (or fewer) nodes of this kind; the course itself is not counted. */
export function withKind(counts: Counts, kind: NodeKind, by: number): Counts {
  switch (kind) {
    case 'unit':
      return { ...counts, units: counts.units + by };
    case 'module':
      return { ...counts, modules: counts.modules + by };
    case 'lesson':
      return { ...counts, lessons: counts.lessons + by };
    case 'assignment':
      return { ...counts, assignments: counts.assignments + by };
    case 'course':
      return counts;
  }
}
