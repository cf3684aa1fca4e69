import { z } from 'zod';
import * as common from './common.js';

const loss = common.answer('Loss', {
  source: z.string().describe('Key or path of the part'),
  what: z.string(),
  kept: z.boolean().describe('Nothing of it is lost: authors can have it back'),
});

/** A page of what has no full counterpart. */
export const lossListShape = common.listOf('LossList', loss);

/** A page of what is kept beside the course. */
export const keptListShape = common.listOf(
  'KeptList',
  common.answer('KeptPart', {
    source: z.string().describe('Key or path of the part'),
    kind: z.enum(['attributes', 'element', 'text', 'file']),
    attributes: z.record(z.string(), z.string()).optional().describe('As they were written'),
    text: z.string().optional().describe('An element or a text as it was written'),
    hash: common.hash.optional().describe('Of a file: GET /assets/{hash}'),
    bytes: z.int().optional(),
    type: z.string().optional().describe('Media type of a file'),
  }),
);

/** A running or finished import. */
export const importShape = common.answer('Import', {
  id: common.id,
  format: z.string(),
  state: z.enum(['running', 'done', 'failed']),
  progress: common.answer('Progress', { done: z.int(), total: z.int().nullable() }),
  courseId: common.id.nullable().describe('Null until a new course is there'),
  commit: common.hash.nullable(),
  source: common.answer('ImportSource', {
    read: z.int().describe('Parts of the source: mapped and kept'),
    mapped: z.int().describe('Parts that learners get'),
    kept: z.int().describe('Parts that learners do not get, or not so that they could use them'),
  }),
  counts: common.answer('ImportCounts', {
    units: z.int(),
    modules: z.int(),
    lessons: z.int(),
    assignments: z.int(),
    items: z.int(),
    assets: z.int(),
  }),
  losses: z.array(loss).describe('The first 1,000 at most; all of them: GET /imports/{id}/losses'),
  lossCount: z.int(),
  error: common.answer('ImportError', { reason: z.string(), message: z.string() }).nullable(),
  startedBy: common.person,
  startedAt: common.time,
  finishedAt: common.time.nullable(),
});

export const importQuery = z.strictObject({
  format: z.enum(['olx']),
  course: common.id.optional().describe('Import into this course; left out: a new one'),
});
