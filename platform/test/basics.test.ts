import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { authorize, rolesOn, type Actor } from '@coursewright/platform/actor';
import { ConfigError, readConfig } from '@coursewright/platform/config';
import type { AppError } from '@coursewright/platform/errors';
import { errorKinds, toAppError } from '@coursewright/platform/errors';
import { idFromHash, idToBytes, isId, longId, newId, shortId } from '@coursewright/platform/ids';
import { createTokenMinter, createTokenVerifier } from '@coursewright/platform/internal-token';
import { collectProcessMetrics, registry } from '@coursewright/platform/metrics';
import { readiness } from '@coursewright/platform/ops';
import { startAll } from '@coursewright/platform/run';
import { createTestKeys } from '@coursewright/platform/testing/keys';

const person: Actor = { sub: 'ada', roles: [], grants: [{ course: 'c1', role: 'author' }] };

describe('ids', () => {
  it('come back from their short form', () => {
    fc.assert(
      fc.property(fc.uuid({ version: 7 }), (id) => {
        expect(longId(shortId(id))).toBe(id);
        expect(shortId(id)).toHaveLength(22);
        expect(idToBytes(id)).toHaveLength(16);
      }),
    );
  });

  it('made from a hash are shaped like any other', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (hash) => {
        expect(isId(idFromHash(hash))).toBe(true);
        expect(idFromHash(hash)).toBe(idFromHash(Uint8Array.from(hash)));
      }),
    );
  });

  it('are ordered by the time they were made', () => {
    const ids = Array.from({ length: 10_000 }, () => newId());
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.every(isId)).toBe(true);
  });

  it('stay in order, and differ, when the clock is set back', () => {
    const before = newId();
    const { now } = Date;
    try {
      Date.now = () => now() - 60_000;
      const after = Array.from({ length: 1_000 }, () => newId());
      expect([before, ...after].sort()).toEqual([before, ...after]);
      expect(new Set(after.map((id) => id.slice(-12))).size).toBe(after.length);
    } finally {
      Date.now = now;
    }
  });
});

describe('configuration', () => {
  it('tells all problems at once, without the values', () => {
    const read = (): unknown =>
      readConfig({ PORT: 'eighty', DATABASE_URL: 'http://secret@x' }, (reader) => ({
        port: reader.port('PORT'),
        url: reader.url('DATABASE_URL', ['postgresql:']),
        peer: reader.address('PEER_ADDRESS'),
        key: reader.json('KEY'),
      }));
    expect(read).toThrow(ConfigError);
    try {
      read();
    } catch (error) {
      const { problems, message } = error as ConfigError;
      expect(problems).toHaveLength(4);
      expect(message).not.toContain('secret');
    }
  });
});

describe('errors', () => {
  it('hide what was not meant to be told', () => {
    const known = toAppError(new Error('password=hunter2'));
    expect(known.kind).toBe('internal');
    expect(known.message).not.toContain('hunter2');
    expect((known.cause as Error).message).toContain('hunter2');
  });

  it('have a status from 400 for every kind', () => {
    for (const kind of Object.values(errorKinds)) expect(kind.status).toBeGreaterThanOrEqual(400);
  });
});

describe('authorize', () => {
  const code = (work: () => void): string => {
    try {
      work();
    } catch (error) {
      return (error as AppError).reason;
    }
    return 'passed';
  };

  it('keeps courses unknown to who has no role there, and says so to who has a lesser one', () => {
    expect(code(() => authorize(person, 'c2', () => true))).toBe('COURSE_NOT_FOUND');
    expect(code(() => authorize(person, 'c1', () => false))).toBe('FORBIDDEN');
    expect(code(() => authorize(person, 'c1', (roles) => roles.includes('author')))).toBe('passed');
  });

  it('makes a platform admin admin of every course, and nobody else', () => {
    expect(rolesOn({ ...person, roles: ['admin'] }, 'c9')).toEqual(['admin']);
    expect(rolesOn(person, 'c9')).toEqual([]);
  });
});

describe('internal tokens', () => {
  it('carry an actor from the gateway to a service', async () => {
    const keys = await createTestKeys(['gateway', 'content']);
    const minter = await createTokenMinter(keys.private['gateway']!);
    const verifier = createTokenVerifier(keys.public);
    expect(await verifier.verify(await minter.mint(person))).toEqual(person);
    expect(await minter.mint(person)).toBe(await minter.mint(person));
  });

  it('let a service speak for itself only', async () => {
    const keys = await createTestKeys(['gateway', 'content']);
    const minter = await createTokenMinter(keys.private['content']!);
    const verifier = createTokenVerifier(keys.public);
    expect((await verifier.verify(await minter.mintOwn({ sub: 'ada' }))).onBehalfOf).toEqual({ sub: 'ada' });
    await expect(verifier.verify(await minter.mint(person))).rejects.toMatchObject({
      reason: 'INTERNAL_TOKEN_INVALID',
    });
    const gateway = await createTokenMinter(keys.private['gateway']!);
    await expect(verifier.verify(await gateway.mint({ ...person, sub: 'service:content' }))).rejects.toMatchObject({
      reason: 'INTERNAL_TOKEN_INVALID',
    });
  });

  it('are refused when another key signed them or a letter was changed', async () => {
    const [ours, theirs] = [await createTestKeys(['gateway']), await createTestKeys(['gateway'])];
    const verifier = createTokenVerifier(ours.public);
    const foreign = await (await createTokenMinter(theirs.private['gateway']!)).mint(person);
    await expect(verifier.verify(foreign)).rejects.toMatchObject({ kind: 'unauthenticated' });
    const good = await (await createTokenMinter(ours.private['gateway']!)).mint(person);
    const [head, body, signature] = good.split('.') as [string, string, string];
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as { sub: string };
    const forged = Buffer.from(JSON.stringify({ ...claims, sub: 'eve' })).toString('base64url');
    await expect(verifier.verify(`${head}.${forged}.${signature}`)).rejects.toMatchObject({ kind: 'unauthenticated' });
  });
});

describe('start and stop', () => {
  it('stops what was started, in reverse, when a later part fails', async () => {
    const steps: string[] = [];
    const part = (name: string, fails = false) => ({
      name,
      start: async () => {
        steps.push(`start ${name}`);
        if (fails) throw new Error('no');
      },
      stop: async () => void steps.push(`stop ${name}`),
    });
    await expect(startAll([part('a'), part('b', true), part('c')])).rejects.toThrow('no');
    expect(steps).toEqual(['start a', 'start b', 'stop b', 'stop a']);
  });

  it('is ready, degraded or not by what is down', async () => {
    const check = (name: string, required: boolean, up: boolean) => ({ name, required, isUp: () => up });
    expect((await readiness([check('pg', true, true), check('nats', false, true)])).status).toBe('ready');
    expect((await readiness([check('pg', true, true), check('nats', false, false)])).status).toBe('degraded');
    const broken = { name: 'pg', required: true, isUp: () => Promise.reject(new Error('x')) };
    expect(await readiness([broken])).toEqual({ status: 'not_ready', checks: { pg: 'down' } });
  });
});

describe('the metric of stretches', () => {
  it('shows work that held the main thread, and no time in which it only waited', async () => {
    collectProcessMetrics('test');
    const above = async (seconds: string): Promise<number> => {
      const { values } = await registry.getSingleMetric('main_thread_stretch_seconds')!.get();
      const of = (le: string): number => values.find(({ labels }) => String(labels['le']) === le)?.value ?? 0;
      return of('+Inf') - of(seconds);
    };
    await new Promise((resolve) => setTimeout(resolve, 30));
    const before = await above('0.1');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await above('0.1')).toBe(before);
    const { user, system } = process.cpuUsage();
    while (process.cpuUsage().user + process.cpuUsage().system - user - system < 300_000);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(await above('0.1')).toBe(before + 1);
  });
});

describe('the lines of a log', () => {
  const program = (end: string): string =>
    `import { createLogger } from '@coursewright/platform/logger';
     const logger = createLogger('test');
     logger.info('first');
     setTimeout(() => { logger.info('last'); ${end} }, 1_000);`;

  it.each(['', 'process.exit(3);', "throw new Error('x');"])(
    'come soon, and the last ones however the process ends: "%s"',
    async (end) => {
      const options = ['--conditions=source', '--import', 'tsx', '--input-type=module', '-e', program(end)];
      const child = spawn(process.execPath, options, { stdio: ['ignore', 'pipe', 'ignore'], cwd: import.meta.dirname });
      const came: { readonly line: string; readonly at: number }[] = [];
      for await (const line of createInterface({ input: child.stdout })) came.push({ line, at: performance.now() });
      expect(came.map(({ line }) => (JSON.parse(line) as { msg: string }).msg)).toEqual(['first', 'last']);
      expect(came[1]!.at - came[0]!.at).toBeGreaterThan(500);
    },
    20_000,
  );
});
