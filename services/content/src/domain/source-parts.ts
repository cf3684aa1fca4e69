import type { PlannedNode } from './import-plan.js';

/**
 * A part of a source as its last import left it here: the base of the comparison when the source comes again. What has changed since
 * in the source differs from it there, what somebody edited here differs from it here.
 */
export interface SourcePart {
  key: string;
  nodeId: string;
  kind: PlannedNode['kind'];
  /** Key of the part above it; null for the course. */
  parent: string | null;
  /** A mark of each field's value, by `fieldMarks`; undefined where nobody knows what the source said. */
  marks: Readonly<Record<string, string>> | undefined;
  /** The digest of a lesson's document. */
  items: string | null;
  objectives: string | null;
}

/** A part before its document has been made. */
export type DraftPart = Omit<SourcePart, 'items' | 'objectives'>;

/** The parts that the last import of a source left in a course, in document order. */
export type SourceBase = ReadonlyMap<string, SourcePart>;
