import { createHash } from 'node:crypto';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import type { TokenMinter } from '@coursewright/platform/internal-token';
import type { Command } from '@coursewright/platform/rpc-call';
import { RecallOutcome, type RecallResponse } from '@coursewright/proto/coursewright/common/v1/requests';
import type { Owner, Peers } from '../peers.js';
import { invalid } from './validate.js';

const keyForm = /^[\x21-\x7e]{1,255}$/;

/** The Idempotency-Key of a request. Throws invalid_argument INVALID_REQUEST. */
export function readKey(header: string | readonly string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  if (typeof header === 'string' && keyForm.test(header)) return header;
  const message = 'must be 1 to 255 visible ASCII characters';
  throw invalid([{ pointer: '/header/idempotency-key', code: 'idempotency_key', message }]);
}

/** What a write is known by on all its hops: the client's key, or an id of our own. */
export function commandOf(key: string | undefined, fingerprint: string): Command {
  return key === undefined ? { id: newId(), fingerprint, kept: 'minted' } : { id: key, fingerprint, kept: 'client' };
}

/** Hash of method, path, query and body bytes as they were received. */
export function fingerprintOf(method: string, url: string, body: Buffer | string): string {
  return createHash('sha256').update(`${method}\n${url}\n`).update(body).digest('base64url');
}

/** What the owner of a write has kept of its effect. */
export type FirstResult = Readonly<Record<string, unknown>>;

type Call = { readonly requestId: string; readonly deadline: number };

/** What became of writes with a client's key. */
export interface Keys {
  /** Binds a key to its first request, for all services. Throws unprocessable IDEMPOTENCY_KEY_REUSED. */
  claim(actor: string, command: Command, call: Call): Promise<void>;
  /** The first result of a write, undefined when it has none yet. Throws unprocessable IDEMPOTENCY_KEY_REUSED, conflict IN_PROGRESS. */
  recall(owner: Owner, actor: string, command: Command, call: Call): Promise<FirstResult | undefined>;
  /** Whether an owner knows of any write under a key. */
  isUsed(owner: Owner, who: { readonly actor: string; readonly key: string }, call: Call): Promise<boolean>;
}

/** Asks catalog, where keys are bound, and the owners of the effects, who keep what came of them. */
export function createKeys(peers: Pick<Peers, 'catalog' | 'requests'>, minter: Pick<TokenMinter, 'mintOwn'>): Keys {
  const own = async (call: Call): Promise<{ call: Call & { token: string } }> => ({
    call: { ...call, token: await minter.mintOwn() },
  });
  return {
    async claim(actor, { id: key, fingerprint }, call) {
      const { matches } = await peers.catalog.claimKey({ actor, key, fingerprint }, await own(call));
      if (!matches) throw reused();
    },
    async recall(owner, actor, { id: key, fingerprint }, call) {
      return firstResult(await peers.requests[owner].recall({ actor, key, fingerprint }, await own(call)));
    },
    async isUsed(owner, { actor, key }, call) {
      // No request has the empty fingerprint: what is there does not match it.
      const { outcome } = await peers.requests[owner].recall({ actor, key, fingerprint: '' }, await own(call));
      return outcome !== RecallOutcome.NONE;
    },
  };
}

function firstResult(answer: RecallResponse): FirstResult | undefined {
  switch (answer.outcome) {
    case RecallOutcome.DONE:
      return answer.result ?? {};
    case RecallOutcome.MISMATCH:
      throw reused();
    case RecallOutcome.IN_FLIGHT: {
      const message = 'The first request is under way';
      throw new AppError('conflict', 'IN_PROGRESS', { retryAfterSeconds: 1 }, { message });
    }
    case RecallOutcome.NONE:
    case RecallOutcome.UNSPECIFIED:
      return undefined;
  }
}

function reused(): AppError {
  return new AppError('unprocessable', 'IDEMPOTENCY_KEY_REUSED', {}, { message: 'The key belongs to another request' });
}
