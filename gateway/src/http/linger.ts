import type { IncomingMessage, ServerResponse } from 'node:http';
import { hasBody } from './body.js';

const mostBytes = 64 * 2 ** 20;
const silenceMs = 2_000;
const longestMs = 10_000;

/**
 * Ends an answer whose headers are set. While the client is still sending, the answer goes out whole and what comes is dropped, up
 * to 64 MiB or 10 s or a silence of 2 s, before the connection is closed: closing at once would reset it, and the client would never
 * see the answer.
 */
export function endAnswer(request: IncomingMessage, response: ServerResponse, body: string | undefined): void {
  if (request.complete || !hasBody(request) || request.destroyed) return void response.end(body);
  response.setHeader('connection', 'close');
  if (body === undefined) response.flushHeaders();
  else response.write(body);
  let dropped = 0;
  const drop = (chunk: Buffer): void => {
    dropped += chunk.length;
    silence.refresh();
    if (dropped > mostBytes) close();
  };
  const close = (): void => {
    clearTimeout(silence);
    clearTimeout(longest);
    request.off('data', drop).off('end', close).off('close', close).off('error', close);
    response.end();
  };
  const silence = setTimeout(close, silenceMs).unref();
  const longest = setTimeout(close, longestMs).unref();
  request.on('data', drop).once('end', close).once('close', close).once('error', close);
  request.resume();
}
