import { RecallOutcome, RequestServiceDefinition } from '@coursewright/proto/coursewright/common/v1/requests';
import type { Actor } from './actor.js';
import { AppError } from './errors.js';
import type { Command } from './rpc-call.js';
import { only } from './rpc-access.js';
import { serve, type Served } from './rpc-server.js';
import type { Database, Sql, TxSql } from './sql.js';

const statements = {
  tryLock: {
    name: 'request_try_lock',
    text: 'SELECT pg_try_advisory_xact_lock(hashtextextended($1::text, 0)) AS locked',
  },
  // Whoever only asks keeps nobody out: the lock is shared, and gone with its statement. A process that is paused here holds nothing.
  tryLockToRead: {
    name: 'request_try_lock_to_read',
    text: 'SELECT pg_try_advisory_xact_lock_shared(hashtextextended($1::text, 0)) AS locked',
  },
  find: {
    name: 'request_find',
    text: 'SELECT fingerprint, result FROM request WHERE actor = $1::text AND key = $2::text',
  },
  insert: {
    name: 'request_insert',
    text: `INSERT INTO request (actor, key, fingerprint, result, created_at, expires_at)
           VALUES ($1::text, $2::text, $3::text, $4::jsonb, now(), now() + $5::text::interval)
           ON CONFLICT (actor, key) DO NOTHING`,
  },
};

interface RequestRow {
  readonly fingerprint: string;
  readonly result: Record<string, unknown>;
}

/** What is known of a command at the start of its transaction. */
export type CommandState =
  { readonly state: 'fresh' } | { readonly state: 'done'; readonly result: Record<string, unknown> };

const lockKey = (actor: string, key: string): string => `${actor}\n${key}`;

/**
 * Takes a command inside the transaction of its effect: fresh, or done with its first result.
 * Throws conflict IN_PROGRESS while another transaction works on it, unprocessable IDEMPOTENCY_KEY_REUSED for another request.
 */
export async function takeCommand(sql: TxSql, actor: Actor, command: Command | undefined): Promise<CommandState> {
  if (command === undefined) return { state: 'fresh' };
  const [lock] = await sql.rows<{ locked: boolean }>(statements.tryLock, [lockKey(actor.sub, command.id)]);
  if (!lock?.locked) throw new AppError('conflict', 'IN_PROGRESS', { retryAfterSeconds: 1 });
  const [row] = await sql.rows<RequestRow>(statements.find, [actor.sub, command.id]);
  if (row === undefined) return { state: 'fresh' };
  if (row.fingerprint !== command.fingerprint) throw new AppError('unprocessable', 'IDEMPOTENCY_KEY_REUSED');
  return { state: 'done', result: row.result };
}

/** Keeps the result of a command, in the transaction of its effect: 7 days for a client's key, 1 hour for a minted one. */
export async function rememberCommand(
  sql: Sql,
  actor: Actor,
  command: Command | undefined,
  result: Record<string, unknown>,
): Promise<void> {
  if (command === undefined) return;
  const kept = command.kept === 'client' ? '7 days' : '1 hour';
  await sql.rows(statements.insert, [actor.sub, command.id, command.fingerprint, JSON.stringify(result), kept]);
}

/** Is a command still being worked on outside a transaction (a job, an intent)? */
export type OpenCommands = (sql: Sql, actor: string, key: string) => Promise<boolean>;

/** The service that answers what became of a write with a client's key. `askers` names who may ask. */
export function requestService(
  database: Database,
  askers: readonly string[],
  isOpen: OpenCommands = async () => false,
): Served {
  return serve(
    RequestServiceDefinition,
    { recall: only(...askers) },
    {
      async recall({ actor, key, fingerprint }) {
        // In this order, and each by itself: what ends after the look at the lock is found by the look at the row.
        const [lock] = await database.rows<{ locked: boolean }>(statements.tryLockToRead, [lockKey(actor, key)]);
        const isAtWork = !lock?.locked || (await isOpen(database, actor, key));
        const [row] = await database.rows<RequestRow>(statements.find, [actor, key]);
        if (row === undefined) return { outcome: isAtWork ? RecallOutcome.IN_FLIGHT : RecallOutcome.NONE };
        return row.fingerprint === fingerprint
          ? { outcome: RecallOutcome.DONE, result: row.result }
          : { outcome: RecallOutcome.MISMATCH };
      },
    },
  );
}
