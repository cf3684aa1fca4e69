import type { Lease, Leases, Share } from './leases.js';
import type { Logger } from './logger.js';
import { counter, gauge } from './metrics.js';
import type { Part } from './run.js';
import { sleepUnless } from './sleep.js';
import type { Sql, Statement } from './sql.js';

/** Deletes one batch of rows that are no longer kept, and says how many it were. */
export interface Pruning extends Statement {
  /** Whether there is any row to delete. */
  readonly isDue: string;
}

const batchRows = 5_000;

/**
 * Deletes at most one batch: finds it by an index, and steps over rows that another replica deletes at the same time.
 * `rows` says which, with the order of the index.
 */
export function pruning(table: string, rows: string): Pruning {
  return {
    name: `prune_${table}`,
    text: `WITH gone AS (DELETE FROM ${table} WHERE ctid = ANY(ARRAY(
             SELECT ctid FROM ${table} WHERE ${rows} LIMIT ${batchRows} FOR UPDATE SKIP LOCKED)) RETURNING 1)
           SELECT count(*) AS n FROM gone`,
    // Planned each time: a plan from when the table was empty would scan it.
    varies: true,
    isDue: `EXISTS (SELECT FROM ${table} WHERE ${rows.replace(/ ORDER BY .*/, '')})`,
  };
}

/** What every service's database drops: published events and resolved dead letters after 30 and 90 days, results of commands when they expire. */
export const commonPrunings: readonly Pruning[] = [
  pruning('request', `expires_at < now() ORDER BY expires_at`),
  pruning('outbox', `sent_at < now() - interval '30 days' ORDER BY sent_at`),
  pruning('dead_letter', `resolved_at < now() - interval '90 days' ORDER BY resolved_at`),
];

const everyMs = 10_000;
const behindMs = 100;
const betweenBatchesMs = 10;
const roundMs = 5_000;
const pruned = counter('pruned_rows_total', 'Rows that were deleted since they are no longer kept', ['statement']);
const behind = gauge('pruning_behind', 'Whether more rows wait to be deleted than one round could take', ['statement']);

/** Deletes batches until nothing is left to delete, for at most some seconds. True when nothing is left. */
export async function prune(sql: Sql, statement: Pruning, limitMs = roundMs): Promise<boolean> {
  const end = performance.now() + limitMs;
  for (;;) {
    const [row] = await sql.rows<{ n: number }>(statement);
    const n = row?.n ?? 0;
    pruned.inc({ statement: statement.name }, n);
    const isDone = n < batchRows;
    behind.set({ statement: statement.name }, isDone ? 0 : 1);
    if (isDone) return true;
    if (performance.now() > end) return false;
    // Others want the database as well.
    await new Promise((resolve) => setTimeout(resolve, betweenBatchesMs));
  }
}

export interface HousekeepingOptions {
  readonly prunings: readonly Pruning[];
  readonly leases: Leases;
  readonly logger: Logger;
}

/**
 * Keeps tables from growing, at one replica at a time: a round when the heartbeat of the leases says that there are rows to delete, at
 * most one in ten seconds, the next one at once when there was more than a round could take.
 */
export function housekeeping(sql: Sql, { prunings, leases, logger }: HousekeepingOptions): Part {
  let due = new Set<Pruning>();
  let endPause: () => void = () => undefined;
  let share: Share | undefined;
  for (const pruning of prunings)
    leases.ask({
      name: pruning.name,
      sql: pruning.isDue,
      onAnswer(isTrue) {
        if (!isTrue) return;
        due.add(pruning);
        endPause();
      },
    });
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const round = async (lease: Lease): Promise<boolean> => {
    let isDone = true;
    const now = due;
    due = new Set();
    for (const statement of now) {
      if (!lease.isHeld()) break;
      try {
        if (await prune(sql, statement)) continue;
        due.add(statement);
        isDone = false;
      } catch (error) {
        logger.warn({ err: error, statement: statement.name }, 'rows could not be pruned');
      }
    }
    return isDone;
  };
  const keep = async (lease: Lease): Promise<void> => {
    const end = (): void => endPause();
    lease.signal.addEventListener('abort', end);
    for (let since = -Infinity; lease.isHeld();) {
      if (due.size === 0) await pause(everyMs);
      // What falls due bit by bit is deleted together.
      else if (performance.now() - since < everyMs) await sleepUnless(lease.signal, everyMs);
      else if (await round(lease)) since = performance.now();
      else await sleepUnless(lease.signal, behindMs);
    }
    lease.signal.removeEventListener('abort', end);
  };
  return {
    name: 'housekeeping',
    start: async () => void (share = leases.share(['housekeeping'], keep)),
    stop: async () => share?.stop(),
  };
}
