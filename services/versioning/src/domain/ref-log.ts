import { createHash } from 'node:crypto';
import { hashObject } from '@coursewright/course-model/canonical';
import { fromHash, toHash } from '@coursewright/platform/ids';

/** A movement of a ref as its row of the log says it. */
export interface LogContent {
  readonly ref: string;
  readonly from: string | null;
  readonly to: string | null;
  readonly actor: string;
  readonly reason: string;
  readonly at: Date;
}

/** A row of a course's log: the movement, its number and the hashes that chain it to the row before. */
export interface LogLink extends LogContent {
  readonly seq: number;
  /** 32 zero bytes for the first. */
  readonly prevHash: string;
  readonly hash: string;
}

/** The hash of a movement itself. */
export function hashMove({ ref, from, to, actor, reason, at }: LogContent): string {
  return toHash(hashObject('ref', 1, { ref, from, to, actor, reason, at: at.toISOString() }));
}

/** The hash of a row: sha-256 over the hash of the row before, the number as 8 bytes, and the hash of the movement. The database computes the same. */
export function hashLogRow(prevHash: string, seq: number, move: string): string {
  const number = Buffer.alloc(8);
  number.writeBigInt64BE(BigInt(seq));
  return toHash(createHash('sha256').update(fromHash(prevHash)).update(number).update(fromHash(move)).digest());
}

/** The number of the first row that breaks the chain or is missing in it, or null when it holds. `start` is the hash before the first row. */
export function brokenLink(rows: readonly LogLink[], start: string): number | null {
  let prevHash = start;
  let seq = rows[0]?.seq ?? 1;
  for (const row of rows) {
    if (row.seq !== seq || row.prevHash !== prevHash || hashLogRow(prevHash, seq, hashMove(row)) !== row.hash)
      return Math.min(seq, row.seq);
    prevHash = row.hash;
    seq++;
  }
  return null;
}

/** The hash before the first row of every log. */
export const LOG_START = toHash(Buffer.alloc(32));
