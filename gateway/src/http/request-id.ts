import type { IncomingMessage, ServerResponse } from 'node:http';
import { newId } from '@coursewright/platform/ids';

const form = /^[A-Za-z0-9._-]{1,64}$/;
const header = 'x-request-id';

/** Gives a request its id: the client's own where it has a harmless form, else a new one. Sent back as X-Request-Id. */
export function giveRequestId(request: IncomingMessage, response: ServerResponse): void {
  const sent = request.headers[header];
  response.setHeader(header, typeof sent === 'string' && form.test(sent) ? sent : newId());
}

/** The id given before. */
export function requestIdOf(response: ServerResponse): string {
  return String(response.getHeader(header));
}
