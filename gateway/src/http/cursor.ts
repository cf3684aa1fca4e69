import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { AppError } from '@coursewright/platform/errors';

/** Makes and opens the cursors that leave the gateway: a service's own one, sealed for one list. */
export interface Cursors {
  seal(list: string, inner: string): string;
  /** Throws invalid_argument CURSOR_INVALID for what was not sealed for this very list. */
  open(list: string, cursor: string): string;
}

const nonceBytes = 12;
const tagBytes = 16;
const cipher = 'aes-256-gcm';

/**
 * Cursors sealed by AES-256-GCM: nobody can forge what services read from them, nor read from them what services remember,
 * such as the hash of a commit that a learner must not know. The nonce is a keyed hash of the message, so that the same
 * page has the same cursor and an outline with cursors keeps its ETag.
 */
export function createCursors(secret: string): Cursors {
  const derive = (purpose: string): Buffer => createHmac('sha256', secret).update(`cursor ${purpose}`).digest();
  const [key, nonceKey] = [derive('encryption'), derive('nonce')];
  return {
    seal(list, inner) {
      const message = JSON.stringify([list, inner]);
      const nonce = createHmac('sha256', nonceKey).update(message).digest().subarray(0, nonceBytes);
      const sealing = createCipheriv(cipher, key, nonce).setAAD(Buffer.from(list));
      const sealed = Buffer.concat([sealing.update(inner, 'utf8'), sealing.final()]);
      return Buffer.concat([nonce, sealing.getAuthTag(), sealed]).toString('base64url');
    },
    open(list, cursor) {
      const bytes = Buffer.from(cursor, 'base64url');
      try {
        // Base64 has several spellings of the same bytes; only our own is a cursor.
        if (bytes.toString('base64url') !== cursor) throw new Error('not canonical');
        const opening = createDecipheriv(cipher, key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
          .setAAD(Buffer.from(list))
          .setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
        const inner = opening.update(bytes.subarray(nonceBytes + tagBytes));
        return Buffer.concat([inner, opening.final()]).toString('utf8');
      } catch (cause) {
        const message = 'The cursor does not belong to this list';
        throw new AppError('invalid_argument', 'CURSOR_INVALID', {}, { cause, message });
      }
    },
  };
}

/** The name of one list: the route with the values that select its items; the page does not belong to it. */
export function listName(path: string, params: object, query: object): string {
  const { cursor: _cursor, limit: _limit, ...filters } = query as Record<string, unknown>;
  return JSON.stringify([path, params, filters]);
}
