import { createHash } from 'node:crypto';
import type pg from 'pg';
import { fromDriver, runStatement, type Database, type Statement, type TxSql } from './sql.js';
import { inClientSpan } from './telemetry.js';

/** What the port needs of a generated Prisma transaction client. */
export interface RawClient {
  $queryRawUnsafe<T>(query: string, ...values: unknown[]): Promise<T>;
}

/** What the port needs of a generated Prisma client. */
export interface TransactingClient<Tx extends RawClient> extends RawClient {
  $transaction<T>(work: (tx: Tx) => Promise<T>, options?: { maxWait?: number; timeout?: number }): Promise<T>;
  $disconnect(): Promise<void>;
}

/** A transaction that is Prisma's: typed models in `client`, shared statements through `rows`. */
export interface PrismaTx<Tx extends RawClient> extends TxSql {
  readonly client: Tx;
}

export interface PrismaDatabase<Tx extends RawClient> extends Database {
  tx<T>(work: (sql: PrismaTx<Tx>) => Promise<T>): Promise<T>;
}

/** How long a transaction may wait for its connection, and how long it may last, in milliseconds. */
export interface TransactionLimits {
  readonly maxWait: number;
  readonly timeout: number;
}

// Waiting ends by the pool's own limit (4 s), which says what was waited for; Prisma's comes after it.
const usualLimits: TransactionLimits = { maxWait: 6_000, timeout: 20_000 };

/** The Prisma adapter of the Sql port. Closing it closes the pool too. */
export function prismaDatabase<Tx extends RawClient>(
  prisma: TransactingClient<Tx>,
  pool: pg.Pool,
  limits: TransactionLimits = usualLimits,
): PrismaDatabase<Tx> {
  const run = <T>(client: RawClient, statement: Statement, values: readonly unknown[]): Promise<T[]> =>
    inClientSpan(
      `sql ${statement.name}`,
      { 'db.system.name': 'postgresql', 'db.query.text': statement.text },
      async () => {
        try {
          const rows = await client.$queryRawUnsafe<Record<string, unknown>[]>(statement.text, ...values);
          return rows.map(withNumbers) as T[];
        } catch (error) {
          throw fromDriver(error);
        }
      },
    );
  return {
    // Outside a transaction nothing needs Prisma's connection: a named statement on the pool costs a fifth.
    rows: (statement, values = []) => runStatement(pool, statement, values),
    async tx(work) {
      const hooks: (() => void)[] = [];
      const result = await prisma
        .$transaction(async (client) => {
          const steps: (() => Promise<void>)[] = [];
          const done = await work({
            client,
            rows: (statement, values = []) => run(client, statement, values),
            beforeCommit: (step) => steps.push(step),
            afterCommit: (hook) => hooks.push(hook),
          });
          for (const step of steps) await step();
          return done;
        }, limits)
        .catch((error: unknown) => {
          throw fromDriver(error);
        });
      for (const hook of hooks) hook();
      return result;
    },
    async ping() {
      await pool.query('select 1').catch((error: unknown) => {
        throw fromDriver(error);
      });
    },
    async close() {
      await prisma.$disconnect();
      if (!pool.ended) await pool.end();
    },
  };
}

/** int8 comes as bigint from Prisma and as number from `pg`: numbers on both ways. */
function withNumbers(row: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(row);
  if (!entries.some(([, value]) => typeof value === 'bigint')) return row;
  return Object.fromEntries(entries.map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]));
}

const mostNames = 500;

/** For Prisma's pg adapter: names for prepared statements: one text, one name. Without a name nothing is prepared; beyond the limit nothing more is. */
export function statementNames(): (query: { sql: string }) => string {
  const names = new Map<string, string>();
  return ({ sql }) => {
    const known = names.get(sql);
    if (known !== undefined) return known;
    if (names.size >= mostNames) return '';
    const name = `p${createHash('sha1').update(sql).digest('base64url').slice(0, 20)}`;
    names.set(sql, name);
    return name;
  };
}
