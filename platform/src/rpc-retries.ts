import { AppError } from './errors.js';
import { awayError } from './rpc-errors.js';
import type { Replica } from './rpc-replica.js';
import type { Replicas } from './rpc-replicas.js';

/** Whom a call goes to. */
export interface Peer {
  readonly replicas: Replicas;
  readonly peer: string;
}

const retryPausesMs = [50, 150, 400];
/** How long a call waits for a connection, and what it leaves of its time then: its caller shall still be able to say who was away. */
const connectMs = 2_000;
const wayBackMs = 250;

interface Limits {
  readonly call?: { readonly signal?: AbortSignal; readonly deadline?: number };
  readonly deadlineMs?: number;
}

/** A call as its retries see it. */
export interface Tried extends Peer {
  readonly repeatable: boolean;
  readonly options: Limits;
}

function timeLeft({ call }: Limits): number {
  return (call?.deadline ?? Infinity) - Date.now();
}

/** The replica to try. Nothing has been sent when there is none; undefined when that was known at once, so that a later try may be worth it. */
export async function nextReplica({ replicas, peer, options }: Tried): Promise<Replica | undefined> {
  const wait = Math.min(connectMs, options.deadlineMs ?? Infinity, timeLeft(options) - wayBackMs);
  const found = await replicas.next(Math.max(0, wait));
  if (found === 'silent') throw awayError(peer);
  return found === 'away' ? undefined : found;
}

/**
 * After a failed try waits until it is time for another and resolves to true; resolves to false when there shall be none. Tried again are only calls that
 * may be repeated, and only when the peer was away (one replica died or hung: the next try goes to another). What a service itself called unavailable
 * goes back at once.
 */
export async function maySucceedLater(call: Tried, error: unknown, tries: number): Promise<boolean> {
  const { peer, repeatable, options } = call;
  const pause = retryPausesMs[tries];
  // Only this very peer: one that is away further on has been tried again there already.
  const away = error instanceof AppError && error.reason === 'SERVICE_UNAVAILABLE' && error.details['service'] === peer;
  const isLost = away || meetsItself(error, tries);
  if (!repeatable || pause === undefined || !isLost || timeLeft(options) < pause * 2 || options.call?.signal?.aborted)
    return false;
  await new Promise((resolve) => setTimeout(resolve, pause * (0.75 + Math.random() / 2)));
  return true;
}

/**
 * Whether a try has met an earlier one of the same call: the replica between is dead, and what it had begun further on still holds the
 * command that goes with both. The caller has sent it once, and is not told that it was sent twice.
 */
function meetsItself(error: unknown, tries: number): boolean {
  return tries > 0 && error instanceof AppError && error.reason === 'IN_PROGRESS';
}

/** What a replica answers that cannot reach a store; another one may, and if none can that is soon known of all. */
const lacksStore = new Set(['DATABASE_UNAVAILABLE', 'BODY_STORE_UNAVAILABLE']);
/** A store that is away is known at once. What took longer has waited there, for a lock perhaps, and would wait again. */
const atOnceMs = 1_000;

/** Notes that a replica could not reach a store. Resolves to whether the call may be sent to another one instead. */
export function anotherMay(call: Tried, replica: Replica | undefined, error: unknown, since: number): boolean {
  if (replica === undefined || !(error instanceof AppError && lacksStore.has(error.reason))) return false;
  replica.rest();
  const isKnown = performance.now() - since < atOnceMs;
  return call.repeatable && isKnown && call.replicas.hasFit() && !call.options.call?.signal?.aborted;
}

/** Tries a call until it has an answer or there shall be no further try. */
export async function withRetries<T>(call: Tried, attempt: (replica: Replica) => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    const replica = await nextReplica(call);
    const since = performance.now();
    try {
      if (replica === undefined) throw awayError(call.peer);
      return await attempt(replica);
    } catch (error) {
      if (anotherMay(call, replica, error, since)) continue;
      if (await maySucceedLater(call, error, tries)) continue;
      throw meetsItself(error, tries) ? awayError(call.peer, error) : error;
    }
  }
}
