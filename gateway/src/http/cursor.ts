import { createHmac, timingSafeEqual } from 'node:crypto';
import { AppError } from '@coursewright/platform/errors';

/** Makes and checks the cursors that leave the gateway: a service's own one, signed for one list. */
export interface Cursors {
  sign(list: string, inner: string): string;
  /** Throws invalid_argument CURSOR_INVALID for what was not signed for this very list. */
  open(list: string, cursor: string): string;
}

const signatureBytes = 16;

/** Cursors signed by HMAC-SHA-256, so that nobody can forge what services read from them. */
export function createCursors(key: string): Cursors {
  const sign = (list: string, inner: string): Buffer =>
    createHmac('sha256', key).update(`${list}\n${inner}`).digest().subarray(0, signatureBytes);
  return {
    sign: (list, inner) => `${Buffer.from(inner).toString('base64url')}.${sign(list, inner).toString('base64url')}`,
    open(list, cursor) {
      const [text = '', signature = ''] = cursor.split('.');
      const inner = Buffer.from(text, 'base64url').toString();
      const given = Buffer.from(signature, 'base64url');
      if (given.length !== signatureBytes || !timingSafeEqual(given, sign(list, inner)))
        throw new AppError(
          'invalid_argument',
          'CURSOR_INVALID',
          {},
          { message: 'The cursor does not belong to this list' },
        );
      return inner;
    },
  };
}

/** The name of one list: the route with the values that select its items; the page does not belong to it. */
export function listName(path: string, params: object, query: object): string {
  const { cursor: _cursor, limit: _limit, ...filters } = query as Record<string, unknown>;
  return JSON.stringify([path, params, filters]);
}
