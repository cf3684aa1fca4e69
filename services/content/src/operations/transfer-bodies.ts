import type { Body } from '@coursewright/course-model/body';
import { canonicalJson } from '@coursewright/course-model/canonical';
import { normalizeLesson } from '@coursewright/course-model/normalize-lesson';
import { authorizeService } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { toHash } from '@coursewright/platform/ids';
import type { Bodies, Call } from './ports.js';

/** A document on its way between services, with the hash that it must have. */
export interface SentBody {
  hash: string;
  document: Uint8Array;
}

const MAX_HASHES = 500;
const MAX_CHUNK_BYTES = 3 * 1024 * 1024;
const READ_AT_ONCE = 50;

/**
 * The bodies of these hashes, in chunks of at most 3 MiB; for our own services only. Bodies that are missing or damaged are left
 * out: the caller knows what it asked for.
 *
 * @throws AppError permission_denied FORBIDDEN; invalid_argument TOO_MANY_HASHES
 */
export async function* getBodies(
  deps: { bodies: Bodies },
  request: { courseId: string; hashes: readonly string[] },
  call: Call,
): AsyncGenerator<SentBody[]> {
  authorizeService(call.actor);
  if (request.hashes.length > MAX_HASHES)
    throw new AppError('invalid_argument', 'TOO_MANY_HASHES', { limit: MAX_HASHES });
  let chunk: SentBody[] = [];
  let bytes = 0;
  for (let i = 0; i < request.hashes.length; i += READ_AT_ONCE) {
    const docs = await deps.bodies.getMany(request.courseId, request.hashes.slice(i, i + READ_AT_ONCE));
    for (const [hash, doc] of docs) {
      const document = Buffer.from(canonicalJson(doc));
      if (bytes > 0 && bytes + document.length > MAX_CHUNK_BYTES) {
        yield chunk;
        chunk = [];
        bytes = 0;
      }
      chunk.push({ hash, document });
      bytes += document.length;
    }
  }
  if (chunk.length > 0) yield chunk;
}

/**
 * Stores bodies that another of our services has computed; answers how many, when all are durable. Each must be in normal
 * form and have the hash that it came with.
 *
 * @throws AppError permission_denied FORBIDDEN; invalid_argument BODY_INVALID, BODY_HASH_MISMATCH
 */
export async function putBodies(
  deps: { bodies: Bodies },
  chunks: AsyncIterable<{ courseId: string; bodies: readonly SentBody[] }>,
  call: Call,
): Promise<number> {
  authorizeService(call.actor);
  let courseId = '';
  let stored = 0;
  for await (const chunk of chunks) {
    courseId = courseId === '' ? chunk.courseId : courseId;
    await deps.bodies.putMany(courseId, chunk.bodies.map(checked));
    stored += chunk.bodies.length;
  }
  return stored;
}

function checked(sent: SentBody): Body {
  let input: unknown;
  try {
    input = JSON.parse(Buffer.from(sent.document).toString('utf8'));
  } catch (cause) {
    throw new AppError('invalid_argument', 'BODY_INVALID', { hash: sent.hash }, { cause });
  }
  const result = normalizeLesson(input, null, () => {
    throw new AppError('invalid_argument', 'BODY_INVALID', { hash: sent.hash }, { message: 'an item has no id' });
  });
  if (!result.ok)
    throw new AppError('invalid_argument', 'BODY_INVALID', { hash: sent.hash }, { fields: result.problems });
  if (toHash(result.body.hash) !== sent.hash)
    throw new AppError('invalid_argument', 'BODY_HASH_MISMATCH', { hash: sent.hash });
  return result.body;
}
