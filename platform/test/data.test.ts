import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openCache, type Cache } from '@coursewright/platform/cache';
import { newId } from '@coursewright/platform/ids';
import { createLogger } from '@coursewright/platform/logger';
import { expireRequests, rememberCommand, takeCommand } from '@coursewright/platform/requests';
import type { Command } from '@coursewright/platform/rpc-call';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { eventually } from '@coursewright/platform/testing/eventually';
import { createTestDatabase, testServers, type TestDatabase } from '@coursewright/platform/testing/servers';

const logger = createLogger('test', 'silent');
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

    it('are forgotten when their time is over', async () => {
      const own = command();
      await database.tx((sql) => rememberCommand(sql, actor, own, {}));
      await database.pool.query(`UPDATE request SET expires_at = now() - interval '1 second' WHERE key = $1`, [own.id]);
      await expireRequests(database);
      expect(await database.tx((sql) => takeCommand(sql, actor, own))).toEqual({ state: 'fresh' });
    });
  });
});

describe('the cache', () => {
  let cache: Cache;
  const options = { kind: 'test', ttlSeconds: 60, tags: ['t'] };

  beforeAll(async () => {
    // Patient, so that a busy machine does not make Redis look away.
    cache = openCache(testServers().redis, newId(), logger, 5_000);
    await eventually(() => expect(cache.isUp()).toBe(true));
  });
  afterAll(() => cache.close());

  it('loads once for callers at the same time, and not at all afterwards', async () => {
    let loads = 0;
    const load = async () => ({ n: (loads += 1) });
    const first = await Promise.all(Array.from({ length: 20 }, () => cache.through('k1', options, load)));
    expect(first.every((value) => value.n === 1)).toBe(true);
    await eventually(async () => expect(await cache.through('k1', options, load)).toEqual({ n: 1 }));
    expect(loads).toBe(1);
  });

  it('loads anew after one of its tags was dropped', async () => {
    let value = 'old';
    await cache.through('k2', options, async () => value);
    value = 'new';
    expect(await cache.through('k2', options, async () => value)).toBe('old');
    await cache.drop(['t']);
    expect(await cache.through('k2', options, async () => value)).toBe('new');
  });

  it('never serves what was being loaded while its tag was dropped', async () => {
    let finish: (value: string) => void = () => undefined;
    const slow = cache.through('k3', options, () => new Promise<string>((resolve) => (finish = resolve)));
    await eventually(() => expect(finish).not.toBe(undefined));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await cache.drop(['t']);
    finish('stale');
    expect(await slow).toBe('stale');
    expect(await cache.through('k3', options, async () => 'fresh')).toBe('fresh');
  });

  it('loads every time while Redis is away, without waiting long for it', async () => {
    const away = openCache('redis://127.0.0.1:20001', 'x', logger);
    let loads = 0;
    const started = performance.now();
    for (let n = 0; n < 3; n += 1) await away.through('k', options, async () => (loads += 1));
    await away.drop(['t']);
    expect(loads).toBe(3);
    expect(performance.now() - started).toBeLessThan(2_000);
    await away.close();
  });

  it('does not hang on a Redis that accepts and says nothing', async () => {
    const mute = createServer();
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const { port } = mute.address() as { port: number };
    const silent = openCache(`redis://127.0.0.1:${port}`, 'x', logger);
    expect(await silent.through('k', options, async () => 'loaded')).toBe('loaded');
    await silent.close();
    mute.close();
  });
});
