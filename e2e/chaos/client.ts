import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '@coursewright/platform/ids';
import { Api, type Answer, type RequestOptions } from '../src/api.js';
import type { Attempt, Outcome } from './history.js';

/** A request as a fault may meet it. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly options?: RequestOptions;
}

/** What a client came to know by one or more requests. */
export interface Told<T> {
  readonly attempts: readonly Attempt[];
  readonly outcome: Outcome;
  /** The last answer, if there was one. */
  readonly answer: Answer<T> | null;
}

/** An answer that no client should get, or none at all. */
export interface OddAnswer {
  readonly at: number;
  readonly end: number;
  readonly request: string;
  /** `503 without Retry-After`, `500 INTERNAL`, `no answer`. */
  readonly what: string;
}

/** Longer than the gateway takes over anything. */
const TIMEOUT_MS = 40_000;
/** What the gateway gives a write, and a moment for a machine that does much else. An answer that says so itself comes as late. */
const LATE_MS = 22_000;
const PAUSE_MS = 250;

const PATIENT_MS = 60_000;

/**
 * The API for the judgement afterwards: what a fault has left for a while is waited out, since here it is asked what is kept. How long
 * it lasted is seen by the clients.
 */
export class PatientApi extends Api {
  override async send<T = Record<string, unknown>>(
    method: string,
    path: string,
    options: RequestOptions = {},
  ): Promise<Answer<T>> {
    for (const end = Date.now() + PATIENT_MS; ; await sleep(PAUSE_MS)) {
      try {
        const answer = await super.send<T>(method, path, options);
        if ((answer.status < 500 && answer.status !== 401) || Date.now() > end) return answer;
      } catch (error) {
        // A connection that the fault has cut.
        if (Date.now() > end) throw error;
      }
    }
  }
}

/** The API as the clients of the suite use it: every request is written down, and what is odd about its answer. */
export class Client {
  readonly odd: OddAnswer[] = [];
  /** When requests went out that were asked to come back: 503 with Retry-After. */
  readonly putOffs: number[] = [];
  /** Those of them that came only when the time of the request was over. */
  timedOut = 0;

  constructor(
    private readonly api: Api,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** One request; never throws. */
  async once<T>({ method, path, options = {} }: Asked, isRepeat = false): Promise<Told<T>> {
    const begin = this.now();
    let answer: Answer<T> | null = null;
    let error = '';
    try {
      answer = await this.api.send<T>(method, path, { timeoutMs: TIMEOUT_MS, ...options });
    } catch (failure) {
      error = nameOf(failure);
    }
    const end = this.now();
    const said = answer?.body as { readonly reason?: unknown } | undefined;
    const reason = typeof said?.reason === 'string' ? said.reason : '';
    const header = answer?.headers.get('retry-after') ?? null;
    const attempt = {
      begin,
      end,
      status: answer?.status ?? null,
      reason,
      retryAfter: header === null ? null : Number(header),
    };
    this.note(attempt, { request: `${method} ${path.split('?')[0]!}`, error, isRepeat });
    return { attempts: [attempt], outcome: outcomeOf(attempt), answer };
  }

  /** The same request under one key until it is answered for good, or `isOver` says that nobody waits any more. */
  async insist<T>(asked: Asked, isOver: () => boolean): Promise<Told<T>> {
    const headers = { ...asked.options?.headers, 'idempotency-key': newId() };
    const attempts: Attempt[] = [];
    for (;;) {
      const told = await this.once<T>({ ...asked, options: { ...asked.options, headers } }, attempts.length > 0);
      attempts.push(...told.attempts);
      if (told.outcome !== 'unknown' || isOver()) return { ...told, attempts };
      await sleep(PAUSE_MS);
    }
  }

  private note(
    attempt: Attempt,
    { request, error, isRepeat }: { request: string; error: string; isRepeat: boolean },
  ): void {
    const { status, reason, retryAfter, begin, end } = attempt;
    // An archive has minutes.
    const isUpload = request === 'POST /imports';
    if (status !== null && end - begin > LATE_MS && !isUpload)
      this.odd.push({ at: begin, end, request, what: `${status} too late` });
    const isFine = status !== null && (status < 300 || status === 412 || (isRepeat && reason === 'IN_PROGRESS'));
    if (isFine) return;
    // A token between services is our own affair, whatever clocks say: nobody is put off for that.
    if (status === 503 && retryAfter !== null && retryAfter > 0 && !reason.startsWith('INTERNAL_TOKEN')) {
      this.putOffs.push(begin);
      if (reason === 'DEADLINE_EXCEEDED') this.timedOut += 1;
      return;
    }
    const what =
      status === null
        ? `no answer (${error})`
        : status === 503 && retryAfter === null
          ? '503 without Retry-After'
          : `${status} ${reason}`;
    this.odd.push({ at: begin, end, request, what });
  }
}

/** A 4xx is for good, except that the first request with this key may still be under way; a 5xx leaves it open. */
function outcomeOf({ status, reason }: Attempt): Outcome {
  if (status === null || status >= 500 || status === 429 || reason === 'IN_PROGRESS') return 'unknown';
  return status < 300 ? 'acknowledged' : 'refused';
}

function nameOf(failure: unknown): string {
  const { cause, name } = failure as { cause?: { code?: string }; name?: string };
  return cause?.code ?? name ?? 'error';
}
