import { createHash } from 'node:crypto';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import type { Command } from '@coursewright/platform/rpc-call';
import { RecallOutcome, type RecallResponse } from '@coursewright/proto/coursewright/common/v1/requests';
import { invalid } from './validate.js';

const keyForm = /^[\x21-\x7e]{1,255}$/;

/** What a write is known by on all its hops: the client's key, or an id of our own. Throws invalid_argument INVALID_REQUEST. */
export function commandOf(key: string | undefined, fingerprint: string): Command {
  if (key === undefined) return { id: newId(), fingerprint, kept: 'minted' };
  if (!keyForm.test(key)) {
    const message = 'must be 1 to 255 visible ASCII characters';
    throw invalid([{ pointer: '/header/idempotency-key', code: 'idempotency_key', message }]);
  }
  return { id: key, fingerprint, kept: 'client' };
}

/** Hash of method, path, query and body bytes as they were received. */
export function fingerprintOf(method: string, url: string, body: Buffer | string): string {
  return createHash('sha256').update(`${method}\n${url}\n`).update(body).digest('base64url');
}

/**
 * The first result of a keyed request, or undefined when it has none yet.
 * Throws unprocessable IDEMPOTENCY_KEY_REUSED, conflict IN_PROGRESS.
 */
export function firstResult(answer: RecallResponse): Readonly<Record<string, unknown>> | undefined {
  switch (answer.outcome) {
    case RecallOutcome.DONE:
      return answer.result ?? {};
    case RecallOutcome.MISMATCH:
      throw new AppError(
        'unprocessable',
        'IDEMPOTENCY_KEY_REUSED',
        {},
        { message: 'The key belongs to another request' },
      );
    case RecallOutcome.IN_FLIGHT:
      throw new AppError(
        'conflict',
        'IN_PROGRESS',
        { retryAfterSeconds: 1 },
        { message: 'The first request is under way' },
      );
    case RecallOutcome.NONE:
    case RecallOutcome.UNSPECIFIED:
      return undefined;
  }
}
