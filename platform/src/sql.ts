import { Socket } from 'node:net';
import pg from 'pg';
import { AppError, isTransient } from './errors.js';
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
  /** Runs last in the transaction, once its work has resolved; what it throws undoes the transaction. */
  beforeCommit(step: () => Promise<void>): void;
  /** Runs once the transaction has committed, not at all when it has not. */
  afterCommit(hook: () => void): void;
}

/** The port with transactions of type S, as both adapters offer it. */
export type DatabaseOf<S extends TxSql> = Omit<Database, 'tx'> & { tx<T>(work: (sql: S) => Promise<T>): Promise<T> };

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

/** So much longer than any statement is a server waited for that says nothing, not even that it cancelled. */
const silenceMs = 5_000;

/**
 * The socket of one connection. It is destroyed when the server was silent for longer than any statement may take (a cut network, a server
 * that hangs), and with it whatever waits on this connection: nothing is sent after it, not even a ROLLBACK, and no pool takes it back.
 */
function socketThatGivesUp(silentMs: number): Socket {
  const socket = new Socket();
  const silence = Object.assign(new Error('the server has been silent for too long'), { code: 'ETIMEDOUT' });
  return socket.setTimeout(silentMs, () => socket.destroy(silence));
}

/** Opens a pool on one service's database. Connects at the first statement. */
export function openPool(options: DatabaseOptions): pg.Pool {
  const url = new URL(options.url);
  const statementMs = options.statementTimeoutMs ?? 20_000;
  const pool = new pg.Pool({
    connectionString: url.href,
    max: options.maxConnections ?? 16,
    // Waiting for a free connection counts as well. Below the 5 s of a call, so that its caller learns what was waited for.
    connectionTimeoutMillis: 4_000,
    stream: () => socketThatGivesUp(statementMs + silenceMs),
    // Sooner than its socket gives up: a connection that rests is closed in order.
    idleTimeoutMillis: statementMs,
    keepAlive: true,
    application_name: options.applicationName ?? 'coursewright',
    // A process that stands still within a transaction loses it before those who wait for its locks give up.
    options: `-c statement_timeout=${statementMs} -c idle_in_transaction_session_timeout=3000 -c lock_timeout=4000`,
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
  return databaseOn(openPool(options));
}

/** The `pg` adapter on a pool that another adapter may use as well. Closing it closes the pool. */
export function databaseOn(pool: pg.Pool): PgDatabase {
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
  const steps: (() => Promise<void>)[] = [];
  const hooks: (() => void)[] = [];
  const client = await pool.connect().catch((error: unknown) => {
    throw fromDriver(error);
  });
  let broken: Error | undefined;
  client.on('error', (error) => (broken = error));
  const pulse = new Pulse(client);
  try {
    await client.query('BEGIN').catch((error: unknown) => {
      throw fromDriver(error);
    });
    const result = await work({
      rows: (statement, values = []) => pulse.during(() => runStatement(client, statement, values)),
      beforeCommit: (step) => steps.push(step),
      afterCommit: (hook) => hooks.push(hook),
    });
    for (const step of steps) await step();
    await pulse.end();
    const { command } = await client.query('COMMIT').catch((error: unknown) => {
      throw fromDriver(error);
    });
    // PostgreSQL's answer when a statement had failed and its error was swallowed: nothing was kept.
    if (command !== 'COMMIT') throw new Error(`a transaction ended with ${command}: a statement in it had failed`);
    for (const hook of hooks) hook();
    return result;
  } catch (error) {
    await pulse.end();
    await client.query('ROLLBACK').catch((failure: Error) => (broken = failure));
    throw error;
  } finally {
    client.removeAllListeners('error');
    client.release(broken);
  }
}

/** A transaction without statements ends after 3 s: a sign of life each second or two keeps it, for at most 20 s. */
const [pulseMs, mostPulses] = [1_000, 20];

/**
 * Keeps a transaction whose own process works for long between two statements, as a graft of 100,000 nodes does. A process that cannot
 * run sends nothing: it loses the transaction, and with it the locks that others wait for.
 */
class Pulse {
  private readonly timer: NodeJS.Timeout;
  private running = 0;
  private quietTurns = 0;
  private beat: Promise<unknown> | undefined;

  constructor(private readonly client: pg.PoolClient) {
    this.timer = setInterval(() => this.turn(), pulseMs).unref();
  }

  /** A statement. It waits for a beat that is under way, since a connection does one thing at a time. */
  async during<T>(statement: () => Promise<T>): Promise<T> {
    this.running += 1;
    try {
      if (this.beat !== undefined) await this.beat;
      return await statement();
    } finally {
      this.running -= 1;
      this.quietTurns = 0;
    }
  }

  async end(): Promise<void> {
    clearInterval(this.timer);
    await this.beat;
  }

  private turn(): void {
    if (this.running > 0 || this.beat !== undefined || this.quietTurns >= mostPulses) return;
    this.quietTurns += 1;
    // What is wrong with the connection the next statement will say.
    this.beat = this.client
      .query('SELECT')
      .catch(() => undefined)
      .finally(() => (this.beat = undefined));
  }
}

// The server cannot be reached, or Prisma waited in vain for a connection, a transaction or a lock.
const passingCodes = new Set(
  (
    'ECONNREFUSED ECONNRESET ECONNABORTED ETIMEDOUT EPIPE ENOTFOUND EAI_AGAIN EHOSTUNREACH ENETUNREACH ' +
    'P1001 P1002 P1008 P1017 P2024 P2028 P2034 P2037'
  ).split(' '),
);

/** The same in the words of Prisma's driver adapter, which has no code for them. */
const passingKinds = new Set<unknown>(
  'DatabaseNotReachable ConnectionClosed TooManyConnections SocketTimeout TransactionWriteConflict TransactionAlreadyClosed'.split(
    ' ',
  ),
);

/**
 * SQLSTATEs that the next attempt may not meet: classes of the connection (08), of transactions that were in each other's way (40), of
 * resources (53), of an operator or a timeout (57), of the machine (58); a lock that took too long; a server that is about to be replaced; a process that
 * stood still within its transaction.
 */
const passingStates = /^(08|40|53|57|58)|^(55P03|25006|25P03)$/;

/**
 * Turns what another attempt may not meet (the server is away, transactions were in each other's way) into unavailable
 * DATABASE_UNAVAILABLE; other errors of a driver, `pg` or Prisma, stay as they are.
 */
export function fromDriver(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof AppError) return error;
  const code = (error as { code?: unknown }).code;
  const passes =
    (typeof code === 'string' && passingCodes.has(code)) ||
    passingStates.test(sqlState(error) ?? '') ||
    passingKinds.has(adapterCause(error)?.kind) ||
    /Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client was closed|after calling end on the pool|connection error and is not queryable/.test(
      error.message,
    );
  return passes
    ? new AppError('unavailable', 'DATABASE_UNAVAILABLE', { retryAfterSeconds: 2 }, { cause: error })
    : error;
}

/** True for a failure that another attempt may not meet although nothing was changed for it. */
export function isPassing(error: unknown): boolean {
  const known = fromDriver(error);
  if (known instanceof AppError) return isTransient(known) || known.kind === 'conflict';
  // "internal error" of PostgreSQL: damage or a full disk, whatever was asked.
  return sqlState(error)?.startsWith('XX') ?? false;
}

/** The SQLSTATE of a driver's error (of either adapter), or undefined. */
export function sqlState(error: unknown): string | undefined {
  const direct = (error as { code?: unknown } | null)?.code;
  if (typeof direct === 'string' && /^[0-9A-Z]{5}$/.test(direct) && !/^P[1-9]|^E/.test(direct)) return direct;
  const original = adapterCause(error)?.originalCode;
  return typeof original === 'string' ? original : undefined;
}

interface AdapterCause {
  readonly kind?: unknown;
  readonly originalCode?: unknown;
}

/** What Prisma's driver adapter says: as the cause of its own error (a commit that fails), or inside that of a query. */
function adapterCause(error: unknown): AdapterCause | undefined {
  const { name, cause, meta } = (error ?? {}) as {
    name?: unknown;
    cause?: AdapterCause;
    meta?: { driverAdapterError?: { cause?: AdapterCause } };
  };
  return name === 'DriverAdapterError' ? cause : meta?.driverAdapterError?.cause;
}
