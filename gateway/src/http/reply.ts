import type { IncomingMessage, ServerResponse } from 'node:http';
import { etagOf, isKnown } from './etag.js';
import { sendFile } from './send-file.js';
import { endAnswer } from './linger.js';
import type { ProblemAnswer } from './problem.js';
import type { Reply } from './route.js';

/** Writes an answer; a read whose client has it already becomes a 304. Returns the status. */
export function sendReply(request: IncomingMessage, response: ServerResponse, reply: Reply): number | Promise<number> {
  const json = reply.json ?? (reply.body === undefined ? undefined : JSON.stringify(reply.body));
  response.setHeader('cache-control', 'private, no-cache');
  response.setHeader('vary', 'authorization');
  if (reply.file !== undefined) return sendFile(request, response, reply.file);
  if (reply.commit !== undefined) response.setHeader('commit', reply.commit);
  if (reply.location !== undefined) response.setHeader('location', `/api${reply.location}`);
  if (reply.contentLocation !== undefined) response.setHeader('content-location', `/api${reply.contentLocation}`);
  if (reply.etag !== undefined && json !== undefined) {
    const etag = etagOf(reply.etag, json);
    response.setHeader('etag', etag);
    const { 'if-none-match': known } = request.headers;
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    if (isRead && known !== undefined && isKnown(known, etag)) return end(request, response, 304);
  }
  if (json === undefined) return end(request, response, reply.status);
  response.setHeader('content-type', reply.contentType ?? 'application/json; charset=utf-8');
  response.setHeader('content-length', Buffer.byteLength(json));
  return end(request, response, reply.status, json);
}

/** Writes a problem. What the client is still sending is not waited for. */
export function sendProblem(request: IncomingMessage, response: ServerResponse, problem: ProblemAnswer): number {
  if (response.headersSent) {
    response.destroy();
    return problem.status;
  }
  for (const name of ['etag', 'commit', 'location', 'content-location']) response.removeHeader(name);
  for (const [name, value] of Object.entries(problem.headers)) response.setHeader(name, value);
  const json = JSON.stringify(problem.body);
  response.setHeader('content-length', Buffer.byteLength(json));
  return end(request, response, problem.status, json);
}

function end(request: IncomingMessage, response: ServerResponse, status: number, body?: string): number {
  response.statusCode = status;
  endAnswer(request, response, body);
  return status;
}
