import { problemsOf } from '@coursewright/course-model/lesson-problems';
import { applyTextRules } from '@coursewright/course-model/text-rules';
import { AppError, type FieldProblem } from '@coursewright/platform/errors';
import type { z } from 'zod';

/** A value by its schema, or all that is wrong with it; pointers begin with base. */
export type Checked = { readonly value: unknown; readonly problems: readonly FieldProblem[] };

/** Applies the text rules (NUL, lone surrogates, depth, forbidden names), then the schema; unknown fields are refused one by one. */
export function check(schema: z.ZodType, sent: unknown, base = ''): Checked {
  const text = applyTextRules(sent);
  if (text.problems.length > 0) {
    return { value: undefined, problems: text.problems.map((one) => ({ ...one, pointer: base + one.pointer })) };
  }
  const parsed = schema.safeParse(text.value);
  if (parsed.success) return { value: parsed.data, problems: [] };
  return { value: undefined, problems: problemsOf(parsed.error.issues, base).slice(0, 100) };
}

/** The one error of a request that is not as the contract says. */
export function invalid(fields: readonly FieldProblem[]): AppError {
  return new AppError('invalid_argument', 'INVALID_REQUEST', {}, { message: 'The request is not valid', fields });
}

/**
 * The query as a record of strings. Throws invalid_argument INVALID_REQUEST for a name that occurs twice and for what
 * is not percent-encoded UTF-8: either would lose something silently.
 */
export function readQuery(url: string): Record<string, string> {
  const at = url.indexOf('?');
  const query: Record<string, string> = Object.create(null) as Record<string, string>;
  if (at === -1 || at === url.length - 1) return { ...query };
  for (const pair of url.slice(at + 1).split('&')) {
    if (pair === '') continue;
    const split = pair.indexOf('=');
    const name = decode(split === -1 ? pair : pair.slice(0, split));
    if (Object.hasOwn(query, name)) throw invalid([problem(name, 'repeated', 'occurs more than once')]);
    query[name] = split === -1 ? '' : decode(pair.slice(split + 1));
  }
  return { ...query };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw invalid([problem('', 'encoding', 'is not percent-encoded UTF-8')]);
  }
}

function problem(name: string, code: string, message: string): FieldProblem {
  const pointer = name === '' ? '/query' : `/query/${name.toWellFormed().replaceAll('~', '~0').replaceAll('/', '~1')}`;
  return { pointer, code, message };
}
