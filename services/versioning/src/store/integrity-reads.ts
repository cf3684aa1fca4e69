import { fromHash, toHash } from '@coursewright/platform/ids';
import type { Sql } from '@coursewright/platform/sql';
import type { KeptRef } from '../domain/ref-check.js';
import type { IntegrityReads, StoredCommit } from '../operations/ports.js';
import { commitOf, hashOrNull, toBytes, type CommitRow, type ObjectRow } from './rows.js';
import { checks, reads } from './statements.js';

interface CheckedRow extends CommitRow {
  parent_gen: number | null;
  parent_counts: StoredCommit['parentCounts'];
}

interface RefRow {
  default_branch: string;
  log_seq: number;
  log_hash: Buffer;
  kind: KeptRef['kind'] | null;
  name: string;
  hash: Buffer;
  tree: Buffer | null;
}

/** What an integrity check reads: the rows as they are, unchecked and past every cache. */
export function integrityReads(sql: Sql, courseId: string): IntegrityReads {
  return {
    async bytes(hashes) {
      const rows = await sql.rows<ObjectRow>(reads.objects, [courseId, hashes.map(fromHash)]);
      return new Map(rows.map((row) => [toHash(row.hash), toBytes(row)]));
    },
    commits: async (hashes) =>
      (await sql.rows<CheckedRow>(checks.commits, [courseId, hashes.map(fromHash)])).map(toStored),
    commitsBefore: async ({ gen, hash }, limit) =>
      (await sql.rows<CheckedRow>(checks.commitsBefore, [courseId, gen, fromHash(hash), limit])).map(toStored),
    async refs() {
      const rows = await sql.rows<RefRow>(checks.refs, [courseId]);
      const [first] = rows;
      if (!first) return null;
      return {
        defaultBranch: first.default_branch,
        logSeq: first.log_seq,
        logHash: toHash(first.log_hash),
        refs: rows.flatMap(({ kind, name, hash, tree }) =>
          kind === null ? [] : [{ kind, name, commit: toHash(hash), tree: hashOrNull(tree) }],
        ),
      };
    },
    async history(after, limit) {
      const [node = NO_ID, gen = 0, commit = ''] = after === '' ? [] : (JSON.parse(after) as [string, number, string]);
      const [row] = await sql.rows<HistoryRow>(checks.history, [courseId, node, gen, fromHash(commit), limit]);
      const stray = (row?.stray ?? []).map((one) => ({
        node: one.node,
        commit: Buffer.from(one.commit, 'hex').toString('base64url'),
      }));
      const next = row?.node == null ? null : JSON.stringify([row.node, row.gen, toHash(row.commit)]);
      return { stray, next };
    },
  };
}

const NO_ID = '00000000-0000-0000-0000-000000000000';

interface HistoryRow {
  /** The last row of the page; null when there was none. */
  node: string | null;
  gen: number;
  commit: Buffer;
  stray: { node: string; commit: string }[] | null;
}

function toStored(row: CheckedRow): StoredCommit {
  return { commit: commitOf(row), parentGen: row.parent_gen, parentCounts: row.parent_counts };
}
