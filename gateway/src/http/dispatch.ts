import { AppError, isTransient } from '@coursewright/platform/errors';
import { latency } from '@coursewright/platform/metrics';
import { contextFrom, inSpan, SpanKind } from '@coursewright/platform/telemetry';
import type { Request, RequestHandler, Response } from 'express';
import { problemOf } from './problem.js';
import { sendProblem, sendReply } from './reply.js';
import { requestIdOf } from './request-id.js';
import type { Route } from './route.js';
import { Work, type WorkOptions } from './work.js';

export type DispatchOptions = WorkOptions;

/** As proxies log it; it is never sent. */
const clientGone = 499;

const duration = latency('http_server_request_duration_seconds', 'Time of an HTTP request', [
  'route',
  'method',
  'status',
]);

/** The one way of every request: span, work, answer. */
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
    return await sendReply(request, response, await work.run());
  } catch (error) {
    work.leaveBody();
    // Nobody is there to be answered: what broke off with the client is no failure of ours.
    if (work.isAbandoned()) return clientGone;
    await work.quieten(error);
    const current = await work.current(error);
    const about = {
      instance: request.path,
      requestId: requestIdOf(response),
      ...(route.write === undefined ? {} : { write: { hasKey: request.headers['idempotency-key'] !== undefined } }),
    };
    const problem = problemOf(error, about, current);
    // What is away or overloaded is no error of this process: a crowd must not fill the log with where it was refused.
    if (error instanceof AppError && isTransient(error))
      options.logger.warn(
        { reason: error.reason, requestId: about.requestId, route: route.path },
        'request not served',
      );
    else if (problem.status >= 500) {
      const cause = error instanceof AppError ? error.cause : undefined;
      options.logger.error({ err: error, cause, requestId: about.requestId, route: route.path }, 'request failed');
    }
    return sendProblem(request, response, problem);
  } finally {
    // Not when the client has taken the answer: that may be long after.
    work.end();
  }
}
