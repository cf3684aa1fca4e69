import { z } from 'zod';

/** Named shapes of answers; each becomes a component of the OpenAPI document. */
export const answerShapes = z.registry<{ id: string }>();
/** Named shapes of requests. */
export const requestShapes = z.registry<{ id: string }>();

/** A shape of an answer. Loose: a client must not break on a field that comes later. */
export function answer<T extends z.ZodRawShape>(id: string, shape: T): z.ZodObject<T, z.core.$loose> {
  const schema = z.looseObject(shape);
  answerShapes.add(schema, { id });
  return schema;
}

/** A shape of a request. Strict: unknown fields are refused. */
export function request<T extends z.ZodRawShape>(id: string, shape: T): z.ZodObject<T, z.core.$strict> {
  const schema = z.strictObject(shape);
  requestShapes.add(schema, { id });
  return schema;
}

/** A page of a list. */
export function listOf<T extends z.ZodType, X extends z.ZodRawShape>(
  id: string,
  item: T,
  extra: X = {} as X,
): z.ZodObject<{ items: z.ZodArray<T>; next: z.ZodNullable<z.ZodString> } & X, z.core.$loose> {
  const next = z.string().nullable().describe('The cursor of the next page; null at the end');
  return answer(id, { items: z.array(item), next, ...extra });
}

const idForm = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
/** A hash as the API writes it. */
export const hashForm = /^[A-Za-z0-9_-]{43}$/;

export const id = z.string().regex(idForm).describe('UUIDv7');
export const hash = z.string().describe('sha-256, base64url');
export const time = z.string().describe('RFC 3339, UTC, milliseconds');
export const person = z.string().describe('Subject of the person');
export const free = z.record(z.string(), z.unknown());

export const nodeKind = z.enum(['course', 'unit', 'module', 'lesson', 'assignment']);
export const counts = answer('Counts', { units: z.int(), modules: z.int(), lessons: z.int(), assignments: z.int() });
export const source = answer('Source', { format: z.string(), key: z.string() });

/** A number that arrives as text. */
function numeral(max: number): z.ZodPipe<z.ZodPipe<z.ZodString, z.ZodTransform<number, string>>, z.ZodInt> {
  return z
    .string()
    .regex(/^\d{1,9}$/)
    .transform(Number)
    .pipe(z.int().max(max));
}

/** true or false, arriving as text. */
export const flag = z
  .enum(['true', 'false'])
  .transform((word) => word === 'true')
  .pipe(z.boolean());

export const limit = z
  .string()
  .regex(/^\d{1,3}$/)
  .transform(Number)
  .pipe(z.int().min(1).max(200))
  .default(50)
  .describe('Items on a page');
export const depth = numeral(10).optional().describe('Levels below the root; left out or 0: down to modules');
export const cursor = z
  .string()
  .min(1)
  .max(4_000)
  .optional()
  .describe('`next` of the page before, with the same filters');
export const page = { limit, cursor };

const branchName = z.string().min(1).max(100);
export const branch = branchName
  .refine(
    (name) => !/^\d+$/.test(name) && !hashForm.test(name) && !name.startsWith('import/'),
    'is not the name of a branch',
  )
  .optional()
  .describe('Branch; left out: the default branch');
export const ref = z.string().min(1).max(100);
export const at = ref.optional().describe('Version number, tag or commit');
/** Where a read looks: a branch, or one point in time. */
export const place = { branch, at };

export const message = z.string().max(2_000).optional().describe('Message of the commit');
export const expectedHead = z
  .string()
  .regex(hashForm)
  .optional()
  .describe('Refuse unless this is the head of the branch');
/** What any write that makes a commit may say in its query. */
export const commitQuery = { branch, expectedHead, message };

export const byId = z.strictObject({ id });
export const noQuery = z.strictObject({});

/** A position among siblings, from 0. */
export const position = z.int().min(0).max(1_000_000);
const scalar = z.union([z.string().max(20_000), z.number(), z.boolean()]);
/** A field's value: text, number, true, false, or a list of these. */
export const fieldValue = z.union([scalar, z.array(scalar).max(200)]);
export const fieldName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/);
export const title = z.string().min(1).max(500).regex(/\S/, 'must not be blank');
