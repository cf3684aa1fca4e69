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
}

/** The port of the operators, not open to clients: /livez, /readyz, /metrics and commands. */
export function opsServer(options: OpsOptions): Part & { port(): number } {
  let server: Server | undefined;
  return {
    name: 'ops',
    port: () => (server?.address() as AddressInfo).port,
    async start() {
      server = createServer((request, response) => {
        answer(options, request, response).catch((error: unknown) => send(response, 500, { error: String(error) }));
      });
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

async function answer(options: OpsOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://ops');
  if (request.method === 'GET' && url.pathname === '/livez') return send(response, 200, { status: 'live' });
  if (request.method === 'GET' && url.pathname === '/readyz') {
    const state = await readiness(options.checks);
    return send(response, state.status === 'not_ready' ? 503 : 200, state);
  }
  if (request.method === 'GET' && url.pathname === '/metrics') {
    response.writeHead(200, { 'content-type': registry.contentType }).end(await registry.metrics());
    return;
  }
  const command = request.method === 'POST' ? options.commands?.[url.pathname.slice(1)] : undefined;
  if (command === undefined) return send(response, 404, { error: 'unknown' });
  return send(response, 200, await command(url.searchParams));
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent) return;
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
