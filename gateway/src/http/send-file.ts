import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isKnown } from './etag.js';
import type { FileReply } from './route.js';

/** What browsers show by themselves without running anything of it; all else is offered to be saved. */
const SHOWN = /^(?:image\/(?!svg)[\w.+-]+|audio\/[\w.+-]+|video\/[\w.+-]+|application\/pdf|text\/plain)$/;

/**
 * Sends a file that somebody brought: under its own type, and never as a document of this origin that could run. Its ETag is its hash.
 * Bytes that stop early end the connection, so that nobody takes a part for the whole. Answers the status.
 */
export async function sendFile(request: IncomingMessage, response: ServerResponse, file: FileReply): Promise<number> {
  const etag = `"${file.hash}"`;
  response.setHeader('etag', etag);
  const { 'if-none-match': known } = request.headers;
  if (known !== undefined && isKnown(known, etag)) return end(response, file, 304);
  response.setHeader('content-type', file.type);
  response.setHeader('content-length', file.bytes);
  response.setHeader('content-disposition', dispositionOf(file));
  response.setHeader('content-security-policy', "default-src 'none'; sandbox");
  if (request.method === 'HEAD') return end(response, file, 200);
  response.statusCode = 200;
  await pipeline(Readable.from(file.chunks, { objectMode: false }), response);
  return 200;
}

/** Answers without the bytes; who offers them must not hold them for ever. */
async function end(response: ServerResponse, file: FileReply, status: number): Promise<number> {
  response.statusCode = status;
  response.end();
  await file.close();
  return status;
}

/** RFC 6266 with the name in UTF-8 (RFC 8187), and one in ASCII for those who do not read that. */
function dispositionOf({ name, type }: FileReply): string {
  const way = SHOWN.test(type) ? 'inline' : 'attachment';
  const plain = name.replace(/[^\x20-\x7e]|["\\]/g, '_');
  const exact = encodeURIComponent(name).replace(
    /['()*]/g,
    (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `${way}; filename="${plain}"; filename*=UTF-8''${exact}`;
}
