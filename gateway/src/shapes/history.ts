import { z } from 'zod';
import * as common from './common.js';
import { placeShape } from './node.js';

/** A commit. */
export const commitShape = common.answer('Commit', {
  hash: common.hash,
  courseId: common.id,
  parents: z.array(common.hash),
  tree: common.hash,
  author: common.answer('Author', { id: common.person, name: z.string() }),
  at: common.time,
  kind: z.enum(['edit', 'autosave', 'import', 'merge', 'revert']),
  message: z.string(),
  changes: common.answer('ChangeCounts', { added: z.int(), removed: z.int(), moved: z.int(), edited: z.int() }),
});
export const commitListShape = common.listOf('CommitList', commitShape);

const changes = z.array(z.enum(['added', 'removed', 'moved', 'renamed', 'reordered', 'edited', 'kind_changed']));
const range = common.answer('LineRange', { start: z.int(), lines: z.int() });
const hunk = common.answer('Hunk', { from: range, to: range, lines: z.array(z.string()) });
const contentChange = common.answer('ContentChange', {
  pointer: z.string(),
  change: z.enum(['added', 'removed', 'moved', 'edited']),
  from: z.unknown().optional(),
  to: z.unknown().optional(),
  hunks: z.array(hunk).optional(),
});
const compareItem = common.answer('CompareItem', {
  nodeId: common.id,
  kind: common.nodeKind,
  fromKind: common.nodeKind.optional().describe('What it was, when its kind has changed'),
  title: z.string(),
  path: z.array(z.string()),
  changes,
  fields: z.array(common.answer('FieldChange', { pointer: z.string(), from: z.unknown(), to: z.unknown() })),
  from: placeShape.optional(),
  to: placeShape.optional(),
  content: z.array(contentChange).optional(),
  contentTruncated: z.boolean().optional().describe('The documents are too large to be compared line by line'),
});
const side = common.answer('CompareSide', { ref: z.string(), commit: common.hash });

/** What differs between two states of a course. */
export const compareShape = common.answer('Compare', {
  courseId: common.id,
  from: side,
  to: side,
  summary: common.answer('CompareSummary', {
    added: z.int(),
    removed: z.int(),
    moved: z.int(),
    renamed: z.int(),
    reordered: z.int(),
    edited: z.int(),
    kind_changed: z.int(),
  }),
  items: z.array(compareItem),
  next: z.string().nullable(),
});
