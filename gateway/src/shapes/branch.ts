import { z } from 'zod';
import * as common from './common.js';

/** A branch of a course. */
export const branchShape = common.answer('Branch', {
  name: z.string(),
  courseId: common.id,
  head: common.hash,
  parent: z.string().nullable(),
  base: common.hash.nullable(),
  protected: z.boolean(),
  ahead: z.int(),
  behind: z.int(),
  createdBy: common.person,
  createdAt: common.time,
  metadata: common.free,
});
export const branchListShape = common.listOf('BranchList', branchShape);

export const branchCreate = common.request('BranchCreate', {
  name: z.string().min(1).max(100),
  from: common.ref.optional().describe('Branch, tag, version or commit; left out: the default branch'),
  protected: z.boolean().optional(),
  metadata: z.record(z.string().min(1).max(100), z.unknown()).optional(),
});
export const branchParams = z.strictObject({ id: common.id, name: z.string().min(1).max(100) });
