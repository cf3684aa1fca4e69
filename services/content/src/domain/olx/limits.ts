import { AppError } from '@coursewright/platform/errors';

/**
 * What one XML text may hold at most. A few hundred kilobytes can describe millions of empty elements, each of which takes some
 * hundred bytes of memory as soon as it is read.
 */
export const XML_LIMITS = {
  nodes: 200_000,
  depth: 150,
  attributes: 200,
  /** Characters of an attribute, and of a name. */
  attribute: 1024 * 1024,
  name: 250,
} as const;

/** That a source is over a limit, and over which. */
export function tooLarge(what: string, limit: number): AppError {
  const message = `the source has more than ${limit} ${what}`;
  return new AppError('unprocessable', 'OLX_TOO_LARGE', { limit, of: what }, { message });
}

/** That a source is nested too deeply. */
export function tooDeep(): AppError {
  return new AppError('unprocessable', 'OLX_TOO_DEEP', { limit: XML_LIMITS.depth });
}
