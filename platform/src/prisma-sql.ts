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

/** The Prisma adapter of the Sql port. Closing it closes the pool too. */
export function prismaDatabase<Tx extends RawClient>(prisma: TransactingClient<Tx>, pool: pg.Pool): PrismaDatabase<Tx> {
  const run = <T>(client: RawClient, statement: Statement, values: readonly unknown[]): Promise<T[]> =>
    inClientSpan(
      `sql ${statement.name}`,
      { 'db.system.name': 'postgresql', 'db.query.text': statement.text },
      async () => {
        try {
          const rows = await client.$queryRawUnsafe<Record<string, unknown>[]>(statement.text, ...values);
          return rows.map(withNumbers) as T[];
        } catch (error) {
          throw fromPrisma(error);
        }
      },
    );
  return {
    // Outside a transaction nothing needs Prisma's connection: a named statement on the pool costs a fifth.
    rows: (statement, values = []) => runStatement(pool, statement, values),
    async tx(work) {
      const hooks: (() => void)[] = [];
      const result = await prisma
        .$transaction(
          (client) =>
            work({
              client,
              rows: (statement, values = []) => run(client, statement, values),
              afterCommit: (hook) => hooks.push(hook),
            }),
          {
            maxWait: 5_000,
            timeout: 20_000,
          },
        )
        .catch((error: unknown) => {
          throw fromPrisma(error);
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
  for (const [name, value] of Object.entries(row)) if (typeof value === 'bigint') row[name] = Number(value);
  return row;
}

function fromPrisma(error: unknown): unknown {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === 'P1001' || code === 'P1017' || code === 'P2024' || code === 'P2037') {
    return fromDriver(Object.assign(new Error('database away', { cause: error }), { code: 'ECONNREFUSED' }));
  }
  return fromDriver(error);
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
