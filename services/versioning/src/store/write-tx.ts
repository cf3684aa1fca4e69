import { AppError } from '@coursewright/platform/errors';
import type { NewEvent } from '@coursewright/platform/event';
import { fromHash, toHash } from '@coursewright/platform/ids';
import type { Outbox } from '@coursewright/platform/outbox';
import type { TxSql } from '@coursewright/platform/sql';
import { hashLogRow } from '../domain/ref-log.js';
import type {
  Advance,
  Branch,
  CommandKey,
  CommandState,
  RefMove,
  VersioningReads,
  WriteTx,
} from '../operations/ports.js';
import { fromCommit, hexOf, kindNumber, toBranch, type BranchRow } from './rows.js';
import { writes } from './statements.js';

interface CommandRow {
  n: number;
  fingerprint: string;
  result: Record<string, unknown>;
}

/** What a writing transaction needs besides its connection; `onAdvance` hears of a change once it is committed. */
export interface WriteContext {
  readonly reads: VersioningReads;
  readonly outbox: Outbox;
  readonly onAdvance: (change: Advance) => void;
}

/** The writing transaction on PostgreSQL. */
export function writeTx(sql: TxSql, { reads, outbox, onAdvance }: WriteContext): WriteTx {
  return {
    reads,
    takeCommands: (keys) => takeCommands(sql, keys),
    async rememberCommands(results) {
      if (results.length === 0) return;
      const rows = results.map(({ key, result }) => ({
        actor: key.actor,
        key: key.id,
        fingerprint: key.fingerprint,
        result,
        kept: key.kept === 'client' ? '7 days' : '1 hour',
      }));
      await sql.rows(writes.rememberCommands, [JSON.stringify(rows)]);
    },
    async lockBranch(courseId, name) {
      const [row] = await sql.rows<BranchRow>(writes.lockBranch, [courseId, name]);
      return row ? toBranch(row) : null;
    },
    async insertCourse({ courseId, defaultBranch, createdBy, at }) {
      const rows = await sql.rows(writes.insertCourse, [courseId, defaultBranch, Buffer.alloc(32), createdBy, at]);
      return rows.length > 0;
    },
    insertBranch: (branch) => insertBranch(sql, branch),
    async advance(change) {
      await advance(sql, change);
      sql.afterCommit(() => onAdvance(change));
    },
    logMoves: (courseId, moves) => logMoves(sql, courseId, moves),
    enqueue: (events: readonly NewEvent[]) => outbox.enqueue(sql, events),
  };
}

async function takeCommands(sql: TxSql, keys: readonly (CommandKey | null)[]): Promise<CommandState[]> {
  const states: CommandState[] = keys.map(() => ({ state: 'fresh' }));
  const asked = keys.flatMap((key, n) => (key ? [{ key, n }] : []));
  if (asked.length === 0) return states;
  const values = [asked.map(({ n }) => n), asked.map(({ key }) => key.actor), asked.map(({ key }) => key.id)];
  const locks = await sql.rows<{ n: number; locked: boolean }>(writes.takeCommands, values);
  for (const { n, locked } of locks) if (!locked) states[n] = { state: 'in_progress' };
  // A statement of its own, once the locks are held: whoever held one before has committed by its snapshot.
  for (const row of await sql.rows<CommandRow>(writes.findCommands, values)) {
    states[row.n] =
      row.fingerprint === keys[row.n]?.fingerprint ? { state: 'done', result: row.result } : { state: 'reused' };
  }
  return states;
}

async function insertBranch(sql: TxSql, branch: Branch): Promise<boolean> {
  const rows = await sql.rows(writes.insertBranch, [
    branch.id,
    branch.courseId,
    branch.name,
    fromHash(branch.head),
    branch.isHidden,
    branch.isProtected,
    JSON.stringify(branch.metadata),
    branch.parentId,
    branch.base === null ? null : fromHash(branch.base),
    branch.createdBy,
    branch.createdAt,
  ]);
  return rows.length > 0;
}

async function advance(sql: TxSql, change: Advance): Promise<void> {
  const { courseId, branch, commits, objects, history, homes, born, bodies } = change;
  if (homes.length > 0) {
    const rows = await sql.rows<{ node_id: string }>(writes.homes, [
      courseId,
      homes.map(({ node }) => node),
      homes.map((home) => (home.born === null ? null : fromHash(home.born))),
    ]);
    if (rows.length < homes.length) {
      const kept = new Set(rows.map((row) => row.node_id));
      throw new AppError('already_exists', 'ID_TAKEN', {
        ids: homes.flatMap(({ node }) => (kept.has(node) ? [] : [node])).slice(0, 20),
      });
    }
  }
  await sql.rows(writes.advance, [
    courseId,
    objects.map(({ hash }) => fromHash(hash)),
    objects.map(({ type }) => kindNumber(type)),
    objects.map(({ data }) => Buffer.from(data, 'utf8')),
    JSON.stringify(commits.map(fromCommit)),
    history.map(({ node }) => node),
    history.map(({ gen }) => gen),
    history.map(({ commit }) => fromHash(commit)),
    history.map(({ what }) => what),
    [...new Set(bodies)].map(fromHash),
    branch.id,
    fromHash(change.head),
  ]);
  if (born.length > 0) {
    await sql.rows(writes.setBorn, [
      courseId,
      born.map(({ node }) => node),
      born.map(({ commit }) => fromHash(commit)),
    ]);
  }
  await logMoves(sql, courseId, change.moves);
}

async function logMoves(sql: TxSql, courseId: string, moves: readonly RefMove[]): Promise<void> {
  if (moves.length === 0) return;
  const [log] = await sql.rows<{ log_seq: number; log_hash: Buffer }>(writes.lockLog, [courseId]);
  if (!log) throw new AppError('not_found', 'COURSE_NOT_FOUND', { courseId });
  let seq = log.log_seq;
  let prevHash = toHash(log.log_hash);
  const rows = moves.map((move) => {
    seq++;
    const hash = hashLogRow({ ...move, seq, prevHash });
    const row = {
      seq,
      ref: move.ref,
      old: move.from === null ? null : hexOf(move.from),
      new: move.to === null ? null : hexOf(move.to),
      actor: move.actor,
      reason: move.reason,
      at: move.at,
      prev_hash: hexOf(prevHash),
      hash: hexOf(hash),
    };
    prevHash = hash;
    return row;
  });
  await sql.rows(writes.writeLog, [courseId, JSON.stringify(rows), seq, fromHash(prevHash)]);
}
