import { z } from 'zod';
import * as common from './common.js';

const item = { id: z.string(), audience: z.string() };
const content = common.answer('LessonDocument', {
  objectives: z.array(z.looseObject({ ...item, text: z.string() })),
  materials: z.array(z.looseObject({ ...item, type: z.string() })),
  exercises: z.array(z.looseObject({ ...item, type: z.string() })),
  assessments: z.array(z.looseObject({ ...item, type: z.string() })),
  order: z.array(z.string()),
});

/** A lesson's document as it is stored; `hash` is "none" for a lesson that has none yet. */
export const lessonShape = common.answer('Lesson', {
  lessonId: common.id,
  courseId: common.id,
  branch: z.string().nullable(),
  commit: common.hash,
  hash: common.hash,
  content,
  updatedAt: common.time,
  updatedBy: common.person,
});

/** A lesson as safe HTML. `commit` is null for learners; `hash` is "none" for a lesson without a document, and a keyed hash of what they see for those who do not see all. */
export const renderedShape = common.answer('RenderedLesson', {
  lessonId: common.id,
  courseId: common.id,
  commit: common.hash.nullable(),
  hash: common.hash,
  title: z.string(),
  objectives: z.array(common.answer('RenderedObjective', { id: z.string(), html: z.string() })),
  items: z.array(
    common.answer('RenderedItem', {
      id: z.string(),
      kind: z.enum(['material', 'exercise', 'assessment']),
      type: z.string(),
      title: z.string(),
      html: z.string(),
      audience: z.string(),
    }),
  ),
});
