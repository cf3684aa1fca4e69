import { z } from 'zod';
import * as common from './common.js';

const place = common.answer('Place', { parentId: common.id.nullable(), position: z.int() });
export { place as placeShape };

/** A node of a course's tree. `body` and `commit` are null for learners. */
export const nodeShape = common.answer('Node', {
  id: common.id,
  courseId: common.id,
  kind: common.nodeKind,
  parentId: common.id.nullable(),
  position: z.int(),
  title: z.string(),
  fields: common.free,
  body: common.hash.nullable(),
  audience: z.enum(['learner', 'author', 'grader']).describe('Whom it is for, with all that is below it'),
  source: common.source.optional(),
  commit: common.hash.nullable(),
  updatedAt: common.time,
  updatedBy: common.person,
});
export type NodeJson = z.input<typeof nodeShape>;
export const nodeListShape = common.listOf('NodeList', nodeShape);

/** A node inside an outline. */
export interface OutlineNodeJson {
  id: string;
  kind: NodeJson['kind'];
  title: string;
  fields: Record<string, unknown>;
  body: string | null;
  children: OutlineNodeJson[];
  next?: string;
}

const outlineNode: z.ZodType<OutlineNodeJson> = common.answer('OutlineNode', {
  id: common.id,
  kind: common.nodeKind,
  title: z.string(),
  fields: common.free,
  body: common.hash.nullable(),
  get children() {
    return z.array(outlineNode);
  },
  next: z.string().optional().describe('Cursor for GET /nodes/{id}/children when there are more children'),
});

/** A course's tree down to a depth. */
export const outlineShape = common.answer('Outline', {
  courseId: common.id,
  branch: z.string().nullable(),
  commit: common.hash.nullable(),
  root: outlineNode,
});

const fields = z.record(common.fieldName, common.fieldValue);
const patched = z.record(common.fieldName, common.fieldValue.nullable());

export const nodeCreate = common.request('NodeCreate', {
  title: common.title,
  fields: fields.optional(),
  position: common.position.optional(),
});
export const lessonCreate = common.request('LessonCreate', {
  title: common.title,
  fields: fields.optional(),
  position: common.position.optional(),
  kind: z.enum(['lesson', 'assignment']).default('lesson'),
});
export const nodePatch = common.request('NodePatch', {
  title: common.title.optional(),
  fields: patched.optional(),
  parentId: common.id.optional(),
  position: common.position.optional(),
});
