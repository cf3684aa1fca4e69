import { readiness, type Check } from '@coursewright/platform/ops';
import { AppError } from '@coursewright/platform/errors';
import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Response } from 'express';
import { dispatch, type DispatchOptions } from './dispatch.js';
import { problemOf } from './problem.js';
import { HttpRefusal } from './refusal.js';
import { sendProblem } from './reply.js';
import { giveRequestId, requestIdOf } from './request-id.js';
import type { Route } from './route.js';

export interface AppOptions extends DispatchOptions {
  readonly routes: readonly Route[];
  readonly checks: readonly Check[];
  readonly secure: boolean;
}

const safety: readonly (readonly [string, string])[] = [
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
  ['referrer-policy', 'no-referrer'],
  ['cross-origin-resource-policy', 'same-origin'],
  ['content-security-policy', "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"],
];

/** The whole HTTP surface: the table's routes under /api, the operators' pages, and a problem for everything else. */
export function createApp(options: AppOptions): Express {
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', false).enable('case sensitive routing');
  app.use(begin(options.secure));
  operators(app, options.checks);
  for (const [path, routes] of byPath(options.routes)) {
    const one = app.route(expressPath(path));
    for (const route of routes) one[route.method](dispatch(route, options));
    one.all(otherMethods(routes));
  }
  app.use(() => {
    throw new AppError('not_found', 'ROUTE_NOT_FOUND');
  });
  app.use(lastResort(options));
  return app;
}

/** Request id, safe headers, and a refusal of what nobody can fulfil. */
function begin(secure: boolean): RequestHandler {
  return (request, response, next) => {
    giveRequestId(request, response);
    for (const [name, value] of safety) response.setHeader(name, value);
    if (secure) response.setHeader('strict-transport-security', 'max-age=31536000');
    const { expect } = request.headers;
    const isKnown = expect === undefined || expect.toLowerCase() === '100-continue';
    next(isKnown ? undefined : new HttpRefusal(417, 'EXPECTATION_FAILED', 'Nothing but 100-continue may be expected'));
  };
}

/** What load balancers ask; what is measured is told on the operators' own port. */
function operators(app: Express, checks: readonly Check[]): void {
  app.get('/livez', (_request, response) => json(response, 200, { status: 'live' }));
  app.get('/readyz', async (_request, response) => {
    const state = await readiness(checks);
    json(response, state.status === 'not_ready' ? 503 : 200, state);
  });
}

function json(response: Response, status: number, body: unknown): void {
  response.statusCode = status;
  response.setHeader('content-type', 'application/json; charset=utf-8');
  response.end(JSON.stringify(body));
}

function byPath(routes: readonly Route[]): Map<string, Route[]> {
  const paths = new Map<string, Route[]>();
  for (const route of routes) paths.set(route.path, [...(paths.get(route.path) ?? []), route]);
  return paths;
}

function expressPath(path: string): string {
  return `/api${path.replace(/\{(\w+)\}/g, ':$1')}`;
}

function otherMethods(routes: readonly Route[]): RequestHandler {
  const methods = routes.map((route) => route.method.toUpperCase());
  const allow = [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ');
  return (request, response) => {
    if (request.method !== 'OPTIONS')
      throw new HttpRefusal(405, 'METHOD_NOT_ALLOWED', 'Method not allowed here', { allow });
    response.setHeader('allow', allow);
    response.statusCode = 204;
    response.end();
  };
}

/** Express would answer in HTML. */
function lastResort(options: AppOptions): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    const problem = problemOf(error, { instance: request.path, requestId: requestIdOf(response) });
    if (problem.status === 500)
      options.logger.error({ err: error, requestId: requestIdOf(response) }, 'request failed');
    sendProblem(request, response, problem);
  };
}
