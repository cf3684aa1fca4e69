import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '@coursewright/platform/testing/eventually';
import { keyRows, pruneStatement } from '../src/store/key-rows.js';
import { catalogOf, startWorld, type World } from './support/world.js';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

let count = 0;
const newKey = (): string => `key ${++count}`;

const claim = async (key: string, fingerprint: string, actor = 'ann'): Promise<boolean> => {
  const { matches } = await catalogOf(world).claimKey(
    { actor, key, fingerprint },
    await world.callers.service('gateway'),
  );
  return matches;
};

const run = (text: string, values: unknown[] = []): Promise<unknown[]> =>
  world.database.rows({ name: `test_${text.length}_${values.length}`, text }, values);

describe("a client's key", () => {
  it('fits its first request for ever after, no other one, and is somebody else’s for somebody else', async () => {
    const key = newKey();
    expect(await claim(key, 'one')).toBe(true);
    expect(await claim(key, 'two')).toBe(false);
    expect(await claim(key, 'one')).toBe(true);
    expect(await claim(key, 'two', 'bob')).toBe(true);
  });

  it('fits one of many requests that come with it at the same moment', async () => {
    const key = newKey();
    const fits = await Promise.all(Array.from({ length: 30 }, (_, n) => claim(key, `request ${n}`)));
    expect(fits.filter(Boolean)).toHaveLength(1);
    const first = fits.indexOf(true);
    expect(await claim(key, `request ${first}`)).toBe(true);
  });

  it('is free again after seven days, also before it has been cleared away', async () => {
    const key = newKey();
    await claim(key, 'one');
    const [{ days }] = (await run(
      `SELECT round(extract(epoch FROM expires_at - now()) / 86400)::int AS days FROM key_claim WHERE key = $1::text`,
      [key],
    )) as [{ days: number }];
    expect(days).toBe(7);
    await world.database.tx(async (sql) => {
      const age = `UPDATE key_claim SET expires_at = now() - interval '1 second' WHERE key = $1::text`;
      await sql.rows({ name: 'test_age', text: age }, [key]);
      // In the transaction that aged it, so that the sweeper cannot have been there before.
      expect(await keyRows.claim(sql, { actor: 'ann', key, fingerprint: 'two' })).toBe('two');
    });
    expect(await claim(key, 'one')).toBe(false);
  });

  it('is cleared away when its time is over, and not before', async () => {
    const [old, fresh] = [newKey(), newKey()];
    await claim(fresh, 'one');
    await run(
      `INSERT INTO key_claim SELECT 'ann', $1::text || n, 'one', now() - interval '1 day' FROM generate_series(1, 2500) AS n`,
      [old],
    );
    await eventually(async () => {
      const left = await run(`SELECT 1 FROM key_claim WHERE key LIKE $1::text || '%'`, [old]);
      expect(left).toHaveLength(0);
    }, 10_000);
    expect(await claim(fresh, 'two')).toBe(false);
  });

  it('is found by indexes when it is cleared away, however many others there are', async () => {
    await run(
      `INSERT INTO key_claim SELECT 'bulk', n::text, 'one', now() + interval '1 day' FROM generate_series(1, 50000) AS n`,
    );
    await run('ANALYZE key_claim');
    const plan = await run(`EXPLAIN ${pruneStatement.text.replace('$1::int', '1000')}`);
    expect(JSON.stringify(plan)).toContain('key_claim_expires_at_idx');
    expect(JSON.stringify(plan)).not.toContain('Seq Scan');
  });

  it('is bound by the gateway alone, and never longer than it may be', async () => {
    const request = { actor: 'ann', key: newKey(), fingerprint: 'one' };
    for (const who of [world.callers.as('ann', ['admin']), world.callers.service('content')])
      await expect(catalogOf(world).claimKey(request, await who)).rejects.toMatchObject({ kind: 'permission_denied' });
    for (const bad of [{ key: '' }, { key: 'x'.repeat(256) }, { key: 'a\0b' }, { fingerprint: '' }, { actor: '' }])
      await expect(
        catalogOf(world).claimKey({ ...request, ...bad }, await world.callers.service('gateway')),
      ).rejects.toMatchObject({ reason: 'INVALID_REQUEST' });
  });
});
