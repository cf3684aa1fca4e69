import { AppError } from '@coursewright/platform/errors';
import type { Logger } from '@coursewright/platform/logger';
import { latency } from '@coursewright/platform/metrics';
import type { Command } from '@coursewright/platform/rpc-call';
import { contextFrom, inSpan, SpanKind } from '@coursewright/platform/telemetry';
import type { Request, RequestHandler, Response } from 'express';
import type { Authenticator, Caller } from '../auth/bearer.js';
import { listName } from './cursor.js';
import { closest, etagOf } from './etag.js';
import { commandOf, fingerprintOf, firstResult } from './idempotency.js';
import { openContext, type GatewayParts } from './open-context.js';
import { headIn, problemOf, type Current } from './problem.js';
import { readInput } from './read-input.js';
import { sendProblem, sendReply } from './reply.js';
import { requestIdOf } from './request-id.js';
import type { Context, Input, Reply, Route } from './route.js';

export interface DispatchOptions {
  readonly parts: GatewayParts;
  readonly authenticator: Authenticator;
  readonly importBytes: number;
  readonly logger: Logger;
}

const readMs = 10_000;
const writeMs = 20_000;
/** As proxies log it; it is never sent. */
const clientGone = 499;
const uploadMs = 10 * 60_000;

const duration = latency('http_server_request_duration_seconds', 'Time of an HTTP request', [
  'route',
  'method',
  'status',
]);

/** The one way of every request: span, token, validation, first result of a keyed write, permission, handler, answer. */
export function dispatch(route: Route, options: DispatchOptions): RequestHandler {
  const name = `${route.method.toUpperCase()} /api${route.path}`;
  const attributes = { 'http.request.method': route.method.toUpperCase(), 'http.route': `/api${route.path}` };
  return async (request, response) => {
    const started = performance.now();
    const requestId = requestIdOf(response);
    const { traceparent } = request.headers;
    const parent = contextFrom(typeof traceparent === 'string' ? traceparent : undefined);
    const status = await inSpan(
      name,
      { kind: SpanKind.SERVER, attributes: { ...attributes, 'cw.request_id': requestId } },
      async (span) => {
        const sent = await answer(route, options, request, response);
        span.setAttribute('http.response.status_code', sent);
        if (sent >= 500) span.setStatus({ code: 2 });
        return sent;
      },
      parent,
    );
    const ms = performance.now() - started;
    duration.observe({ route: route.path, method: route.method, status }, ms / 1000);
    options.logger.info(
      { requestId, method: request.method, route: route.path, status, ms: Math.round(ms * 10) / 10 },
      'served',
    );
  };
}

async function answer(route: Route, options: DispatchOptions, request: Request, response: Response): Promise<number> {
  const work = new Work(route, options, request, response);
  try {
    return sendReply(request, response, await work.run());
  } catch (error) {
    // Nobody is there to be answered: what broke off with the client is no failure of ours.
    if (work.isAbandoned()) return clientGone;
    const current = await work.current(error);
    const about = { instance: request.path, requestId: requestIdOf(response) };
    const problem = problemOf(error, about, current);
    if (problem.status >= 500) {
      const cause = error instanceof AppError ? error.cause : undefined;
      options.logger.error({ err: error, cause, requestId: about.requestId, route: route.path }, 'request failed');
    }
    return sendProblem(request, response, problem);
  }
}

/** One request on its way through a route. */
class Work {
  private readonly aborter = new AbortController();
  private readonly deadline: number;
  private context: Promise<Context> | undefined;
  private input: Input | undefined;

  constructor(
    private readonly route: Route,
    private readonly options: DispatchOptions,
    private readonly request: Request,
    private readonly response: Response,
  ) {
    const ms = route.body?.kind === 'archive' ? uploadMs : route.write ? writeMs : readMs;
    this.deadline = Date.now() + ms;
    response.once('close', () => {
      if (!response.writableFinished) this.aborter.abort();
    });
  }

  async run(): Promise<Reply> {
    const { route, request, options } = this;
    const caller = await this.authenticate();
    const input = await readInput(route, request, request.params, options.importBytes);
    this.input = this.withCursor(input);
    const command = route.write === undefined ? undefined : this.command(input);
    const open = (): Promise<Context> => (this.context ??= this.open(caller, command));
    const first = await this.recall(caller, command);
    if (first !== undefined) {
      this.response.setHeader('idempotent-replay', 'true');
      return route.replay!(first, this.input, open);
    }
    const context = await open();
    if (route.current !== undefined && request.headers['if-match'] === undefined) {
      throw new AppError(
        'precondition_required',
        'IF_MATCH_REQUIRED',
        {},
        {
          message: 'Send If-Match with the ETag of what you read, or * for whatever is there',
        },
      );
    }
    return route.handle(await this.withOneTag(this.input, context), context);
  }

  private async withOneTag(input: Input, context: Context): Promise<Input> {
    if (!this.route.current || input.match.any || input.match.others.length === 0) return input;
    const { etag = [] } = await this.route.current(input, context);
    return { ...input, match: closest(input.match, etag) };
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

  private command(input: Input): Command {
    const { headers, method, originalUrl } = this.request;
    const key = headers['idempotency-key'];
    // An archive is not held back to be hashed: its type, length and digest (RFC 9530), where sent, stand for its bytes.
    const { 'content-length': length = 'chunked', 'content-digest': digest = '' } = headers;
    const bytes = this.route.body?.kind === 'archive' ? `${input.mediaType} ${length} ${String(digest)}` : input.bytes;
    return commandOf(typeof key === 'string' ? key : undefined, fingerprintOf(method, originalUrl, bytes));
  }

  private async recall(
    caller: Caller,
    command: Command | undefined,
  ): Promise<Readonly<Record<string, unknown>> | undefined> {
    if (command?.kept !== 'client') return undefined;
    const { parts } = this.options;
    const request = { actor: caller.sub, key: command.id, fingerprint: command.fingerprint };
    const call = {
      token: await parts.minter.mintOwn(),
      requestId: requestIdOf(this.response),
      deadline: this.deadline,
    };
    return firstResult(await parts.peers.requests[this.route.write!].recall(request, { call }));
  }

  private open(caller: Caller, command: Command | undefined): Promise<Context> {
    return openContext(this.options.parts, this.route, {
      caller,
      input: this.input!,
      command,
      requestId: requestIdOf(this.response),
      signal: this.aborter.signal,
      deadline: this.deadline,
    });
  }
}
