import { authorizeService } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { isHash } from '@coursewright/platform/ids';
import type { BodyWork } from './body-work.js';
import type { BodyProblem, Call, StoredBodies } from './ports.js';

/** A document on its way between services, with the hash that it must have. */
export interface SentBody {
  hash: string;
  /** Canonical JSON in UTF-8. */
  document: Uint8Array;
}

const MAX_HASHES = 500;
const MAX_CHUNK_BYTES = 3 * 1024 * 1024;
/** Bytes of bodies that are read in one go. */
const READ_BYTES = 4 * 1024 * 1024;
const READ_AT_ONCE = 50;

function checkCount(hashes: readonly string[]): void {
  if (hashes.length > MAX_HASHES) throw new AppError('invalid_argument', 'TOO_MANY_HASHES', { limit: MAX_HASHES });
}

/**
 * The bodies of these hashes as they are stored, in chunks of at most 3 MiB; for our own services only. Bodies that are missing or
 * damaged are left out: the caller knows what it asked for.
 *
 * @throws AppError permission_denied FORBIDDEN; invalid_argument TOO_MANY_HASHES
 */
export async function* getBodies(
  deps: { bodies: StoredBodies },
  request: { courseId: string; hashes: readonly string[] },
  call: Call,
): AsyncGenerator<SentBody[]> {
  authorizeService(call.actor);
  checkCount(request.hashes);
  const sizes = await deps.bodies.sizes(request.courseId, request.hashes);
  let chunk: SentBody[] = [];
  let bytes = 0;
  for (const hashes of inSteps([...sizes.keys()], sizes)) {
    for (const [hash, document] of await deps.bodies.readMany(request.courseId, hashes)) {
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

function* inSteps(hashes: readonly string[], sizes: ReadonlyMap<string, number>): Generator<string[]> {
  let step: string[] = [];
  let bytes = 0;
  for (const hash of hashes) {
    step.push(hash);
    bytes += sizes.get(hash) ?? 0;
    if (step.length < READ_AT_ONCE && bytes < READ_BYTES) continue;
    yield step;
    step = [];
    bytes = 0;
  }
  if (step.length > 0) yield step;
}

/**
 * Stores bodies that another of our services has computed; answers how many, when all are durable. Each is stored as it came, by the
 * byte: it must have a form that some version could have written, and the hash that it came with.
 *
 * @throws AppError permission_denied FORBIDDEN; invalid_argument BODY_INVALID, BODY_HASH_MISMATCH
 */
export async function putBodies(
  deps: { bodies: StoredBodies; work: BodyWork },
  chunks: AsyncIterable<{ courseId: string; bodies: readonly SentBody[] }>,
  call: Call,
): Promise<number> {
  authorizeService(call.actor);
  let courseId = '';
  let stored = 0;
  for await (const chunk of chunks) {
    courseId = courseId === '' ? chunk.courseId : courseId;
    const bodies = chunk.bodies.map(({ hash, document }) => ({ hash, bytes: document }));
    await deps.bodies.putMany(courseId, await deps.work.check({ bodies }));
    stored += chunk.bodies.length;
  }
  return stored;
}

/**
 * Which of these bodies are missing or damaged in the store itself, whatever this process remembers; for our own services only.
 *
 * @throws AppError permission_denied FORBIDDEN; invalid_argument TOO_MANY_HASHES
 */
export async function checkBodies(
  deps: { bodies: StoredBodies },
  request: { courseId: string; hashes: readonly string[] },
  call: Call,
): Promise<BodyProblem[]> {
  authorizeService(call.actor);
  checkCount(request.hashes);
  const hashes = [...new Set(request.hashes)];
  const none = hashes.filter((hash) => !isHash(hash)).map((hash) => ({ hash, what: 'missing' as const }));
  return [...none, ...(await deps.bodies.check(request.courseId, hashes.filter(isHash)))];
}
