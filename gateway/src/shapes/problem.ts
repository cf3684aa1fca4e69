import { z } from 'zod';
import * as common from './common.js';

const fieldProblem = common.answer('FieldProblem', {
  pointer: z
    .string()
    .describe('JSON pointer into the body; /query/…, /path/… or /header/… for the rest of the request'),
  code: z.string(),
  message: z.string(),
});

/** Any error (RFC 9457). */
export const problemShape = common.answer('Problem', {
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  reason: z.string().describe('A stable UPPER_SNAKE word'),
  instance: z.string(),
  requestId: z.string(),
  errors: z.array(fieldProblem).optional(),
  current: z
    .looseObject({ etag: z.string().nullable(), head: z.string().nullable() })
    .optional()
    .describe('With 412: how the thing is now'),
  details: common.free.optional(),
});
