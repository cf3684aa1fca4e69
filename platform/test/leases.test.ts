import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createLeases, type Lease, type Leases } from '@coursewright/platform/leases';
import { createLogger } from '@coursewright/platform/logger';
import { openDatabase, openPool, type PgDatabase } from '@coursewright/platform/sql';
import { eventually } from '@coursewright/platform/testing/eventually';
import { createTestDatabase, type TestDatabase } from '@coursewright/platform/testing/servers';
import type { HolderTold } from './support/lease-holder.js';

const logger = createLogger('test', 'silent');
const HANDOVER_MS = 5_000;
let home: TestDatabase;
let database: PgDatabase;
const children: ChildProcess[] = [];
const open: Leases[] = [];

beforeAll(async () => {
  home = await createTestDatabase('leases');
  database = openDatabase({ url: home.url });
  await database.pool.query(readFileSync(new URL('../sql/common.sql', import.meta.url), 'utf8'));
  await database.pool.query(
    'CREATE TABLE step (n bigserial, lease text, replica text, token int, at timestamptz DEFAULT clock_timestamp())',
  );
});
beforeEach(() => database.pool.query('TRUNCATE step, lease, replica'));
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  await Promise.all(open.splice(0).map((leases) => leases.stop()));
});
afterAll(async () => {
  await database.close();
  await home.drop();
});

async function replica(name: string, names: readonly string[]): Promise<ChildProcess> {
  const told: HolderTold = { url: home.url, replica: name, names };
  const child = fork(fileURLToPath(new URL('./support/lease-holder.ts', import.meta.url)), [JSON.stringify(told)], {
    execArgv: ['--conditions=source', '--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  children.push(child);
  await once(child, 'message');
  return child;
}

/** Who worked under each lease within the last moments. */
async function workers(names: readonly string[]): Promise<string[]> {
  const { rows } = await database.pool.query<{ lease: string; replicas: string }>(
    `SELECT lease, string_agg(DISTINCT replica, '+') AS replicas FROM step WHERE at > now() - interval '150 ms' GROUP BY lease`,
  );
  const by = new Map(rows.map(({ lease, replicas }) => [lease, replicas]));
  return names.map((name) => by.get(name) ?? 'nobody');
}

const countOf = (all: readonly string[], who: string): number => all.filter((one) => one === who).length;

describe('work that one replica does at a time', () => {
  const names = Array.from({ length: 16 }, (_, n) => `part ${n.toString(16)}`);

  it('is spread evenly over those that live, also when one comes and one is told to stop', async () => {
    await replica('a', names);
    await eventually(async () => expect(countOf(await workers(names), 'a')).toBe(16), HANDOVER_MS);
    const second = await replica('a-2', names);
    await eventually(async () => {
      const all = await workers(names);
      expect([countOf(all, 'a'), countOf(all, 'a-2')]).toEqual([8, 8]);
    }, HANDOVER_MS);
    second.kill('SIGTERM');
    await eventually(async () => expect(countOf(await workers(names), 'a')).toBe(16), HANDOVER_MS);
  }, 40_000);

  it('goes on at another one within five seconds of a death', async () => {
    const first = await replica('a', names);
    await replica('a-2', names);
    await eventually(async () => expect(countOf(await workers(names), 'a-2')).toBe(8), HANDOVER_MS);
    first.kill('SIGKILL');
    await eventually(async () => expect(countOf(await workers(names), 'a-2')).toBe(16), HANDOVER_MS);
  }, 40_000);

  it('is not gone on with by a process that was paused for longer than its lease', async () => {
    const first = await replica('a', names);
    await replica('a-2', names);
    await eventually(async () => expect(countOf(await workers(names), 'a')).toBe(8), HANDOVER_MS);
    first.kill('SIGSTOP');
    await eventually(async () => expect(countOf(await workers(names), 'a-2')).toBe(16), HANDOVER_MS);
    first.kill('SIGCONT');
    await eventually(async () => expect(countOf(await workers(names), 'a')).toBe(8), 2 * HANDOVER_MS);
    // Of each lease: a step that was on its way when the process was paused may come late, and no second one.
    const { rows } = await database.pool.query<{ late: number }>(
      `SELECT count(*)::int AS late FROM step s WHERE token < (SELECT max(token) FROM step o WHERE o.lease = s.lease AND o.n < s.n)
       GROUP BY lease`,
    );
    for (const { late } of rows) expect(late).toBeLessThanOrEqual(1);
  }, 60_000);
});

describe('leases of a process', () => {
  function own(pool = database.pool, ttlMs = 600): Leases {
    const leases = createLeases({ pool, replica: 'own', logger, everyMs: 100, ttlMs });
    open.push(leases);
    return leases;
  }
  const untilEnd = (lease: Lease): Promise<void> =>
    new Promise((resolve) => lease.signal.addEventListener('abort', () => resolve()));

  it('end when the database cannot be reached for longer than they last, and come back as new ones', async () => {
    const pool = openPool({ url: home.url, maxConnections: 2 });
    const real = pool.query.bind(pool) as (...args: unknown[]) => Promise<unknown>;
    let isAway = false;
    Object.assign(pool, {
      query: (...args: unknown[]) => (isAway ? Promise.reject(new Error('away')) : real(...args)),
    });
    const leases = own(pool);
    const tokens: number[] = [];
    let working = 0;
    leases.share(['only'], async (lease) => {
      tokens.push(lease.token);
      working += 1;
      await untilEnd(lease);
      expect(lease.isHeld()).toBe(false);
      working -= 1;
    });
    await leases.start();
    await eventually(async () => expect(working).toBe(1), 2_000);
    isAway = true;
    await eventually(async () => expect(working).toBe(0), 2_000);
    isAway = false;
    await eventually(async () => expect(working).toBe(1), 3_000);
    expect(tokens).toEqual([1, 2]);
    await leases.stop();
    await pool.end();
  });

  it('are not brought back by an answer that comes too late', async () => {
    const pool = openPool({ url: home.url, maxConnections: 2 });
    const real = pool.query.bind(pool) as (...args: unknown[]) => Promise<unknown>;
    let delayMs = 0;
    const slow = async (...args: unknown[]): Promise<unknown> => {
      const answer = await real(...args);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      return answer;
    };
    Object.assign(pool, { query: slow });
    const leases = own(pool);
    const seen: Lease[] = [];
    leases.share(['only'], (lease) => {
      seen.push(lease);
      return untilEnd(lease);
    });
    await leases.start();
    await eventually(async () => expect(seen).toHaveLength(1), 2_000);
    delayMs = 900;
    await eventually(async () => expect(seen[0]!.isHeld()).toBe(false), 3_000);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(seen[0]!.isHeld()).toBe(false);
    delayMs = 0;
    await eventually(async () => expect(seen.at(-1)!.isHeld()).toBe(true), 3_000);
    expect(seen.at(-1)).not.toBe(seen[0]);
    await leases.stop();
    await pool.end();
  });

  it('go to who is able to do the work, and are shared when nobody is', async () => {
    const able = [true, true];
    const names = ['a', 'b', 'c', 'd'];
    const held: string[][] = [[], []];
    const both = [0, 1].map((n) => {
      const leases = createLeases({ pool: database.pool, replica: `r${n}`, logger, everyMs: 50, ttlMs: 600 });
      open.push(leases);
      const work = async (lease: Lease): Promise<void> => {
        held[n]!.push(lease.name);
        await untilEnd(lease);
        held[n] = held[n]!.filter((name) => name !== lease.name);
      };
      leases.share(names, work, () => able[n]!);
      return leases;
    });
    await Promise.all(both.map((leases) => leases.start()));
    const counts = (): number[] => held.map((those) => those.length);
    await eventually(async () => expect(counts()).toEqual([2, 2]), 3_000);
    able[0] = false;
    await eventually(async () => expect(counts()).toEqual([0, 4]), 3_000);
    able[1] = false;
    await eventually(async () => expect(counts()).toEqual([2, 2]), 3_000);
    able[0] = true;
    await eventually(async () => expect(counts()).toEqual([4, 0]), 3_000);
  });

  it('cost an idle replica one statement a heartbeat, which answers whatever was asked', async () => {
    const pool = openPool({ url: home.url, maxConnections: 2 });
    const real = pool.query.bind(pool) as (...args: unknown[]) => Promise<unknown>;
    let statements = 0;
    Object.assign(pool, { query: (...args: unknown[]) => ((statements += 1), real(...args)) });
    const leases = own(pool, 3_000);
    const answers: boolean[][] = [[], []];
    ['EXISTS (SELECT FROM step)', `EXISTS (SELECT FROM replica WHERE name = 'own')`].forEach((sql, i) =>
      leases.ask({ name: `q${i}`, sql, onAnswer: (isTrue) => answers[i]!.push(isTrue) }),
    );
    leases.share(
      Array.from({ length: 16 }, (_, n) => `idle ${n}`),
      untilEnd,
    );
    await leases.start();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const [before, beats] = [statements, answers[0]!.length];
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    // One may have been sent and not yet answered.
    expect(statements - before).toBeLessThanOrEqual(answers[0]!.length - beats + 1);
    expect(answers[0]!.length - beats).toBeGreaterThan(2);
    expect(new Set(answers[0])).toEqual(new Set([false]));
    expect(new Set(answers[1])).toEqual(new Set([true]));
    await leases.stop();
    await pool.end();
  });
});
