import { hashObject } from '@coursewright/course-model/canonical';
import { toHash } from '@coursewright/platform/ids';

/** A row of a course's ref log before it is hashed. */
export interface LogContent {
  readonly seq: number;
  readonly ref: string;
  readonly from: string | null;
  readonly to: string | null;
  readonly actor: string;
  readonly reason: string;
  readonly at: Date;
  /** Hash of the row before; 32 zero bytes for the first. */
  readonly prevHash: string;
}

/** The hash of a row of the ref log, which covers the row before it: no row can be changed or taken out unnoticed. */
export function hashLogRow({ seq, ref, from, to, actor, reason, at, prevHash }: LogContent): string {
  return toHash(hashObject('ref', 1, { seq, ref, from, to, actor, reason, at: at.toISOString(), prevHash }));
}

/** The sequence number of the first row that breaks the chain, or null when it holds. `start` is the hash before the first row. */
export function brokenLink(rows: readonly (LogContent & { readonly hash: string })[], start: string): number | null {
  let prevHash = start;
  let seq = rows[0]?.seq ?? 1;
  for (const row of rows) {
    if (row.seq !== seq || row.prevHash !== prevHash || hashLogRow(row) !== row.hash) return row.seq;
    prevHash = row.hash;
    seq++;
  }
  return null;
}

/** The hash before the first row of every log. */
export const LOG_START = toHash(Buffer.alloc(32));
