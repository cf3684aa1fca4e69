import { AppError } from '@coursewright/platform/errors';
import type { PresentNode } from '../domain/apply-ops.js';
import type { Problem } from '../domain/fields.js';
import type { Part } from '../domain/ops.js';

/** The answer to a write; kept with its command, so that a repeat gets the very same. */
export interface WriteResult {
  readonly courseId: string;
  readonly branchId: string;
  readonly branch: string;
  /** The head after the write: the new commit, or the present head when nothing changed. */
  readonly commit: string;
  /** Hash of the root node. */
  readonly tree: string;
  readonly unchanged: boolean;
  /** RFC 3339. */
  readonly at: string;
  /** For each op the node it added or touched. */
  readonly nodeIds: readonly string[];
}

/** What comes of a write. Everything but `done` leaves the branch as it is. */
export type WriteOutcome =
  | { readonly outcome: 'done'; readonly result: WriteResult }
  /** Something is not as the writer believes. Without a node it is the head itself. */
  | {
      readonly outcome: 'stale';
      readonly head: string;
      readonly node?: string;
      readonly part?: Part;
      readonly present?: PresentNode | null;
    }
  | { readonly outcome: 'gone'; readonly what: 'node' | 'parent'; readonly id: string; readonly op: number }
  | { readonly outcome: 'taken'; readonly ids: readonly string[] }
  | { readonly outcome: 'refused'; readonly problems: readonly Problem[] }
  | { readonly outcome: 'missing'; readonly what: 'course' | 'branch' | 'commit'; readonly name: string }
  | { readonly outcome: 'protected'; readonly branch: string }
  | { readonly outcome: 'in_progress' | 'key_reused' | 'closed' }
  | { readonly outcome: 'failed'; readonly error: unknown };

/** The result of a write that was done; every other outcome as the error that callers get, with its stable reason. */
export function resultOf(outcome: WriteOutcome): WriteResult {
  if (outcome.outcome === 'done') return outcome.result;
  throw errorOf(outcome);
}

const MISSING = { course: 'COURSE_NOT_FOUND', branch: 'BRANCH_NOT_FOUND', commit: 'COMMIT_NOT_FOUND' } as const;

function errorOf(outcome: Exclude<WriteOutcome, { outcome: 'done' }>): unknown {
  switch (outcome.outcome) {
    case 'stale': {
      const { head, node, part, present } = outcome;
      return new AppError('stale', 'STALE', {
        head,
        ...(node === undefined ? {} : { node, part, current: present ?? null }),
      });
    }
    case 'gone':
      return new AppError('conflict', outcome.what === 'node' ? 'NODE_GONE' : 'PARENT_GONE', {
        id: outcome.id,
        op: outcome.op,
      });
    case 'taken':
      return new AppError('already_exists', 'ID_TAKEN', { ids: outcome.ids });
    case 'refused':
      return new AppError(
        'unprocessable',
        'OPS_REFUSED',
        {},
        { fields: outcome.problems, message: outcome.problems[0]?.message ?? '' },
      );
    case 'missing':
      return new AppError('not_found', MISSING[outcome.what], { name: outcome.name });
    case 'protected':
      return new AppError('permission_denied', 'BRANCH_PROTECTED', { branch: outcome.branch });
    case 'closed':
      return new AppError('conflict', 'COURSE_CLOSED');
    case 'in_progress':
      return new AppError('conflict', 'IN_PROGRESS', { retryAfterSeconds: 1 });
    case 'key_reused':
      return new AppError('unprocessable', 'IDEMPOTENCY_KEY_REUSED');
    case 'failed':
      return outcome.error;
  }
}
