import { z } from 'zod';
import * as common from './common.js';

/** A running or finished import. */
export const importShape = common.answer('Import', {
  id: common.id,
  format: z.string(),
  state: z.enum(['running', 'done', 'failed']),
  progress: common.answer('Progress', { done: z.int(), total: z.int().nullable() }),
  courseId: common.id.nullable(),
  commit: common.hash.nullable(),
  source: common.answer('ImportSource', { read: z.int(), mapped: z.int(), kept: z.int() }),
  counts: common.answer('ImportCounts', {
    units: z.int(),
    modules: z.int(),
    lessons: z.int(),
    assignments: z.int(),
    items: z.int(),
    assets: z.int(),
  }),
  losses: z.array(common.answer('Loss', { source: z.string(), what: z.string(), kept: z.boolean() })),
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
