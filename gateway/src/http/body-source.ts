import type { IncomingMessage, ServerResponse } from 'node:http';
import { AppError } from '@coursewright/platform/errors';
import { tooLarge } from './body.js';
import { HttpRefusal } from './refusal.js';

/** A sender must not be silent for longer. */
const silenceMs = 5_000;
/** All that is waited for a sender: this, and a second for each so many bytes that came. */
const graceMs = 5_000;
const bytesPerSecond = 32 * 1024;
/** Read ahead of who takes the chunks. */
const aheadBytes = 256 * 1024;

/**
 * The body of a request, not a byte of which is read before somebody asks. Only the time spent waiting for the sender counts
 * against him: a reader may take as long as he likes.
 */
export class BodySource {
  readonly #ready: Buffer[] = [];
  #readyBytes = 0;
  #received = 0;
  #waitedMs = 0;
  #isEnded = false;
  #failure: Error | undefined;
  #wake: () => void = () => undefined;
  #stopListening: () => void = () => undefined;

  constructor(
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
    private readonly maxBytes: number,
    private readonly overLimit: AppError = tooLarge(maxBytes),
  ) {}

  /** The whole body. Throws too_large BODY_TOO_LARGE, 408 REQUEST_TIMEOUT, invalid_argument BODY_INCOMPLETE. */
  async read(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.chunks()) chunks.push(chunk);
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }

  /** The body as it arrives; throws as `read` does. */
  async *chunks(): AsyncGenerator<Buffer> {
    this.#listen();
    try {
      for (;;) {
        const chunk = await this.#next();
        if (chunk === undefined) return;
        yield chunk;
      }
    } finally {
      this.abandon();
    }
  }

  /** Lets go of the request, so that somebody else may read what is left of it; who waits for a chunk is told BODY_INCOMPLETE. */
  abandon(): void {
    this.#stopListening();
    this.#fail(new AppError('invalid_argument', 'BODY_INCOMPLETE'));
  }

  #listen(): void {
    const { request } = this;
    const take = (chunk: Buffer): void => this.#take(chunk);
    const end = (): void => {
      this.#isEnded = true;
      this.#wake();
    };
    const cut = (): void => {
      if (!this.#isEnded) this.#fail(new AppError('invalid_argument', 'BODY_INCOMPLETE'));
    };
    request.on('data', take).once('end', end).once('close', cut).once('error', cut);
    this.#stopListening = () => {
      request.off('data', take).off('end', end).off('close', cut).off('error', cut);
    };
    // A client that asks first (RFC 9110, 10.1.1) sends nothing until it is told to.
    if (request.headers.expect !== undefined) this.response.writeContinue();
  }

  #take(chunk: Buffer): void {
    this.#received += chunk.length;
    if (this.#received > this.maxBytes) return this.#fail(this.overLimit);
    this.#ready.push(chunk);
    this.#readyBytes += chunk.length;
    if (this.#readyBytes > aheadBytes) this.request.pause();
    this.#wake();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }

  async #next(): Promise<Buffer | undefined> {
    for (;;) {
      if (this.#failure) throw this.#failure;
      const chunk = this.#ready.shift();
      if (chunk !== undefined) {
        this.#readyBytes -= chunk.length;
        if (this.request.isPaused() && this.#readyBytes <= aheadBytes) this.request.resume();
        return chunk;
      }
      if (this.#isEnded) return undefined;
      await this.#wait();
    }
  }

  async #wait(): Promise<void> {
    const began = performance.now();
    const timer = setTimeout(() => this.#fail(tooSlow()), silenceMs);
    await new Promise<void>((resolve) => (this.#wake = resolve));
    clearTimeout(timer);
    this.#waitedMs += performance.now() - began;
    const patienceMs = graceMs + (this.#received / bytesPerSecond) * 1_000;
    if (!this.#isEnded && this.#waitedMs > patienceMs) this.#fail(tooSlow());
  }
}

function tooSlow(): HttpRefusal {
  return new HttpRefusal(408, 'REQUEST_TIMEOUT', 'The body took too long');
}
