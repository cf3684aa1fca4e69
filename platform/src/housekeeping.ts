import type { Logger } from './logger.js';
import { counter, gauge } from './metrics.js';
import type { Part } from './run.js';
import type { Sql, Statement } from './sql.js';

/** Deletes one batch of rows that are no longer kept, and says how many it were. */
export type Pruning = Statement;

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

/** Keeps tables from growing: a round every ten seconds, the next one at once when there was more than a round could take. */
export function housekeeping(sql: Sql, prunings: readonly Pruning[], logger: Logger): Part {
  let stopping = false;
  let endPause: () => void = () => undefined;
  let loop: Promise<void> = Promise.resolve();
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const run = async (): Promise<void> => {
    while (!stopping) {
      let isDone = true;
      for (const statement of prunings) {
        if (stopping) return;
        try {
          isDone = (await prune(sql, statement)) && isDone;
        } catch (error) {
          logger.warn({ err: error, statement: statement.name }, 'rows could not be pruned');
        }
      }
      if (!stopping) await pause(isDone ? everyMs : behindMs);
    }
  };
  return {
    name: 'housekeeping',
    start: async () => void (loop = run()),
    async stop() {
      stopping = true;
      endPause();
      await loop;
    },
  };
}
