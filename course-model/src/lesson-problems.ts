import type { z } from 'zod';
import { pointerToken } from './canonical.js';
import type { Problem } from './text-rules.js';

type Issue = z.core.$ZodIssue;

/**
 * The issues of a zod check as problems with JSON pointers: unknown fields are named each by itself (zod reports them at
 * the parent), and of a union only the alternative that the value was evidently meant for is reported.
 */
export function problemsOf(issues: readonly Issue[], base = ''): Problem[] {
  return issues.flatMap((issue) => {
    const at =
      base + issue.path.map((part) => `/${pointerToken(typeof part === 'symbol' ? String(part) : part)}`).join('');
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({
        pointer: `${at}/${pointerToken(key)}`,
        code: 'unknown_field',
        message: 'is not a known field',
      }));
    }
    if (issue.code === 'invalid_union') {
      const meant = issue.errors.find((branch) =>
        branch.every((inner) => inner.path.length > 0 || inner.code !== 'invalid_type'),
      );
      if (meant) return problemsOf(meant, at);
      return [{ pointer: at, code: 'invalid_type', message: 'is of a type that does not belong here' }];
    }
    return [{ pointer: at, code: codeOf(issue), message: issue.message }];
  });
}

function codeOf(issue: Issue): string {
  if (issue.code === 'invalid_type' && issue.input === undefined) return 'required';
  return issue.code;
}
