import type { Audience } from '@coursewright/course-model/lesson';
import { AppError } from '@coursewright/platform/errors';
import { pointersOf, type BodyDiff } from '../domain/body-tasks.js';
import { audienceOf, authorizeAction } from './access.js';
import type { BodyWork } from './body-work.js';
import type { Call, StoredBodies } from './ports.js';

/** Two bodies of a node to be compared; null for none. */
export interface BodyPair {
  nodeId: string;
  from: string | null;
  to: string | null;
}

const MAX_PAIRS = 200;
/** Bytes of bodies that one call compares, and for how long it goes on; pairs beyond that are named only. */
const MAX_INPUT_BYTES = 32 * 1024 * 1024;
const MAX_MS = 4_000;
/** Bytes of bodies that are held in memory at once, and so many pairs. */
const CHUNK_BYTES = 4 * 1024 * 1024;
const CHUNK_PAIRS = 50;
/** What all of an answer may come to, as JSON; a diff that has no room any more keeps its pointers alone. */
const MAX_ANSWER_BYTES = 3 * 1024 * 1024;
const MAX_ANSWER_VALUES = 40_000;

/**
 * What differs between pairs of bodies, item by item by id, texts line by line; only what the caller may see. A diff that is too
 * large, or comes after 32 MiB of bodies or four seconds of work, is `truncated`: its first pointers, or the body as a whole.
 *
 * @throws AppError invalid_argument TOO_MANY_PAIRS; internal STORED_BODY_MISSING, STORED_BODY_CORRUPT
 */
export async function diffBodies(
  deps: { bodies: StoredBodies; work: BodyWork },
  request: { courseId: string; pairs: readonly BodyPair[] },
  call: Call,
): Promise<BodyDiff[]> {
  const { courseId, pairs } = request;
  authorizeAction(call.actor, courseId, 'body.read-raw');
  if (pairs.length > MAX_PAIRS) throw new AppError('invalid_argument', 'TOO_MANY_PAIRS', { limit: MAX_PAIRS });
  const reader = audienceOf(call.actor, courseId);
  const sizes = await deps.bodies.sizes(courseId, [...hashesOf(pairs)]);
  const until = Math.min(Date.now() + MAX_MS, call.deadline - 1_000);
  const diffs: BodyDiff[] = [];
  let left = MAX_INPUT_BYTES;
  while (diffs.length < pairs.length) {
    const chunk = nextChunk(pairs.slice(diffs.length), sizes);
    left -= chunk.bytes;
    const isTooMuch = left < 0 || Date.now() > until;
    diffs.push(...(isTooMuch ? chunk.pairs.map(named) : await compare(deps, courseId, { ...chunk, reader })));
  }
  return withinAnswer(diffs);
}

function* hashesOf(pairs: readonly BodyPair[]): Generator<string> {
  for (const { from, to } of pairs) {
    if (from !== null) yield from;
    if (to !== null) yield to;
  }
}

/** The first pairs that fit into memory together; one at least. */
function nextChunk(
  pairs: readonly BodyPair[],
  sizes: ReadonlyMap<string, number>,
): { pairs: BodyPair[]; bytes: number } {
  const chunk: BodyPair[] = [];
  let bytes = 0;
  for (const pair of pairs.slice(0, CHUNK_PAIRS)) {
    const more = [...hashesOf([pair])].reduce((sum, hash) => sum + (sizes.get(hash) ?? 0), 0);
    if (chunk.length > 0 && bytes + more > CHUNK_BYTES) break;
    chunk.push(pair);
    bytes += more;
  }
  return { pairs: chunk, bytes };
}

async function compare(
  deps: { bodies: StoredBodies; work: BodyWork },
  courseId: string,
  chunk: { pairs: readonly BodyPair[]; reader: Audience },
): Promise<BodyDiff[]> {
  const found = await deps.bodies.readMany(courseId, [...hashesOf(chunk.pairs)]);
  const bytesOf = async (hash: string | null): Promise<Uint8Array | null> =>
    // What was left out is read once more, for the reason.
    hash === null ? null : (found.get(hash) ?? (await deps.bodies.read(courseId, hash)));
  const pairs: { nodeId: string; from: Uint8Array | null; to: Uint8Array | null }[] = [];
  for (const { nodeId, from, to } of chunk.pairs)
    pairs.push({ nodeId, from: await bytesOf(from), to: await bytesOf(to) });
  try {
    return await deps.work.diff({ pairs, reader: chunk.reader });
  } catch (error) {
    if (!(error instanceof AppError) || error.reason !== 'WORK_TOO_COSTLY') throw error;
    return chunk.pairs.map(named);
  }
}

/** A pair that was not compared: that its body as a whole is another one. */
function named({ nodeId, from, to }: BodyPair): BodyDiff {
  const change = from === null ? 'added' : to === null ? 'removed' : 'edited';
  const changes = from === to ? [] : [{ pointer: '', change } as const];
  return { nodeId, ...pointersOf(changes), truncated: from !== to };
}

/** Cuts what has no room in the answer; every pair keeps at least the pointers of its first changes. */
function withinAnswer(diffs: readonly BodyDiff[]): BodyDiff[] {
  let bytes = MAX_ANSWER_BYTES;
  let values = MAX_ANSWER_VALUES;
  return diffs.map((diff) => {
    const fits = diff.bytes <= bytes && diff.values <= values;
    const kept = fits ? diff : { ...diff, ...pointersOf(diff.changes), truncated: true };
    bytes -= kept.bytes;
    values -= kept.values;
    return kept;
  });
}
