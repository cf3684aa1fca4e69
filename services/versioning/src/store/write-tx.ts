import { AppError } from '@coursewright/platform/errors';
import type { NewEvent } from '@coursewright/platform/event';
import { fromHash } from '@coursewright/platform/ids';
import type { Outbox } from '@coursewright/platform/outbox';
import { sqlState, type Statement, type TxSql } from '@coursewright/platform/sql';
import type { Stored } from '../domain/objects.js';
import { hashMove } from '../domain/ref-log.js';
import type {
  Advance,
  Branch,
  CommandKey,
  CommandResult,
  CommandState,
  RefMove,
  VersioningReads,
  WriteTx,
} from '../operations/ports.js';
import { fromCommit, hexOf, kindNumber, toBranch, type BranchRow } from './rows.js';
import { drops, writes } from './statements.js';

interface CommandRow {
  n: number;
  locked: boolean;
  fingerprint: string | null;
  result: Record<string, unknown> | null;
}

type FoundRow = Pick<CommandRow, 'n' | 'fingerprint' | 'result'>;

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
    openBranch: (courseId, name, keys) => openBranch(sql, courseId, name, keys),
    findCommands: (keys) => findCommands(sql, keys),
    async rememberCommands(results) {
      if (results.length > 0) await sql.rows(writes.rememberCommands, [requestRows(results)]).catch(finishedMeanwhile);
    },
    async insertCourse({ courseId, defaultBranch, createdBy, at }) {
      const rows = await sql.rows(writes.insertCourse, [courseId, defaultBranch, Buffer.alloc(32), createdBy, at]);
      return rows.length > 0;
    },
    insertBranch: (...branch) => insertBranch(sql, ...branch),
    async advance(change) {
      const logSeq = await advance(sql, change);
      sql.afterCommit(() => onAdvance(change));
      return logSeq;
    },
    async lockCourse(courseId) {
      await sql.rows(drops.lockCourse, [courseId]);
    },
    takeClosingTurn: async (courseId, turn) => (await sql.rows(writes.takeClosingTurn, [courseId, turn])).length > 0,
    async setClosed(courseId, isClosed) {
      await sql.rows(writes.setClosed, [courseId, isClosed]);
    },
    async dropBranch({ courseId, id }, move) {
      await sql.rows(drops.branch, [courseId, id, ...moveValues([move])]);
    },
    async dropUnseen(courseId, nodes) {
      await sql.rows(drops.unseen, [courseId, nodes]);
    },
    hasNothingElse: async (courseId) => (await sql.rows(drops.hasNothingElse, [courseId])).length > 0,
    async dropCourse(courseId) {
      for (const statement of [drops.objects, drops.bodyUses]) await dropPages(sql, statement, courseId);
      await sql.rows(drops.course, [courseId]);
    },
    enqueue: (events: readonly NewEvent[]) => outbox.enqueue(sql, events),
  };
}

async function openBranch(
  sql: TxSql,
  courseId: string,
  name: string,
  keys: readonly (CommandKey | null)[],
): ReturnType<WriteTx['openBranch']> {
  const values = commandValues(keys);
  const [row] = await sql.rows<BranchRow & { commands: CommandRow[] | null }>(writes.openBranch, [
    courseId,
    name,
    ...values,
  ]);
  if (row) return { branch: toBranch(row), states: statesOf(keys, row.commands ?? []) };
  if (values[0].length === 0) return { branch: null, states: statesOf(keys, []) };
  const locks = await sql.rows<{ n: number; locked: boolean }>(writes.takeCommands, values);
  const found = await sql.rows<FoundRow>(writes.findCommands, values);
  const byKey = new Map(found.map((one) => [one.n, one]));
  const rows = locks.map(({ n, locked }) => ({
    n,
    locked,
    fingerprint: byKey.get(n)?.fingerprint ?? null,
    result: byKey.get(n)?.result ?? null,
  }));
  return { branch: null, states: statesOf(keys, rows) };
}

async function findCommands(sql: TxSql, keys: readonly (CommandKey | null)[]): Promise<CommandState[]> {
  const found = await sql.rows<FoundRow>(writes.findCommands, commandValues(keys));
  return statesOf(
    keys,
    found.map((row) => ({ ...row, locked: true })),
  );
}

/** The commands among keys, as statements take them: their places, actors and keys. */
function commandValues(keys: readonly (CommandKey | null)[]): [number[], string[], string[]] {
  const asked = keys.flatMap((key, n) => (key ? [{ key, n }] : []));
  return [asked.map(({ n }) => n), asked.map(({ key }) => key.actor), asked.map(({ key }) => key.id)];
}

function statesOf(keys: readonly (CommandKey | null)[], rows: readonly CommandRow[]): CommandState[] {
  const states: CommandState[] = keys.map(() => ({ state: 'fresh' }));
  for (const { n, locked, fingerprint, result } of rows) {
    if (result === null) states[n] = { state: locked ? 'fresh' : 'in_progress' };
    else states[n] = fingerprint === keys[n]?.fingerprint ? { state: 'done', result } : { state: 'reused' };
  }
  return states;
}

/** A command's row that is there already was written after this transaction looked for it. */
function finishedMeanwhile(error: unknown): never {
  throw sqlState(error) === '23505'
    ? new AppError('conflict', 'IN_PROGRESS', { retryAfterSeconds: 1 }, { cause: error })
    : error;
}

function requestRows(results: readonly CommandResult[]): string {
  const rows = results.map(({ key, result }) => ({
    actor: key.actor,
    key: key.id,
    fingerprint: key.fingerprint,
    result,
    kept: key.kept === 'client' ? '7 days' : '1 hour',
  }));
  return JSON.stringify(rows);
}

/** Parameters of movements: the hashes of what they say, and their numbered rows. */
function moveValues(moves: readonly RefMove[]): [Buffer[], string] {
  const hex = (hash: string | null): string | null => (hash === null ? null : hexOf(hash));
  const rows = moves.map(({ ref, from, to, actor, reason, at }, i) => ({
    n: i + 1,
    ...{ ref, old: hex(from), new: hex(to), actor, reason, at },
  }));
  return [moves.map((move) => fromHash(hashMove(move))), JSON.stringify(rows)];
}

/** So many rows of a course go in one statement, which has 20 s at most. */
const ROWS_AT_ONCE = 20_000;

async function dropPages(sql: TxSql, statement: Statement, courseId: string): Promise<void> {
  let last: Buffer | undefined = Buffer.alloc(0);
  while (last !== undefined) {
    const rows: { last: Buffer }[] = await sql.rows(statement, [courseId, last, ROWS_AT_ONCE]);
    last = rows[0]?.last;
  }
}

async function insertBranch(
  sql: TxSql,
  branch: Branch,
  move: RefMove | null,
  results: readonly CommandResult[],
): Promise<boolean> {
  const values = [
    branch.courseId,
    branch.id,
    branch.name,
    fromHash(branch.head),
    branch.isHidden,
    branch.isProtected,
    JSON.stringify(branch.metadata),
    branch.parentId,
    branch.base === null ? null : fromHash(branch.base),
    branch.createdBy,
    branch.createdAt,
    ...moveValues(move ? [move] : []),
    requestRows(results),
  ];
  const rows = await sql.rows(writes.insertBranch, values).catch(finishedMeanwhile);
  return rows.length > 0;
}

/** The driver writes the parameters of a statement in one go, and an import has very many. */
const BORN_AT_ONCE = 2_000;
const OBJECTS_AT_ONCE = 500;

function inOrderOfBytes(objects: readonly Stored[]): Stored[] {
  const byBytes = objects.map((object) => ({ object, bytes: fromHash(object.hash) }));
  return byBytes.sort((a, b) => a.bytes.compare(b.bytes)).map(({ object }) => object);
}

function objectValues(objects: readonly Stored[]): {
  hashes: Buffer[];
  kinds: number[];
  bytes: Buffer[];
  formats: number[];
} {
  return {
    hashes: objects.map(({ hash }) => fromHash(hash)),
    kinds: objects.map(({ type }) => kindNumber(type)),
    bytes: objects.map(({ data }) => Buffer.from(data, 'utf8')),
    formats: objects.map(({ format }) => format),
  };
}

async function advance(sql: TxSql, change: Advance): Promise<number> {
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
  // In the statement's own order, so that two transactions that add the same ones do not wait for each other in a ring.
  const inOrder = objects.length > OBJECTS_AT_ONCE ? inOrderOfBytes(objects) : objects;
  let next = 0;
  for (; inOrder.length - next > OBJECTS_AT_ONCE; next += OBJECTS_AT_ONCE) {
    const { hashes, kinds, bytes, formats } = objectValues(inOrder.slice(next, next + OBJECTS_AT_ONCE));
    await sql.rows(writes.objects, [courseId, hashes, kinds, bytes, formats]);
  }
  const { hashes, kinds, bytes, formats } = objectValues(inOrder.slice(next));
  const [moved] = await sql
    .rows<{ log_seq: number | null }>(writes.advance, [
      courseId,
      hashes,
      kinds,
      bytes,
      JSON.stringify(commits.map(fromCommit)),
      history.map(({ node }) => node),
      history.map(({ gen }) => gen),
      history.map(({ commit }) => fromHash(commit)),
      history.map(({ what }) => what),
      [...new Set(bodies)].map(fromHash),
      branch.id,
      fromHash(change.head),
      requestRows(change.results),
      ...moveValues(change.moves),
      formats,
    ])
    .catch(finishedMeanwhile);
  if (change.restricted.length > 0) await sql.rows(writes.restrict, [courseId, [...new Set(change.restricted)]]);
  for (const { commit, nodes } of born) {
    for (let at = 0; at < nodes.length; at += BORN_AT_ONCE)
      await sql.rows(writes.setBorn, [courseId, nodes.slice(at, at + BORN_AT_ONCE), fromHash(commit)]);
  }
  return moved?.log_seq ?? 0;
}
