import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RecallOutcome } from '@coursewright/proto/coursewright/common/v1/requests';
import { commonPrunings, housekeeping, prune } from '@coursewright/platform/housekeeping';
import { newId } from '@coursewright/platform/ids';
import { createLeases } from '@coursewright/platform/leases';
import { createLogger } from '@coursewright/platform/logger';
import { rememberCommand, requestService, takeCommand } from '@coursewright/platform/requests';
import type { Command } from '@coursewright/platform/rpc-call';
import { fromDriver, openDatabase, type PgDatabase, type Sql } from '@coursewright/platform/sql';
import { eventually } from '@coursewright/platform/testing/eventually';
import { createTestDatabase, type TestDatabase } from '@coursewright/platform/testing/servers';

const commonSql = readFileSync(new URL('../sql/common.sql', import.meta.url), 'utf8');

describe('the database port', () => {
  let test: TestDatabase;
  let database: PgDatabase;
  const count = { name: 'count', text: 'SELECT count(*) AS n FROM thing' };
  const insert = { name: 'insert', text: 'INSERT INTO thing VALUES ($1::text)' };

  beforeAll(async () => {
    test = await createTestDatabase('data');
    database = openDatabase({ url: test.url });
    await database.pool.query(`${commonSql}; CREATE TABLE thing (name text PRIMARY KEY)`);
  });
  afterAll(async () => {
    await database.close();
    await test.drop();
  });

  it('keeps all of a transaction or nothing, and calls hooks only after it is kept', async () => {
    const hooks: string[] = [];
    await database.tx(async (sql) => {
      await sql.rows(insert, ['kept']);
      sql.afterCommit(() => hooks.push('kept'));
      expect(hooks).toEqual([]);
    });
    await expect(
      database.tx(async (sql) => {
        await sql.rows(insert, ['lost']);
        sql.afterCommit(() => hooks.push('lost'));
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(hooks).toEqual(['kept']);
    expect(await database.rows(count)).toEqual([{ n: 1 }]);
  });

  it('does not take a transaction for kept that PostgreSQL rolled back for a statement whose error nobody saw', async () => {
    const hooks: string[] = [];
    const swallowed = database.tx(async (sql) => {
      await sql.rows(insert, ['swallowed']);
      sql.afterCommit(() => hooks.push('kept'));
      await sql.rows({ name: 'wrong', text: 'SELECT 1/0 AS n' }).catch(() => undefined);
    });
    await expect(swallowed).rejects.toThrow('ended with ROLLBACK');
    expect(hooks).toEqual([]);
    expect(await database.rows(count)).toEqual([{ n: 1 }]);
  });

  it('says that the server is away instead of breaking', async () => {
    const away = openDatabase({ url: 'postgresql://nobody@127.0.0.1:20001/none' });
    await expect(away.rows(count)).rejects.toMatchObject({ kind: 'unavailable', reason: 'DATABASE_UNAVAILABLE' });
    await expect(away.tx(async () => 1)).rejects.toMatchObject({ kind: 'unavailable' });
    await away.close();
  });

  it('goes on with a new connection after its own was cut', async () => {
    const cut = database.tx(async (sql) => {
      const [row] = await sql.rows<{ pid: number }>({ name: 'pid', text: 'SELECT pg_backend_pid() AS pid' });
      await database.pool.query('SELECT pg_terminate_backend($1)', [row!.pid]);
      await sql.rows(count);
    });
    await expect(cut).rejects.toMatchObject({ kind: 'unavailable', reason: 'DATABASE_UNAVAILABLE' });
    expect(await database.rows(count)).toEqual([{ n: 1 }]);
  });

  it('takes its locks from a process that stands still within a transaction, before others give up', async () => {
    const lock = { name: 'lock', text: 'SELECT name FROM thing FOR UPDATE' };
    let isLocked: () => void = () => undefined;
    const locked = new Promise<void>((resolve) => (isLocked = resolve));
    // Its connection alone, since this process goes on and would say so.
    const still = (async () => {
      const client = await database.pool.connect();
      client.on('error', () => undefined);
      await client.query('BEGIN');
      await client.query(lock.text);
      isLocked();
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      await client.query(lock.text).finally(() => client.release(true));
    })();
    await locked;
    const since = performance.now();
    const [, failure] = await Promise.all([
      database.tx((sql) => sql.rows(lock)),
      still.catch((error: unknown) => error),
      // Within the 5 s that a call may take.
      database.tx((sql) => sql.rows(lock)).then(() => expect(performance.now() - since).toBeLessThan(5_000)),
    ]);
    expect(fromDriver(failure)).toMatchObject({ kind: 'unavailable', reason: 'DATABASE_UNAVAILABLE' });
  }, 20_000);

  it.each(['ECONNREFUSED', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ECONNABORTED'])(
    'takes a server that the network does not reach for away (%s)',
    (code) => {
      expect(fromDriver(Object.assign(new Error(code), { code }))).toMatchObject({
        kind: 'unavailable',
        reason: 'DATABASE_UNAVAILABLE',
        details: { retryAfterSeconds: 2 },
      });
    },
  );

  it('keeps a transaction whose process works for long without a statement', async () => {
    const kept = await database.tx(async (sql) => {
      const [first] = await sql.rows<{ pid: number }>({ name: 'pid', text: 'SELECT pg_backend_pid() AS pid' });
      await new Promise((resolve) => setTimeout(resolve, 4_500));
      await sql.rows(insert, ['worked for long']);
      return first!.pid;
    });
    expect(kept).toBeGreaterThan(0);
    const gone = { name: 'gone', text: 'DELETE FROM thing WHERE name = $1::text RETURNING name' };
    expect(await database.rows(gone, ['worked for long'])).toHaveLength(1);
  }, 20_000);

  it('gives up a lock that another holds, within the time of a call', async () => {
    const lock = { name: 'lock', text: 'SELECT name FROM thing FOR UPDATE' };
    const tick = { name: 'tick', text: 'SELECT 1 AS one' };
    await database.tx(async (busy) => {
      await busy.rows(lock);
      const since = performance.now();
      let isOver = false;
      const waiting = database.tx((sql) => sql.rows(lock)).finally(() => (isOver = true));
      const refused = expect(waiting).rejects.toMatchObject({ kind: 'unavailable', reason: 'DATABASE_UNAVAILABLE' });
      while (!isOver) {
        await busy.rows(tick);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await refused;
      expect(performance.now() - since).toBeLessThan(5_000);
    });
  }, 20_000);

  it('gives up a server that stands still, with its connections', async () => {
    const own = openDatabase({ url: test.url, statementTimeoutMs: 200, maxConnections: 2 });
    const pid = { name: 'pid', text: 'SELECT pg_backend_pid() AS pid' };
    const stopped: number[] = [];
    const stop = async (sql: Sql): Promise<void> => {
      const [row] = await sql.rows<{ pid: number }>(pid);
      process.kill(row!.pid, 'SIGSTOP');
      stopped.push(row!.pid);
    };
    try {
      const unavailable = { kind: 'unavailable', reason: 'DATABASE_UNAVAILABLE' };
      const since = performance.now();
      const inTransaction = own.tx(async (sql) => {
        await stop(sql);
        await sql.rows(pid);
      });
      const alone = (async () => {
        await stop(own);
        await own.rows(pid);
      })();
      await Promise.all([
        expect(inTransaction).rejects.toMatchObject(unavailable),
        expect(alone).rejects.toMatchObject(unavailable),
      ]);
      expect(performance.now() - since).toBeLessThan(8_000);
      // Both connections are given up: what follows gets new ones.
      expect(await Promise.all([own.rows(pid), own.tx((sql) => sql.rows(pid))])).toHaveLength(2);
    } finally {
      for (const one of stopped) process.kill(one, 'SIGCONT');
      await own.close();
    }
  }, 30_000);

  describe('commands', () => {
    const actor = { sub: 'ada', roles: [], grants: [] };
    const command = (fingerprint = 'f'): Command => ({ id: newId(), fingerprint, kept: 'client' });

    it('answer a repeat with the first result', async () => {
      const own = command();
      const attempt = (result: string) =>
        database.tx(async (sql) => {
          const state = await takeCommand(sql, actor, own);
          if (state.state === 'done') return state.result;
          await rememberCommand(sql, actor, own, { result });
          return { result };
        });
      expect(await attempt('first')).toEqual({ result: 'first' });
      expect(await attempt('second')).toEqual({ result: 'first' });
    });

    it('refuse another request under the same key, but not for another actor', async () => {
      const own = command('one');
      await database.tx((sql) => rememberCommand(sql, actor, own, {}));
      const other = { ...own, fingerprint: 'two' };
      await expect(database.tx((sql) => takeCommand(sql, actor, other))).rejects.toMatchObject({
        kind: 'unprocessable',
        reason: 'IDEMPOTENCY_KEY_REUSED',
      });
      expect(await database.tx((sql) => takeCommand(sql, { ...actor, sub: 'eve' }, other))).toEqual({ state: 'fresh' });
    });

    it('are in progress for a second caller while the first works, and free again when that fails', async () => {
      const own = command();
      let fail: (error: Error) => void = () => undefined;
      let taken: () => void = () => undefined;
      const isTaken = new Promise<void>((resolve) => (taken = resolve));
      const first = database.tx(async (sql) => {
        await takeCommand(sql, actor, own);
        taken();
        await new Promise((_, reject) => (fail = reject));
      });
      await isTaken;
      await expect(database.tx((sql) => takeCommand(sql, actor, own))).rejects.toMatchObject({
        kind: 'conflict',
        reason: 'IN_PROGRESS',
      });
      fail(new Error('crash'));
      await expect(first).rejects.toThrow('crash');
      expect(await database.tx((sql) => takeCommand(sql, actor, own))).toEqual({ state: 'fresh' });
    });

    it('are free while somebody only asks what became of them, however long that takes', async () => {
      const own = command();
      let goOn: ((isOpen: boolean) => void) | undefined;
      const isOpen = (): Promise<boolean> => new Promise((resolve) => (goOn = resolve));
      const recall = requestService(database, [], isOpen).handlers['recall'] as (
        request: object,
      ) => Promise<{ outcome: RecallOutcome }>;
      const asked = recall({ actor: actor.sub, key: own.id, fingerprint: own.fingerprint });
      await eventually(() => expect(goOn).toBeDefined());
      expect(await database.tx((sql) => takeCommand(sql, actor, own))).toEqual({ state: 'fresh' });
      goOn?.(false);
      expect((await asked).outcome).toBe(RecallOutcome.NONE);
    });

    it('are forgotten when their time is over', async () => {
      const own = command();
      await database.tx((sql) => rememberCommand(sql, actor, own, {}));
      await database.pool.query(`UPDATE request SET expires_at = now() - interval '1 second' WHERE key = $1`, [own.id]);
      await prune(database, commonPrunings[0]!);
      expect(await database.tx((sql) => takeCommand(sql, actor, own))).toEqual({ state: 'fresh' });
    });
  });

  it("says that transactions were in each other's way as something that passes", async () => {
    await database.pool.query(`INSERT INTO thing VALUES ('left'), ('right')`);
    const touch = { name: 'touch', text: 'UPDATE thing SET name = name WHERE name = $1::text' };
    let reached = 0;
    let go: () => void = () => undefined;
    const both = new Promise<void>((resolve) => (go = resolve));
    const cross = (first: string, second: string) =>
      database.tx(async (sql) => {
        await sql.rows(touch, [first]);
        if ((reached += 1) === 2) go();
        await both;
        await sql.rows(touch, [second]);
      });
    const results = await Promise.allSettled([cross('left', 'right'), cross('right', 'left')]);
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused).toMatchObject([{ reason: { kind: 'unavailable', reason: 'DATABASE_UNAVAILABLE' } }]);
  });

  describe('housekeeping', () => {
    const fill = (rows: number) =>
      database.pool.query(
        `INSERT INTO outbox (event_id, course_id, seq, type, data, occurred_at, sent_at)
           SELECT gen_random_uuid(), '${newId()}', n, 'x', '{}', now(), now() - interval '31 days' FROM generate_series(1, ${rows}) AS n;
         INSERT INTO request (actor, key, fingerprint, result, created_at, expires_at)
           SELECT '${newId()}', n::text, 'f', '{}', now(), now() - interval '1 second' FROM generate_series(1, ${rows}) AS n;
         INSERT INTO dead_letter (id, source, course_id, seq, type, data, reason, created_at, resolved_at)
           SELECT gen_random_uuid(), 's', gen_random_uuid(), n, 'x', '{}', 'r', now(), now() - interval '91 days' FROM generate_series(1, ${rows}) AS n`,
      );
    const counts = async (): Promise<number[]> => {
      const tables = ['request', 'outbox', 'dead_letter'];
      const all = tables.map((table) =>
        database.rows<{ n: number }>({ name: `count_${table}`, text: `SELECT count(*) AS n FROM ${table}` }),
      );
      return (await Promise.all(all)).map(([row]) => row!.n);
    };

    it('deletes faster than two thousand writes a second fill, and keeps what is kept', async () => {
      await database.pool.query('DELETE FROM request; DELETE FROM outbox');
      await database.pool.query(
        `INSERT INTO outbox (event_id, course_id, seq, type, data, occurred_at, sent_at) VALUES
           (gen_random_uuid(), gen_random_uuid(), 1, 'x', '{}', now() - interval '40 days', NULL),
           (gen_random_uuid(), gen_random_uuid(), 1, 'x', '{}', now(), now() - interval '29 days')`,
      );
      await fill(30_000);
      const started = performance.now();
      // Two replicas at once.
      const both = [1, 2].map(async () => {
        for (const statement of commonPrunings) while (!(await prune(database, statement)));
      });
      await Promise.all(both);
      const seconds = (performance.now() - started) / 1000;
      expect(await counts()).toEqual([0, 2, 0]);
      expect(30_000 / seconds).toBeGreaterThan(2_000);
    });

    it('steps over what another replica is deleting, and deletes the rest', async () => {
      await database.pool.query('DELETE FROM outbox');
      await fill(100);
      const outbox = commonPrunings[1]!;
      await database.tx(async (sql) => {
        await sql.rows({ name: 'held', text: 'SELECT seq FROM outbox WHERE seq <= 10 FOR UPDATE' });
        expect(await prune(database, outbox)).toBe(true);
        expect((await counts())[1]).toBe(10);
      });
      expect(await prune(database, outbox)).toBe(true);
      expect((await counts())[1]).toBe(0);
    });

    it('goes on at once when a round could not take all that waits', async () => {
      await database.pool.query('CREATE TABLE batch (n integer)');
      // The first batch is full, and takes as long as a whole round may last; the next one is the last.
      const isFirst = 'NOT EXISTS (SELECT FROM batch)';
      const slowly = {
        name: 'prune_slowly',
        text: `INSERT INTO batch SELECT CASE WHEN ${isFirst} THEN 5000 ELSE 0 END
               FROM pg_sleep(CASE WHEN ${isFirst} THEN 5.1 ELSE 0 END) RETURNING n`,
        isDue: 'true',
      };
      const logger = createLogger('test', 'silent');
      const leases = createLeases({ pool: database.pool, replica: 'test', logger });
      const keeper = housekeeping(database, { prunings: [slowly], leases, logger });
      await leases.start();
      await keeper.start?.();
      try {
        const batches = { name: 'count_batches', text: 'SELECT count(*) AS n FROM batch' };
        await eventually(async () => expect(await database.rows(batches)).toEqual([{ n: 2 }]), 10_000);
      } finally {
        await keeper.stop?.();
        await leases.stop();
      }
    });

    it('finds what it deletes by an index, whatever the table holds', async () => {
      await database.pool.query(
        `INSERT INTO outbox (event_id, course_id, seq, type, data, occurred_at, sent_at)
           SELECT gen_random_uuid(), gen_random_uuid(), n, 'x', '{}', now(), now() FROM generate_series(1, 20000) AS n;
         INSERT INTO request (actor, key, fingerprint, result, created_at, expires_at)
           SELECT 'kept', n::text, 'f', '{}', now(), now() + interval '1 day' FROM generate_series(1, 20000) AS n;
         INSERT INTO dead_letter (id, source, course_id, seq, type, data, reason, created_at, resolved_at)
           SELECT gen_random_uuid(), 's', gen_random_uuid(), n, 'x', '{}', 'r', now(), now() FROM generate_series(1, 20000) AS n`,
      );
      await fill(100);
      await database.pool.query('ANALYZE');
      for (const { text } of commonPrunings) {
        const { rows } = await database.pool.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${text}`);
        const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
        expect(plan).toMatch(/Index Scan/);
        expect(plan).not.toMatch(/Seq Scan/);
      }
    });
  });
});
