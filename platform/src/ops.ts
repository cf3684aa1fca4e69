import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { registry } from './metrics.js';
import type { Part } from './run.js';

/** A dependency as readiness sees it. */
export interface Check {
  readonly name: string;
  /** Without a required one the process is not ready; without another it is ready but degraded. */
  readonly required: boolean;
  readonly isUp: () => boolean | Promise<boolean>;
}

export interface Readiness {
  readonly status: 'ready' | 'degraded' | 'not_ready';
  readonly checks: Readonly<Record<string, 'up' | 'down'>>;
}

/** Asks every check, none longer than a second. */
export async function readiness(checks: readonly Check[]): Promise<Readiness> {
  const states = await Promise.all(
    checks.map(async (check) => {
      const late = new Promise<boolean>((resolve) => setTimeout(resolve, 1_000, false).unref());
      const up = await Promise.race([Promise.resolve().then(check.isUp), late]).catch(() => false);
      return { check, up };
    }),
  );
  const down = states.filter(({ up }) => !up);
  const status = down.some(({ check }) => check.required) ? 'not_ready' : down.length > 0 ? 'degraded' : 'ready';
  return { status, checks: Object.fromEntries(states.map(({ check, up }) => [check.name, up ? 'up' : 'down'])) };
}

/** A command of the operators: POST /<name>?course=…; answers with what it did. */
export type OpsCommand = (query: URLSearchParams) => Promise<unknown>;

export interface OpsOptions {
  readonly host: string;
  readonly port: number;
  readonly checks: readonly Check[];
  readonly commands?: Readonly<Record<string, OpsCommand>>;
  /** What every command has to bring as `Authorization: Bearer`; without one no command is taken. */
  readonly token?: string | undefined;
}

const commandsAtOnce = 8;
const connectionsAtOnce = 64;
const maxBodyBytes = 64 * 1024;
const intakeMs = 10_000;

/**
 * The port of the operators, not open to clients. GET /livez, /readyz and /metrics answer everybody who reaches it; commands
 * (POST) answer whoever has the token. Takes 64 connections, 8 commands at once, 10 s for a request to come in.
 */
export function opsServer(options: OpsOptions): Part & { port(): number } {
  let server: Server | undefined;
  const gate = commandGate(options);
  return {
    name: 'ops',
    port: () => (server?.address() as AddressInfo).port,
    async start() {
      const limits = { requestTimeout: intakeMs, headersTimeout: intakeMs, connectionsCheckingInterval: 1_000 };
      server = createServer(limits, (request, response) => {
        answer(options, gate, { request, response }).catch((error: unknown) =>
          send(response, 500, { error: String(error) }),
        );
      });
      server.maxConnections = connectionsAtOnce;
      await new Promise<void>((resolve, reject) =>
        server!.once('error', reject).listen(options.port, options.host, resolve),
      );
    },
    async stop() {
      server?.closeAllConnections();
      await new Promise((resolve) => server?.close(resolve));
    },
  };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

async function answer(options: OpsOptions, gate: CommandGate, { request, response }: Exchange): Promise<void> {
  const address = request.url ?? '/';
  const url = URL.canParse(address, 'http://ops') ? new URL(address, 'http://ops') : undefined;
  const path = url?.pathname;
  if (request.method === 'GET' && path === '/livez') return send(response, 200, { status: 'live' });
  if (request.method === 'GET' && path === '/readyz') {
    const state = await readiness(options.checks);
    return send(response, state.status === 'not_ready' ? 503 : 200, state);
  }
  if (request.method === 'GET' && path === '/metrics') {
    response.writeHead(200, { 'content-type': registry.contentType }).end(await registry.metrics());
    return;
  }
  if (request.method !== 'POST' || !url) return refuse(response, 404, 'There is no such thing here');
  return gate(url, { request, response });
}

type CommandGate = (url: URL, exchange: Exchange) => Promise<void>;

/** What stands before the commands: the token first, so that nobody learns which commands there are. */
function commandGate({ commands = {}, token }: OpsOptions): CommandGate {
  let running = 0;
  return async (url, { request, response }) => {
    if (!bears(request.headers.authorization, token))
      return refuse(
        response,
        401,
        token === undefined ? 'No OPS_TOKEN is set here' : 'Send the token of the operators',
      );
    const name = url.pathname.slice(1);
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (command === undefined) return refuse(response, 404, 'There is no such command');
    if (!(await drained(request))) return refuse(response, 413, 'A command takes no body');
    if (running >= commandsAtOnce) return refuse(response, 503, 'Too many commands at once');
    running += 1;
    try {
      send(response, 200, await command(url.searchParams));
    } finally {
      running -= 1;
    }
  };
}

/** Compares hashes, so that the time taken tells neither how much of the token was right nor how long it is. */
function bears(header: string | undefined, token: string | undefined): boolean {
  if (token === undefined || token === '') return false;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(header ?? ''), digest(`Bearer ${token}`));
}

/** Reads a body that nobody needs; false when it is more than a courtesy. */
async function drained(request: IncomingMessage): Promise<boolean> {
  let size = 0;
  for await (const part of request) {
    size += (part as Buffer).length;
    if (size > maxBodyBytes) return false;
  }
  return true;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent) return;
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** A problem of RFC 9457. What else the client meant to send is not waited for. */
function refuse(response: ServerResponse, status: number, title: string): void {
  const headers = { 'content-type': 'application/problem+json', connection: 'close' };
  const challenge = status === 401 ? { 'www-authenticate': 'Bearer' } : {};
  const body = { type: 'about:blank', title, status };
  response.writeHead(status, { ...headers, ...challenge }).end(JSON.stringify(body));
}
