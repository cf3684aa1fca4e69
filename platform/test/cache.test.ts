import { createServer, type AddressInfo } from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { OwedDrops } from '@coursewright/platform/owed-drops';
import { openCache, type Cache } from '@coursewright/platform/cache';
import { newId } from '@coursewright/platform/ids';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { eventually } from '@coursewright/platform/testing/eventually';
import { openGate } from '@coursewright/platform/testing/gate';
import { createTestDatabase, testServers, type TestDatabase } from '@coursewright/platform/testing/servers';
import { hasOwn, startOwnRedis } from './support/own-servers.js';
import { commonSql, logger } from './support/pair.js';

let test: TestDatabase;
let database: PgDatabase;
const caches: Cache[] = [];
const options = { kind: 'test', ttlSeconds: 60, tags: ['t'] };

beforeAll(async () => {
  test = await createTestDatabase('cache');
  database = openDatabase({ url: test.url });
  await database.pool.query(`${commonSql}; CREATE TABLE truth (name text PRIMARY KEY, value text)`);
});
afterEach(async () => {
  for (const cache of caches.splice(0)) await cache.close();
  await database.pool.query('DELETE FROM owed_drop');
});
afterAll(async () => {
  await database.close();
  await test.drop();
});

/** A cache as one process has it. Patient, so that a busy machine does not make Redis look away. */
function cacheOf(url: string, prefix: string, patienceMs = 5_000): Cache {
  const cache = openCache(url, prefix, logger, { database, patienceMs });
  caches.push(cache);
  return cache;
}

const put = {
  name: 'put',
  text: 'INSERT INTO truth VALUES ($1::text, $2::text) ON CONFLICT (name) DO UPDATE SET value = $2::text',
};
const get = { name: 'get', text: 'SELECT value FROM truth WHERE name = $1::text' };
/** Writes the truth and drops what follows from it, as an effect does. */
const write = (cache: Cache, name: string, value: string): Promise<void> =>
  database.tx(async (sql) => {
    await sql.rows(put, [name, value]);
    cache.drop(sql, ['t']);
  });
const load = async (name: string): Promise<string> =>
  (await database.rows<{ value: string }>(get, [name]))[0]?.value ?? 'nothing';
const read = (cache: Cache, name: string) => cache.through(name, options, () => load(name));
const owed = async (): Promise<number> =>
  (await database.rows<{ n: number }>({ name: 'owed', text: 'SELECT count(*) AS n FROM owed_drop' }))[0]!.n;
/** Reads, and says whether the database was asked. */
async function source(cache: Cache, name: string): Promise<[string, string]> {
  let from = 'cache';
  const value = await cache.through(name, options, () => {
    from = 'database';
    return load(name);
  });
  return [from, value];
}
/** Waits until a cache answers without asking the database. */
const warm = (cache: Cache, name: string): Promise<void> =>
  eventually(async () => expect((await source(cache, name))[0]).toBe('cache'));

describe('the cache', () => {
  it('loads once for callers at the same time, and not at all afterwards', async () => {
    const cache = cacheOf(testServers().redis, newId());
    await warm(cache, 'warm');
    let loads = 0;
    const count = async () => ({ n: (loads += 1) });
    const first = await Promise.all(Array.from({ length: 20 }, () => cache.through('k1', options, count)));
    expect(first.every((value) => value.n === 1)).toBe(true);
    await eventually(async () => expect(await cache.through('k1', options, count)).toEqual({ n: 1 }));
    expect(loads).toBe(1);
  });

  it('loads anew after one of its tags was dropped, and not before its transaction has committed', async () => {
    const cache = cacheOf(testServers().redis, newId());
    const name = newId();
    await write(cache, name, 'old');
    await warm(cache, name);
    const failed = database.tx(async (sql) => {
      await sql.rows(put, [name, 'never']);
      cache.drop(sql, ['t']);
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    expect(await source(cache, name)).toEqual(['cache', 'old']);
    await write(cache, name, 'new');
    expect(await read(cache, name)).toBe('new');
    await eventually(async () => expect(await owed()).toBe(0));
  });

  it('never serves what was being loaded while its tag was dropped', async () => {
    const cache = cacheOf(testServers().redis, newId());
    const name = newId();
    await warm(cache, 'warm');
    let finish: ((value: string) => void) | undefined;
    const slow = cache.through(name, options, () => new Promise<string>((resolve) => (finish = resolve)));
    await eventually(() => expect(finish).toBeDefined());
    await write(cache, name, 'fresh');
    finish!('stale');
    expect(await slow).toBe('stale');
    await eventually(async () => expect(await owed()).toBe(0));
    expect(await read(cache, name)).toBe('fresh');
  });

  it('loads every time while Redis is away, without waiting long for it', async () => {
    const away = cacheOf('redis://127.0.0.1:20001', 'x', 100);
    let loads = 0;
    const started = performance.now();
    for (let n = 0; n < 3; n += 1) await away.through('k', options, async () => (loads += 1));
    await write(away, 'x', 'y');
    expect(loads).toBe(3);
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(await owed()).toBe(1);
  });

  it('does not hang on a Redis that accepts and says nothing', async () => {
    const mute = createServer();
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const silent = cacheOf(`redis://127.0.0.1:${(mute.address() as AddressInfo).port}`, 'x', 100);
    expect(await silent.through('k', options, async () => 'loaded')).toBe('loaded');
    await silent.close();
    mute.close();
  });
});

describe('a drop that is owed', () => {
  it('is paid by another process when the one that owed it was killed between its commit and the drop', async () => {
    const prefix = newId();
    const name = newId();
    const other = cacheOf(testServers().redis, prefix);
    await write(other, name, 'old');
    await eventually(async () => expect(await owed()).toBe(0));
    await warm(other, name);
    // What a killed process leaves behind: its effect and its debt, and nothing in Redis.
    await database.tx(async (sql) => {
      await sql.rows(put, [name, 'new']);
      await sql.rows({ name: 'left', text: `INSERT INTO owed_drop (tags) VALUES ('{t}')` });
    });
    const started = performance.now();
    await eventually(async () => expect(await read(other, name)).toBe('new'));
    expect(performance.now() - started).toBeLessThan(1_000);
    await eventually(async () => expect(await owed()).toBe(0));
    await warm(other, name);
  });

  it('goes with the next one in a stream of them, and by itself at its end', async () => {
    const cache = cacheOf(testServers().redis, newId());
    await warm(cache, 'warm');
    // Closer to each other than the pause after which paid rows are deleted alone.
    for (let n = 0; n < 20; n += 1) {
      await write(cache, 'stream', `${n}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(await owed()).toBeLessThan(10);
    await eventually(async () => expect(await owed()).toBe(0));
  });

  it('is not kept in memory beside the database while Redis is away, and blocks what it is for all the same', async () => {
    let isAway = true;
    const drop = async (): Promise<void> => {
      if (isAway) throw new Error('away');
    };
    const drops = new OwedDrops({ database, logger, drop });
    const own = (drops as unknown as { readonly own: ReadonlyMap<number, unknown> }).own;
    try {
      for (let n = 0; n < 300; n += 1) await database.tx(async (sql) => drops.owe(sql, [`tag-${n}`]));
      await drops.look();
      expect(own.size).toBeLessThan(50);
      const isServed = (n: number): boolean => drops.isSettled([`tag-${n}`], -Infinity);
      expect(Array.from({ length: 300 }, (_, n) => isServed(n))).not.toContain(true);
      isAway = false;
      await eventually(() => expect([isServed(0), isServed(150), isServed(299)]).toEqual([true, true, true]));
      await eventually(async () => expect(await owed()).toBe(0));
    } finally {
      await drops.stop();
    }
  });

  it('keeps a process that starts from serving anything before it was read', async () => {
    const prefix = newId();
    const name = newId();
    const first = cacheOf(testServers().redis, prefix);
    await write(first, name, 'old');
    await eventually(async () => expect(await owed()).toBe(0));
    await warm(first, name);
    await first.close();
    await database.tx(async (sql) => {
      await sql.rows(put, [name, 'new']);
      await sql.rows({ name: 'left', text: `INSERT INTO owed_drop (tags) VALUES ('{t}')` });
    });
    const second = cacheOf(testServers().redis, prefix);
    const seen = new Set<unknown>();
    const end = performance.now() + 500;
    while (performance.now() < end) seen.add(await read(second, name));
    expect(seen).toEqual(new Set(['new']));
  });

  it('is paid when Redis is back after an outage and a restart, and nothing stale is served by any process', async () => {
    const prefix = newId();
    const name = newId();
    const way = await openGate(testServers().redis);
    const [writer, reader] = [cacheOf(way.url, prefix), cacheOf(way.url, prefix)];
    await write(writer, name, 'old');
    await eventually(async () => expect(await owed()).toBe(0));
    for (const cache of [writer, reader]) await warm(cache, name);
    await way.cut();
    await eventually(() => expect([writer.isUp(), reader.isUp()]).toEqual([false, false]));
    await write(writer, name, 'new');
    expect(await owed()).toBe(1);
    // The process that owes it is gone before Redis is back.
    await writer.close();
    const restarted = cacheOf(way.url, prefix);
    await way.mend();
    const seen = new Set<unknown>();
    await eventually(async () => {
      for (const cache of [restarted, reader]) seen.add(await read(cache, name));
      expect([restarted.isUp(), reader.isUp(), await owed()]).toEqual([true, true, 0]);
    });
    for (const cache of [restarted, reader]) await warm(cache, name);
    for (const cache of [restarted, reader]) seen.add(await read(cache, name));
    expect(seen).toEqual(new Set(['new']));
    await way.close();
  });

  it('ends within seconds what a process serves that cannot ask what is owed', async () => {
    const [prefix, name] = [newId(), newId()];
    const [toRedis, toDatabase] = [await openGate(testServers().redis), await openGate(test.url)];
    const url = Object.assign(new URL(test.url), { host: new URL(toDatabase.url).host }).href;
    const blind = openDatabase({ url });
    const reader = openCache(testServers().redis, prefix, logger, { database: blind, patienceMs: 5_000 });
    const writer = cacheOf(toRedis.url, prefix);
    try {
      await write(writer, name, 'old');
      await eventually(async () => expect(await owed()).toBe(0));
      await warm(reader, name);
      // The one cannot pay what it owes, the other cannot see it.
      await toRedis.cut();
      await toDatabase.cut();
      await eventually(() => expect(writer.isUp()).toBe(false));
      await write(writer, name, 'new');
      await eventually(async () => expect(await read(reader, name)).toBe('new'), 4_000);
    } finally {
      await reader.close();
      await blind.close();
      await toRedis.close();
      await toDatabase.close();
    }
  });

  it('is paid soon after Redis has only paused, and lists come from the cache again without a new connection', async () => {
    const name = newId();
    const way = await openGate(testServers().redis);
    const cache = cacheOf(way.url, newId(), 100);
    await write(cache, name, 'old');
    await warm(cache, name);
    way.hold(1_000);
    await write(cache, name, 'new');
    expect(await read(cache, name)).toBe('new');
    expect(cache.isUp()).toBe(true);
    const started = performance.now();
    await warm(cache, name);
    expect(performance.now() - started).toBeLessThan(3_000);
    expect(await read(cache, name)).toBe('new');
    // What was paid is deleted a little later, together with what comes next.
    await eventually(async () => expect(await owed()).toBe(0));
    await cache.close();
    await way.close();
  });

  it('takes one row for a transaction with many effects, and few rows in a long outage', async () => {
    const cache = cacheOf('redis://127.0.0.1:20001', 'x', 100);
    await database.tx(async (sql) => {
      for (let n = 0; n < 50; n += 1) cache.drop(sql, [`tag ${n}`, 't']);
    });
    const { rows } = await database.pool.query<{ tags: string[] }>('SELECT tags FROM owed_drop');
    expect(rows.map((row) => row.tags.length)).toEqual([51]);
    await database.pool.query(
      `INSERT INTO owed_drop (tags) SELECT ARRAY['t', 'n' || n % 7] FROM generate_series(1, 3000) AS n`,
    );
    await eventually(async () => expect(await owed()).toBeLessThan(500));
    const { rows: left } = await database.pool.query('SELECT DISTINCT tag FROM owed_drop, unnest(tags) AS tag');
    expect(left).toHaveLength(58);
  });
});

describe('a Redis with a past', () => {
  const itWithRedis = hasOwn.redis ? it : it.skip;

  itWithRedis('that comes back with older data (needs a redis-server here) serves nothing of it', async () => {
    const server = await startOwnRedis();
    try {
      const name = newId();
      const cache = cacheOf(server.url, 'p');
      await write(cache, name, 'old');
      await warm(cache, name);
      const admin = new Redis(server.url).on('error', () => undefined);
      await admin.save();
      await write(cache, name, 'new');
      await warm(cache, name);
      admin.disconnect();
      await server.kill();
      await server.start();
      await eventually(() => expect(cache.isUp()).toBe(true));
      const seen = new Set<unknown>();
      for (let n = 0; n < 20; n += 1) {
        seen.add(await read(cache, name));
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
      expect(seen).toEqual(new Set(['new']));
      await warm(cache, name);
    } finally {
      for (const cache of caches.splice(0)) await cache.close();
      await server.remove();
    }
  });

  it('that forgot its tags never gives them a version that they have had', async () => {
    const prefix = newId();
    const name = newId();
    const cache = cacheOf(testServers().redis, prefix);
    const admin = new Redis(testServers().redis);
    await write(cache, name, 'old');
    await warm(cache, name);
    for (const value of ['second', 'third']) {
      // Evicted, as the oldest keys are when the memory is full; entries stay.
      await admin.del(`${prefix}:tag:t`);
      await write(cache, name, value);
      await eventually(async () => expect(await owed()).toBe(0));
      expect(await read(cache, name)).toBe(value);
    }
    admin.disconnect();
  });
});
