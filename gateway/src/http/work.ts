import type { IncomingMessage } from 'node:http';
import { AppError } from '@coursewright/platform/errors';
import type { Logger } from '@coursewright/platform/logger';
import type { Command } from '@coursewright/platform/rpc-call';
import type { Request, Response } from 'express';
import type { CourseAccess } from '../auth/access.js';
import type { Authenticator, Caller } from '../auth/bearer.js';
import { announcedLength } from './body.js';
import { BodySource } from './body-source.js';
import { listName } from './cursor.js';
import { closest, etagOf } from './etag.js';
import { commandOf, fingerprintOf, readKey, type FirstResult, type Keys } from './idempotency.js';
import type { Intake, Ticket } from './intake.js';
import { contextOf, type GatewayParts } from './open-context.js';
import { permit } from './permit.js';
import { headIn, type Current } from './problem.js';
import { expectBody, notExpected, readHead, valueOf } from './read-input.js';
import { requestIdOf } from './request-id.js';
import type { Context, Input, Reply, Route } from './route.js';

/** What every request is worked on with. */
export interface WorkOptions {
  readonly parts: GatewayParts;
  readonly authenticator: Authenticator;
  readonly intake: Intake;
  readonly keys: Keys;
  readonly importBytes: number;
  readonly logger: Logger;
}

const readMs = 10_000;
const writeMs = 20_000;
/** An archive or a file on its way. */
const transferMs = 10 * 60_000;
/** An upload is passed on as it comes: this much of it may be on the way. */
const uploadHoldsBytes = 2 ** 20;
/** What a caller may not know is answered no sooner than this, so that the time of the answer does not tell it either. */
const unknownMs = 12;

/** The caller's rights as far as they go: for what he may do, or why he may not. */
type Permitted = { readonly course: CourseAccess | undefined } | { readonly refusal: unknown };

/**
 * One request on its way through a route. Whatever the headers tell is judged first: token, path and query, permission,
 * preconditions, type and length of the body. Only then is the body read.
 */
export class Work {
  private readonly aborter = new AbortController();
  private readonly started = performance.now();
  private deadline: number;
  private context: Promise<Context> | undefined;
  private input: Input | undefined;
  private body: BodySource | undefined;
  private ticket: Ticket | undefined;

  constructor(
    private readonly route: Route,
    private readonly options: WorkOptions,
    private readonly request: Request,
    private readonly response: Response,
  ) {
    this.deadline = Date.now() + this.patienceMs();
    response.once('close', () => {
      if (!response.writableFinished) this.aborter.abort();
    });
  }

  async run(): Promise<Reply> {
    const { route, request, options } = this;
    const caller = await this.authenticate();
    this.ticket = options.intake.enter(actorOf(caller, request));
    this.input = this.withCursor(readHead(route, request, request.params));
    const key = route.write === undefined ? undefined : readKey(request.headers['idempotency-key']);
    const permitted = await this.permit(caller);
    if ('refusal' in permitted && !(await this.mayBeRepeat(caller, key))) throw permitted.refusal;
    if (route.current !== undefined && request.headers['if-match'] === undefined) throw ifMatchRequired();
    const bytes = await this.readBody(expectBody(route, request, options.importBytes));
    const input = (this.input = { ...this.input, bytes, body: valueOf(route, bytes) });
    const command = route.write === undefined ? undefined : this.command(key, bytes);
    const open = (): Promise<Context> => (this.context ??= this.open(caller, permitted, command));
    const first = await this.firstResult(caller, command, permitted);
    if (first !== undefined) {
      this.response.setHeader('idempotent-replay', 'true');
      return route.replay!(first, input, open);
    }
    const context = await open();
    const reply = await route.handle(await this.withOneTag(input, context), context);
    if (reply.replayed) this.response.setHeader('idempotent-replay', 'true');
    return reply;
  }

  /** Lets go of the body, so that what is left of it can be dropped. */
  leaveBody(): void {
    this.body?.abandon();
  }

  /** Gives its place to others. */
  end(): void {
    this.ticket?.leave();
  }

  /** Keeps an answer that something is not there back for a moment: whether it is nowhere or only hidden must not show in its time. */
  async quieten(error: unknown): Promise<void> {
    const leftMs = this.started + unknownMs - performance.now();
    const isUnknown = error instanceof AppError && error.kind === 'not_found';
    if (isUnknown && leftMs > 0) await new Promise((resolve) => setTimeout(resolve, leftMs));
  }

  isAbandoned(): boolean {
    return this.aborter.signal.aborted;
  }

  /** How the thing is now, for somebody whose precondition failed; undefined where the route has none or it cannot be read. */
  async current(error: unknown): Promise<Current | undefined> {
    const { route, input, context } = this;
    if (!(error instanceof AppError) || error.kind !== 'stale' || !route.current || !input || !context)
      return undefined;
    try {
      const reply = await route.current(input, await context);
      const json = reply.json ?? JSON.stringify(reply.body);
      return { etag: reply.etag ? etagOf(reply.etag, json) : null, head: headIn(error) ?? reply.head ?? null };
    } catch {
      return undefined;
    }
  }

  private patienceMs(): number {
    if (this.route.body?.kind === 'archive' || this.route.permission.of === 'asset') return transferMs;
    return this.route.write ? writeMs : readMs;
  }

  private async authenticate(): Promise<Caller> {
    if (this.route.permission.of === 'public') return { sub: 'anonymous', roles: [] };
    return this.options.authenticator.authenticate(this.request.headers.authorization);
  }

  private withCursor(input: Input): Input {
    const query = input.query as { cursor?: string };
    if (query.cursor === undefined) return input;
    const list = listName(this.route.path, input.params, query);
    return { ...input, query: { ...query, cursor: this.options.parts.cursors.open(list, query.cursor) } };
  }

  private async permit(caller: Caller): Promise<Permitted> {
    try {
      return { course: await permit(this.options.parts, this.route.permission, caller, this.input!) };
    } catch (refusal) {
      if (!(refusal instanceof AppError) || !['not_found', 'permission_denied'].includes(refusal.kind)) throw refusal;
      return { refusal };
    }
  }

  /** Whether what is refused now may have been done before, under this key: then its first answer is due. Nothing is read for it. */
  private async mayBeRepeat(caller: Caller, key: string | undefined): Promise<boolean> {
    const { write, replay } = this.route;
    if (key === undefined || write === undefined || replay === undefined) return false;
    return this.options.keys.isUsed(write, { actor: caller.sub, key }, this.call());
  }

  private async readBody(maxBytes: number | undefined): Promise<Buffer> {
    const { route, request, response, ticket } = this;
    if (maxBytes === undefined || ticket === undefined) return Buffer.alloc(0);
    this.body = new BodySource(request, response, maxBytes, ...(route.body === undefined ? [notExpected()] : []));
    if (route.body?.kind === 'archive') {
      ticket.arriving(uploadHoldsBytes);
      this.input = { ...this.input!, chunks: this.body.chunks() };
      return Buffer.alloc(0);
    }
    ticket.arriving(announcedLength(request) ?? maxBytes);
    const bytes = await this.body.read();
    ticket.arrived();
    // However long the sender took: the work itself has all of its time.
    this.deadline = Date.now() + this.patienceMs();
    return bytes;
  }

  /** An archive is not held back to be hashed: what stands for its bytes its owner adds. */
  private command(key: string | undefined, bytes: Buffer): Command {
    const { method, originalUrl } = this.request;
    const isArchive = this.route.body?.kind === 'archive';
    return commandOf(key, fingerprintOf(method, originalUrl, isArchive ? this.input!.mediaType : bytes));
  }

  /**
   * The first result of a keyed write. One that may be done now also takes its key, whichever service owns the effect; at the same
   * time, as taking it costs a commit. Throws unprocessable IDEMPOTENCY_KEY_REUSED, conflict IN_PROGRESS.
   */
  private async firstResult(
    caller: Caller,
    command: Command | undefined,
    permitted: Permitted,
  ): Promise<FirstResult | undefined> {
    if (command?.kept !== 'client') return undefined;
    const { keys } = this.options;
    const { write, replay } = this.route;
    const claim = 'refusal' in permitted ? undefined : keys.claim(caller.sub, command, this.call());
    claim?.catch(() => undefined);
    // Whether an archive came before only its owner can say, who has read it.
    const first = replay && (await keys.recall(write!, caller.sub, command, this.call()));
    if (first !== undefined) return first;
    await claim;
    return undefined;
  }

  private call(): { requestId: string; deadline: number } {
    return { requestId: requestIdOf(this.response), deadline: this.deadline };
  }

  private async open(caller: Caller, permitted: Permitted, command: Command | undefined): Promise<Context> {
    if ('refusal' in permitted) throw permitted.refusal;
    const opening = { caller, input: this.input!, command, signal: this.aborter.signal, ...this.call() };
    return contextOf(this.options.parts, this.route, opening, permitted.course);
  }

  private async withOneTag(input: Input, context: Context): Promise<Input> {
    if (!this.route.current || input.match.any || input.match.others.length === 0) return input;
    const { etag = [] } = await this.route.current(input, context);
    return { ...input, match: closest(input.match, etag) };
  }
}

/** Whose share of the gateway a request takes: the person's, or of who has no name the address's. */
function actorOf(caller: Caller, request: IncomingMessage): string {
  return caller.sub === 'anonymous' ? `address ${request.socket.remoteAddress ?? ''}` : `person ${caller.sub}`;
}

function ifMatchRequired(): AppError {
  const message = 'Send If-Match with the ETag of what you read, or * for whatever is there';
  return new AppError('precondition_required', 'IF_MATCH_REQUIRED', {}, { message });
}
