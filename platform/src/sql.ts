import pg from 'pg';
import { AppError } from './errors.js';
import { inClientSpan } from './telemetry.js';

/** A statement that is prepared once per connection under its name; one name, one text. */
export interface Statement {
  readonly name: string;
  readonly text: string;
  /** The text differs from call to call: it is parsed and planned each time for its very values, and nothing of it is kept. */
  readonly varies?: boolean;
}

/** Somewhere to run statements: the database itself, or a transaction. */
export interface Sql {
  /** Every parameter of a shared statement carries a cast, so that both adapters read it alike. */
  rows<T>(statement: Statement, values?: readonly unknown[]): Promise<T[]>;
}

/** A transaction. */
export interface TxSql extends Sql {
  /** Runs once the transaction has committed, not at all when it has not. */
  afterCommit(hook: () => void): void;
}

/**
 * The one port to PostgreSQL, with two adapters: named `pg` statements (here) and Prisma's transactions (prisma-sql).
 * Throws unavailable DATABASE_UNAVAILABLE when the server cannot be reached.
 */
export interface Database extends Sql {
  tx<T>(work: (sql: TxSql) => Promise<T>): Promise<T>;
  /** Throws when the database does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface PgDatabase extends Database {
  readonly pool: pg.Pool;
}

export interface DatabaseOptions {
  readonly url: string;
  readonly maxConnections?: number;
  readonly statementTimeoutMs?: number;
  readonly applicationName?: string;
}

// Numbers of int8 columns stay far below 2^53 here; as strings they would be compared by letters.
pg.types.setTypeParser(20, Number);

/** Opens a pool on one service's database. Connects at the first statement. */
export function openPool(options: DatabaseOptions): pg.Pool {
  const url = new URL(options.url);
  const pool = new pg.Pool({
    connectionString: url.href,
    max: options.maxConnections ?? 16,
    // Waiting for a free connection counts as well: calls have their own deadlines.
    connectionTimeoutMillis: 8_000,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    application_name: options.applicationName ?? 'coursewright',
    options: `-c statement_timeout=${options.statementTimeoutMs ?? 20_000} -c idle_in_transaction_session_timeout=30000 -c lock_timeout=10000`,
  });
  // An idle client that loses its server is dropped from the pool; the next statement connects anew.
  pool.on('error', () => undefined);
  return pool;
}

/** Runs a statement on a pool or on one of its connections, prepared under its name unless its text varies. */
export function runStatement<T>(
  client: pg.Pool | pg.PoolClient,
  statement: Statement,
  values: readonly unknown[],
): Promise<T[]> {
  const { name, text } = statement;
  return inClientSpan(`sql ${name}`, { 'db.system.name': 'postgresql', 'db.query.text': text }, async () => {
    try {
      const named = statement.varies ? {} : { name };
      return (await client.query<Record<string, unknown>>({ ...named, text, values: [...values] })).rows as T[];
    } catch (error) {
      throw fromDriver(error);
    }
  });
}

/** The `pg` adapter of the port. */
export function openDatabase(options: DatabaseOptions): PgDatabase {
  const pool = openPool(options);
  return {
    pool,
    rows: (statement, values = []) => runStatement(pool, statement, values),
    tx: (work) => runTransaction(pool, work),
    async ping() {
      await pool.query('select 1').catch((error: unknown) => {
        throw fromDriver(error);
      });
    },
    close: () => pool.end(),
  };
}

async function runTransaction<T>(pool: pg.Pool, work: (sql: TxSql) => Promise<T>): Promise<T> {
  const hooks: (() => void)[] = [];
  const client = await pool.connect().catch((error: unknown) => {
    throw fromDriver(error);
  });
  let broken: Error | undefined;
  client.on('error', (error) => (broken = error));
  try {
    await client.query('BEGIN').catch((error: unknown) => {
      throw fromDriver(error);
    });
    const result = await work({
      rows: (statement, values = []) => runStatement(client, statement, values),
      afterCommit: (hook) => hooks.push(hook),
    });
    await client.query('COMMIT').catch((error: unknown) => {
      throw fromDriver(error);
    });
    for (const hook of hooks) hook();
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch((failure: Error) => (broken = failure));
    throw error;
  } finally {
    client.removeAllListeners('error');
    client.release(broken);
  }
}

const connectionCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EPIPE',
  'ENOTFOUND',
  '57P01',
  '57P02',
  '57P03',
  '53300',
  '08006',
  '08001',
  '08003',
  // A lock or a statement that took too long: the next attempt may find the way free.
  '55P03',
  '57014',
]);

/** Turns "the server is away" into unavailable DATABASE_UNAVAILABLE; other errors of the driver stay as they are. */
export function fromDriver(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = (error as { code?: unknown }).code;
  const away =
    (typeof code === 'string' && connectionCodes.has(code)) ||
    /Connection terminated|timeout exceeded when trying to connect|Client was closed|connection error and is not queryable/.test(
      error.message,
    );
  return away ? new AppError('unavailable', 'DATABASE_UNAVAILABLE', { retryAfterSeconds: 2 }, { cause: error }) : error;
}

/** The SQLSTATE of a driver's error (of either adapter), or undefined. */
export function sqlState(error: unknown): string | undefined {
  const direct = (error as { code?: unknown } | null)?.code;
  if (typeof direct === 'string' && /^[0-9A-Z]{5}$/.test(direct) && !direct.startsWith('P2')) return direct;
  const cause = (error as { meta?: { driverAdapterError?: { cause?: { originalCode?: unknown } } } } | null)?.meta
    ?.driverAdapterError?.cause;
  return typeof cause?.originalCode === 'string' ? cause.originalCode : undefined;
}
