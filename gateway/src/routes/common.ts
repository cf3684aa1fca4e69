import { AppError, type FieldProblem } from '@coursewright/platform/errors';
import { CommitResponse } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import type { Context } from '../http/route.js';
import { invalid } from '../http/validate.js';

/** True for somebody who sees the published snapshot alone. */
export function isLearner(context: Context): boolean {
  return context.course.publishedCommit !== null;
}

/**
 * The ref that a read is about: for learners always the published commit of their token.
 * Throws permission_denied PUBLISHED_ONLY to a learner who names one, invalid_argument INVALID_REQUEST for two.
 */
export function refOf(
  context: Context,
  place: { readonly branch?: string | undefined; readonly at?: string | undefined },
): string {
  const { branch, at } = place;
  if (context.course.publishedCommit !== null) {
    if (branch === undefined && at === undefined) return context.course.publishedCommit;
    throw new AppError(
      'permission_denied',
      'PUBLISHED_ONLY',
      {},
      { message: 'You see what is published, and no other state' },
    );
  }
  if (branch !== undefined && at !== undefined)
    throw invalid([{ pointer: '/query/at', code: 'exclusive', message: 'cannot go with branch' }]);
  return at ?? branch ?? '';
}

/** What a commit's query says, as the contract's request has it; `what` is the message when none is sent. */
export function commitFields(
  query: {
    readonly branch?: string | undefined;
    readonly expectedHead?: string | undefined;
    readonly message?: string | undefined;
  },
  what: string,
): { branch: string; expectedHead: string; message: string } {
  return { branch: query.branch ?? '', expectedHead: query.expectedHead ?? '', message: query.message ?? what };
}

/** The header of a write: its commit, unless everything already was as asked. */
export function commitOf(response: Pick<CommitResponse, 'commit' | 'unchanged'>): { commit?: string } {
  return response.unchanged ? {} : { commit: response.commit };
}

/** The kept result of a write that versioning owns. */
export function keptCommit(result: Readonly<Record<string, unknown>>): CommitResponse {
  return CommitResponse.fromJSON(result);
}

/** Says a service's complaints in terms of the public request: each pointer is rewritten. */
export async function repointed<T>(work: Promise<T>, rewrite: (pointer: string) => string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof AppError) || error.fields.length === 0) throw error;
    const fields = error.fields.map((field: FieldProblem) => ({ ...field, pointer: rewrite(field.pointer) }));
    throw new AppError(error.kind, error.reason, error.details, { message: error.message, fields, cause: error.cause });
  }
}
