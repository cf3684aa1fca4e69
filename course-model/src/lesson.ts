import { z } from 'zod';

/** For whom an item is meant. Learners see `learner` alone; authors and reviewers also `author`; graders everything. */
export const AUDIENCES = ['learner', 'author', 'grader'] as const;

/** For whom an item is meant. */
export type Audience = (typeof AUDIENCES)[number];

/** The lists of a lesson document, in the order in which they follow each other on a page that says nothing else. */
export const PAGE_LISTS = ['materials', 'exercises', 'assessments'] as const;

/** A list of a lesson document whose items stand on the page. */
export type PageList = (typeof PAGE_LISTS)[number];

/** Most bytes of a lesson document in canonical JSON. */
export const MAX_LESSON_BYTES = 1024 * 1024;

const MAX_ITEMS = 2000;

const itemId = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  .describe('A UUIDv7 that the item keeps for life; left out, the server finds or makes it');
const audience = z.enum(AUDIENCES).describe('learner when left out');
const itemType = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9./_+-]{0,99}$/);
const materialType = z
  .string()
  .regex(/^(text\/markdown|text\/html|image|video|audio|file|link|vendor\/[A-Za-z0-9][A-Za-z0-9./_+-]{0,92})$/)
  .describe('text/markdown, text/html, image, video, audio, file, link, or vendor/… for what is kept as it came');
const title = z.string().max(500);
const metadata = z.record(z.string(), z.unknown()).describe('Free; never shown to learners');
const freeJson = z.unknown().describe('A string or any JSON, by type');

/** Where an imported node or item came from: a format and the key that it had there. */
export const sourceSchema = z.strictObject({
  format: z.string().regex(/^[a-z][a-z0-9-]{0,49}$/),
  key: z.string().min(1).max(500),
});

const common = { id: itemId.optional(), title: title.optional(), audience: audience.optional() };
const rest = { metadata: metadata.optional(), source: sourceSchema.optional() };

const objective = z.strictObject({ id: itemId.optional(), text: z.string(), audience: audience.optional(), ...rest });
const material = z.strictObject({ ...common, type: materialType, content: freeJson, ...rest });
const exercise = z.strictObject({
  ...common,
  type: itemType,
  instructions: freeJson.optional(),
  content: freeJson.optional(),
  answers: freeJson.optional().describe('Never shown to learners'),
  ...rest,
});
const assessment = z.strictObject({
  ...common,
  type: itemType,
  questions: z.array(z.unknown()).max(MAX_ITEMS).optional(),
  answers: freeJson.optional().describe('Never shown to learners'),
  scoring: freeJson.optional().describe('Never shown to learners'),
  ...rest,
});

/**
 * A lesson document as clients may send it. Strict: unknown fields are refused. The one source of the JSON Schema, the
 * OpenAPI document and the check on the way in.
 */
export const lessonSchema = z.strictObject({
  objectives: z
    .array(z.union([z.string(), objective]))
    .max(MAX_ITEMS)
    .optional(),
  materials: z.array(material).max(MAX_ITEMS).optional(),
  exercises: z.array(exercise).max(MAX_ITEMS).optional(),
  assessments: z.array(assessment).max(MAX_ITEMS).optional(),
  order: z
    .array(itemId)
    .max(3 * MAX_ITEMS)
    .describe('Item ids as they follow each other on the page; left out: materials, exercises, assessments')
    .optional(),
});

const stays = { id: true, audience: true } as const;

/**
 * A lesson document as it may be stored: lists, ids, audiences and order are there. What else the normal form fills in may be
 * missing, for documents outlive the rules by which they were filled in.
 */
export const storedLessonSchema = z.strictObject({
  objectives: z.array(objective.required(stays)).max(MAX_ITEMS),
  materials: z.array(material.required(stays)).max(MAX_ITEMS),
  exercises: z.array(exercise.required(stays)).max(MAX_ITEMS),
  assessments: z.array(assessment.required(stays)).max(MAX_ITEMS),
  order: z.array(itemId).max(3 * MAX_ITEMS),
});

/** A lesson document as it may be sent, after the check by `lessonSchema`. */
export type LessonInput = z.infer<typeof lessonSchema>;

/** Where an imported node or item came from. */
export type Source = z.infer<typeof sourceSchema>;

interface Item {
  id: string;
  audience: Audience;
  metadata?: Record<string, unknown>;
  source?: Source;
}

/** What a learner should know or be able to do after the lesson. */
export interface Objective extends Item {
  text: string;
}

/** Something to read, see or hear. `content` is the text itself for the text types, else a URL or JSON by type. */
export interface Material extends Item {
  type: string;
  title?: string;
  content: unknown;
}

/** Something to do for practice. `answers` never reaches learners. */
export interface Exercise extends Item {
  type: string;
  title?: string;
  instructions: unknown;
  content: unknown;
  answers: unknown;
}

/** Something that counts. `answers` and `scoring` never reach learners. */
export interface Assessment extends Item {
  type: string;
  title?: string;
  questions: unknown[];
  answers: unknown;
  scoring: unknown;
}

/** A lesson document in normal form: every item has its id and audience, and `order` names every item of the page once. */
export interface LessonDocument {
  objectives: Objective[];
  materials: Material[];
  exercises: Exercise[];
  assessments: Assessment[];
  order: string[];
}

/** Any item that stands on the page. */
export type PageItem = Material | Exercise | Assessment;

/** The document of a lesson that has none yet. */
export function emptyLesson(): LessonDocument {
  return { objectives: [], materials: [], exercises: [], assessments: [], order: [] };
}

/** The JSON Schema (draft 2020-12) of a lesson document as clients may send it. */
export function lessonJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(lessonSchema, { io: 'input' });
}

/** The items of the page in their order, each with the list that it stands in. */
export function pageItems(doc: LessonDocument): { list: PageList; item: PageItem }[] {
  const byId = new Map<string, { list: PageList; item: PageItem }>();
  for (const list of PAGE_LISTS) for (const item of doc[list]) byId.set(item.id, { list, item });
  return doc.order.flatMap((id) => byId.get(id) ?? []);
}
