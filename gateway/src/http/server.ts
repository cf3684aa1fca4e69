import { createServer, STATUS_CODES, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { newId } from '@coursewright/platform/ids';
import type { Part } from '@coursewright/platform/run';
import type { Express } from 'express';
import { AppError } from '@coursewright/platform/errors';
import { problemOf } from './problem.js';
import { HttpRefusal } from './refusal.js';

export interface HttpServer extends Part {
  port(): number;
  /** True once the process has been told to stop. */
  isStopping(): boolean;
}

const graceMs = 10_000;
const sweepMs = 20;
/** How long a client is waited for: headers at once, an upload may take its time; other bodies have shorter limits of their own. */
const patience = {
  headersTimeout: 4_000,
  requestTimeout: 10 * 60_000,
  keepAliveTimeout: 65_000,
  // What is over its time is looked for this often.
  connectionsCheckingInterval: 1_000,
};

/** The HTTP port. Stops by refusing readiness and new connections, letting requests under way end, then closing what is left. */
export function httpServer(app: Express, options: { readonly host: string; readonly port: number }): HttpServer {
  let server: Server | undefined;
  let stopping = false;
  return {
    name: 'http',
    port: () => (server?.address() as AddressInfo).port,
    isStopping: () => stopping,
    async start() {
      server = createServer({ ...patience, maxHeaderSize: 16 * 1024 }, app);
      server.maxRequestsPerSocket = 0;
      // Told to go on only when its body is read: by then its sender may do what is asked.
      server.on('checkContinue', app);
      // Node itself would refuse any other expectation without a body.
      server.on('checkExpectation', app);
      server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuse(error, socket as Socket));
      await new Promise<void>((resolve, reject) =>
        server!.once('error', reject).listen(options.port, options.host, resolve),
      );
    },
    async stop() {
      stopping = true;
      if (server === undefined) return;
      const closed = new Promise((resolve) => server!.close(resolve));
      // A connection that becomes idle after its answer would be kept alive for the next request.
      const sweep = setInterval(() => server!.closeIdleConnections(), sweepMs);
      const timer = setTimeout(() => server!.closeAllConnections(), graceMs);
      server.closeIdleConnections();
      await closed;
      clearInterval(sweep);
      clearTimeout(timer);
    },
  };
}

/** Node's parser refuses before any handler runs; it, too, answers with a problem. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
  const problem = problemOf(reasonOf(error), { instance: '/', requestId: newId() });
  const body = JSON.stringify(problem.body);
  const headers = Object.entries({
    ...problem.headers,
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  });
  const lines = headers.map(([name, value]) => `${name}: ${value}`).join('\r\n');
  socket.end(`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}\r\n${lines}\r\n\r\n${body}`);
}

function reasonOf(error: NodeJS.ErrnoException): Error {
  if (error.code === 'HPE_HEADER_OVERFLOW')
    return new HttpRefusal(431, 'HEADERS_TOO_LARGE', 'The headers are too large');
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new HttpRefusal(408, 'REQUEST_TIMEOUT', 'The request took too long');
  return new AppError('invalid_argument', 'HTTP_MALFORMED', {}, { message: 'This is not HTTP as RFC 9112 has it' });
}
