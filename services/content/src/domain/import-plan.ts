import { createHash } from 'node:crypto';
import { idFromHash } from '@coursewright/platform/ids';
import type { LessonInput, Source } from '@coursewright/course-model/lesson';

/** One node that an import is going to make, in document order: parents come before children. */
export interface PlannedNode {
  id: string;
  parentId: string | null;
  kind: 'course' | 'unit' | 'module' | 'lesson' | 'assignment';
  fields: Record<string, unknown>;
  source: Source;
  /** Of a course: what its source calls itself. */
  sourceId?: string;
  /** The document of a lesson or an assignment; items have their ids. */
  content?: LessonInput;
}

/**
 * The id of a node or item that an import makes: UUIDv7-shaped, made from the import's id and the source's key alone, so
 * that a repeated step makes the same thing.
 */
export function importedId(importId: string, key: string): string {
  return idFromHash(createHash('sha256').update(`${importId}\n${key}`).digest());
}

/** The key under which the id of a new course is made: known before a byte of the source is read. */
export const COURSE_KEY = '#course';
