import { z } from 'zod';
import * as common from './common.js';

const levels = z.enum(['A1', 'A2', 'B1', 'B2', 'C1', 'C2']);
const statuses = z.enum(['draft', 'in_review', 'approved', 'published', 'archived']);
const language = z
  .string()
  .regex(/^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/)
  .max(35);
const tags = z
  .array(z.string().min(1).max(100))
  .max(50)
  .describe('Each is kept once, whatever its case: of several spellings the first');

/** A course. `head` is null for learners. */
export const courseShape = common.answer('Course', {
  id: common.id,
  title: z.string(),
  description: z.string(),
  topic: z.string(),
  cefrLevel: levels.nullable(),
  language: z.string().nullable(),
  tags: z.array(z.string()),
  status: statuses,
  published: z.boolean(),
  unpublishedChanges: z.boolean(),
  owner: common.person,
  createdBy: common.person,
  createdAt: common.time,
  updatedBy: common.person,
  updatedAt: common.time,
  defaultBranch: z.string().nullable().describe('Null for learners'),
  head: common.hash.nullable(),
  version: z.int().describe('Latest version number, or 0'),
  publishedVersion: z.int().nullable(),
  createdFrom: common.answer('CourseOrigin', { course: common.id, commit: common.hash }).nullable(),
  counts: common.counts,
  archivedAt: common.time.optional(),
  deletedAt: common.time.optional(),
});
export type CourseJson = z.input<typeof courseShape>;

const facetValue = common.answer('FacetValue', { value: z.string(), count: z.int() });
export const courseListShape = common.listOf('CourseList', courseShape, {
  facets: z.record(z.string(), z.array(facetValue)).optional(),
});

const editable = {
  title: common.title,
  description: z.string().max(20_000),
  topic: z.string().max(200),
  cefrLevel: levels.nullable(),
  language: language.nullable(),
  tags,
};
export const courseCreate = common.request('CourseCreate', {
  ...z.strictObject(editable).partial().shape,
  title: common.title,
});
export const courseReplace = common.request('CourseReplace', editable);
export const coursePatch = common.request('CoursePatch', z.strictObject(editable).partial().shape);

export const courseListQuery = z.strictObject({
  query: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe(
      'Search over title, description, topic and tags, without case and accents: all words; "a phrase"; -without; one or other. ' +
        'What is written without blanks is found by any part of it',
    ),
  topic: z.string().min(1).max(200).optional(),
  status: statuses.optional(),
  published: common.flag.optional(),
  level: levels.optional(),
  owner: z.string().min(1).max(200).optional(),
  tag: z.string().min(1).max(100).optional().describe('In any spelling that differs in case alone'),
  language: language.optional(),
  sort: z.enum(['updatedAt', '-updatedAt', 'title', '-title', 'createdAt', '-createdAt', 'relevance']).optional(),
  facets: common.flag.optional(),
  deleted: common.flag.optional().describe('Deleted courses; admins only'),
  ...common.page,
});
