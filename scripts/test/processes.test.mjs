import { fork, spawn } from 'node:child_process';
import { createPublicKey, verify } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mayEnter, passwdEntry, reachable } from '../lib/data-folder.mjs';
import { developmentTokens, keysOf, newKeys, people } from '../lib/keys.mjs';
import { tryLock } from '../lib/lock.mjs';
import { instancesOf, processNames, replicasOf, serviceOf } from '../lib/names.mjs';
import { end, identify, isAlive, parseStat } from '../lib/pids.mjs';
import { environmentOf, inherited, processUnit } from '../lib/processes.mjs';
import { databaseUrl } from '../lib/servers/users.mjs';
import { Supervisor, restartDelay } from '../lib/supervisor.mjs';

let folder;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'processes-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const sleeper = () => spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });

async function eventually(check) {
  const limit = Date.now() + 10_000;
  while (!(await check())) {
    if (Date.now() > limit) throw new Error('it did not come to pass');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('a pid', () => {
  it('is read with its start time, whatever the command calls itself', () => {
    const tail = Array.from({ length: 19 }, (_, index) => index + 1).join(' ');
    expect(parseStat(`42 (a) b (c) Z ${tail} 777`)).toEqual({ state: 'Z', started: '19' });
  });

  it('counts as gone when another process has it now', () => {
    const self = identify(process.pid);
    expect(isAlive(self)).toBe(true);
    expect(isAlive({ ...self, started: '1' })).toBe(false);
    expect(isAlive(null)).toBe(false);
  });

  it('counts as gone when it is a zombie that nobody has fetched', async () => {
    // The shell leaves its child unfetched while it sleeps.
    const script = 'sleep 0.01 & echo $!; exec sleep 30';
    const parent = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
    const pid = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)));
    await eventually(() => identify(pid) === null);
    expect(() => process.kill(pid, 0)).not.toThrow();
    parent.kill('SIGKILL');
  });

  it('is ended by SIGKILL when its owner does not heed the signal', async () => {
    const child = spawn(process.execPath, [
      '-e',
      "process.on('SIGTERM', () => {}); console.log(1); setInterval(() => {}, 1000)",
    ]);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const identity = identify(child.pid);
    await end(identity, 'SIGTERM', 100);
    expect(isAlive(identity)).toBe(false);
  });
});

describe('a lock', () => {
  it('is refused while its holder lives, and taken over from a dead one', async () => {
    const file = join(folder, 'a.lock');
    const child = sleeper();
    writeFileSync(file, JSON.stringify(identify(child.pid)));
    expect(tryLock(file)).toBeNull();
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    const release = tryLock(file);
    expect(tryLock(file)).toBeNull();
    release();
    expect(tryLock(file)).not.toBeNull();
  });

  it.each([['is free'], ['a dead one has left']])(
    'is never given to two who ask in the same moment when it %s',
    async (what) => {
      const file = join(folder, 'a.lock');
      const source = `import { tryLock } from ${JSON.stringify(new URL('../lib/lock.mjs', import.meta.url).href)};
        process.on('message', (at) => {
          while (Date.now() < at);
          process.send(tryLock(${JSON.stringify(file)}) !== null);
        });`;
      const asker = join(folder, 'asker.mjs');
      writeFileSync(asker, source);
      const askers = [fork(asker), fork(asker)];
      const answers = [];
      for (let round = 0; round < 60; round++) {
        rmSync(file, { force: true });
        if (what !== 'is free') writeFileSync(file, JSON.stringify({ pid: 1, started: 'never' }));
        const at = Date.now() + 5;
        const both = askers.map((one) => new Promise((resolve) => one.once('message', resolve).send(at)));
        answers.push((await Promise.all(both)).filter(Boolean).length);
      }
      for (const one of askers) one.kill();
      expect(answers).toEqual(answers.map(() => 1));
    },
    20_000,
  );
});

describe('the supervisor', () => {
  const unit = (name, code, more = {}) => ({
    name,
    kind: 'process',
    program: { command: process.execPath, args: ['-e', code], cwd: folder, env: process.env },
    ready: { how: 'tcp', port: 1 },
    stop: { signal: 'SIGTERM', ms: 1_000 },
    describe: {},
    ...more,
  });
  const forever = 'setInterval(() => {}, 1000)';

  it('never waits so long before a restart that 5 s would pass', () => {
    expect([0, 1, 2, 3].map(restartDelay)).toEqual([100, 200, 400, 800]);
    expect(restartDelay(50)).toBeLessThanOrEqual(3_000);
  });

  it('brings a killed process back, and keeps one down that was stopped', async () => {
    const supervisor = new Supervisor({ folder });
    supervisor.add(unit('one', forever));
    const pid = supervisor.kill('one');
    await eventually(() => supervisor.pid('one') !== null && supervisor.pid('one') !== pid);
    await supervisor.stop('one');
    expect(supervisor.pid('one')).toBeNull();
    supervisor.start('one');
    expect(supervisor.pid('one')).not.toBeNull();
    await supervisor.close();
    expect(JSON.parse(readFileSync(join(folder, 'pids.json'), 'utf8'))).toEqual([]);
  });

  it('says what a process wrote that dies again and again', async () => {
    const supervisor = new Supervisor({ folder });
    supervisor.add(unit('bad', "console.error('PORT is missing'); process.exit(1)"));
    await expect(supervisor.ready('bad')).rejects.toThrow('PORT is missing');
    await supervisor.close();
  });

  it('stops the gateway first, then the services, then the servers', async () => {
    const supervisor = new Supervisor({ folder });
    supervisor.add(unit('redis', forever, { kind: 'server' }));
    for (const name of ['catalog', 'gateway']) supervisor.add(unit(name, forever));
    const order = [];
    await supervisor.close((names) => order.push(names));
    expect(order).toEqual([['gateway'], ['catalog'], ['redis']]);
  });

  it("leaves somebody else's server alone", async () => {
    const supervisor = new Supervisor({ folder });
    supervisor.add(unit('nats', '', { program: null, kind: 'server' }));
    await expect(supervisor.stop('nats')).rejects.toThrow('was not started here');
    await supervisor.close();
  });
});

describe('the processes of a system', () => {
  it('are one of each, and with replicas so many of each service and one gateway', () => {
    expect(instancesOf()).toEqual(processNames);
    const two = instancesOf(2);
    expect(two).toHaveLength(11);
    expect(two.slice(0, 4)).toEqual(['versioning', 'versioning-2', 'content', 'content-2']);
    expect(two.at(-1)).toBe('gateway');
    expect(new Set(two.map(serviceOf))).toEqual(new Set(processNames));
    expect(replicasOf('catalog', 3)).toEqual(['catalog', 'catalog-2', 'catalog-3']);
  });
});

describe('the environment of a process', () => {
  const ports = {
    gateway: 8080,
    catalog: 21_000,
    'catalog-ops': 21_001,
    'gateway-ops': 21_002,
    content: 1,
    review: 2,
    versioning: 3,
    deployment: 4,
  };
  const servers = {
    postgres: 'postgresql://u:p@h:5432/postgres?sslmode=require',
    mongodb: 'mongodb://h/coursewright',
    redis: 'redis://h',
    nats: 'nats://h',
  };
  const system = { ports, servers, keys: newKeys(), data: '/d', env: { PATH: '/bin', npm_config_x: '1', PORT: '99' } };

  it('names its own database, ports and key, and every public key', () => {
    const env = environmentOf('catalog', system);
    expect(env).toMatchObject({ PORT: '21000', OPS_PORT: '21001', HOST: '127.0.0.1', CONTENT_ADDRESS: '127.0.0.1:1' });
    const { nats, postgres, opsToken } = system.keys;
    expect(env.DATABASE_URL).toBe(`postgresql://cw_catalog:${postgres.catalog}@h:5432/cw_catalog?sslmode=require`);
    expect(env.NATS_URL).toBe(`nats://catalog:${nats.catalog}@h`);
    expect(env.OPS_TOKEN).toBe(opsToken);
    expect(JSON.parse(env.INTERNAL_TOKEN_KEY)).toMatchObject({ kid: 'catalog', kty: 'OKP', d: expect.any(String) });
    const publicKeys = JSON.parse(env.INTERNAL_TOKEN_JWKS).keys;
    expect(publicKeys.map(({ kid }) => kid)).toEqual(processNames);
    expect(publicKeys.filter(({ d }) => d)).toEqual([]);
  });

  it('of a second replica is that of the first, but for its name, its ports and its log', () => {
    const ports2 = { ...ports, 'catalog-2': 22_000, 'catalog-2-ops': 22_001, 'content-2': 7 };
    const two = { ...system, ports: ports2, replicas: 2 };
    const [first, second] = ['catalog', 'catalog-2'].map((name) => environmentOf(name, two));
    expect(first).toMatchObject({ INSTANCE: 'catalog', PORT: '21000', CONTENT_ADDRESS: '127.0.0.1:1,127.0.0.1:7' });
    expect(second).toEqual({ ...first, INSTANCE: 'catalog-2', PORT: '22000', OPS_PORT: '22001' });
    expect(environmentOf('content-2', two)).toMatchObject({ DATA_DIR: '/d/content', PORT: '7' });
    const unit = processUnit('catalog-2', two);
    expect(unit).toMatchObject({ name: 'catalog-2', describe: { grpc: '127.0.0.1:22000' } });
    expect(unit.alive.url).toBe('http://127.0.0.1:22001/livez');
    expect(unit.program.args).toEqual(processUnit('catalog', two).program.args);
  });

  it('keeps from each what is not its own', () => {
    expect(environmentOf('catalog', system)).not.toHaveProperty('MONGODB_URL');
    expect(environmentOf('catalog', system)).not.toHaveProperty('CURSOR_KEY');
    expect(environmentOf('gateway', system)).not.toHaveProperty('DATABASE_URL');
    expect(environmentOf('content', system)).toMatchObject({ MONGODB_URL: servers.mongodb, DATA_DIR: '/d/content' });
    expect(environmentOf('review', system)).not.toHaveProperty('REDIS_URL');
  });

  it("does not hold the caller's own credentials for the servers", () => {
    const env = {
      POSTGRES_URL: 'postgresql://owner:secret@h/x',
      REVIEW_DATABASE_URL: 'postgresql://review:secret@h/x',
      TEST_NATS_URL: 'nats://admin:secret@h',
      MONGODB_URL: 'mongodb://secret@h',
      PGPASSWORD: 'secret',
    };
    for (const name of processNames) {
      expect(JSON.stringify(environmentOf(name, { ...system, env }))).not.toContain('secret');
    }
  });

  it('takes servers named by the caller as they are, and databases as he names them', () => {
    const env = { CATALOG_DATABASE_URL: 'postgresql://mine:p@db/cat' };
    const own = { ...system, foreign: ['postgres', 'nats'], env };
    expect(environmentOf('catalog', own)).toMatchObject({
      DATABASE_URL: env.CATALOG_DATABASE_URL,
      NATS_URL: 'nats://h',
    });
    expect(environmentOf('review', own).DATABASE_URL).toContain('//cw_review:');
  });

  it('holds its memory limit, of which most is for its heap', () => {
    const { program, alive } = processUnit('content', { ...system, ports: { ...ports, 'content-ops': 5 } });
    expect(program.args.slice(0, 2)).toEqual(['--max-old-space-size=307', '--max-semi-space-size=16']);
    expect(program.env.MEMORY_LIMIT_MIB).toBe('512');
    expect(alive.url).toBe('http://127.0.0.1:5/livez');
  });

  it('trusts the development issuer only while no other one is named', () => {
    expect(environmentOf('gateway', system)).toMatchObject({
      DEV_ISSUER: 'true',
      AUTH_ISSUER: 'coursewright-development',
    });
    const own = { ...system, env: { AUTH_JWKS: 'https://id.example/jwks', AUTH_ISSUER: 'https://id.example' } };
    expect(environmentOf('gateway', own)).toMatchObject({ DEV_ISSUER: 'false', AUTH_JWKS: 'https://id.example/jwks' });
  });

  it('takes from the caller all but what npm, Jest and his Node put there', () => {
    const env = {
      PATH: '/bin',
      LANG: 'C',
      npm_config_x: '1',
      JEST_WORKER_ID: '1',
      NODE_OPTIONS: '--inspect',
      NODE_ENV: 'test',
    };
    expect(inherited(env)).toEqual({ PATH: '/bin', LANG: 'C' });
  });

  it('has a database of the same server for every service', () => {
    expect(databaseUrl('postgresql://127.0.0.1:5/x', 'review')).toBe('postgresql://127.0.0.1:5/cw_review');
  });
});

describe('development keys and tokens', () => {
  it('are made once, in a file for the owner alone', () => {
    const file = join(folder, 'keys.json');
    const keys = keysOf(file);
    expect(keysOf(file)).toEqual(keys);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('are added to a file of an earlier version, whose own keys stay', () => {
    const file = join(folder, 'keys.json');
    const { internal, issuer, cursor } = newKeys();
    writeFileSync(file, JSON.stringify({ internal, issuer, cursor }));
    const keys = keysOf(file);
    expect(keys).toMatchObject({ internal, issuer, cursor, nats: { catalog: expect.any(String) } });
    expect(keysOf(file)).toEqual(keys);
  });

  it('say who is who, signed by the issuer, for 30 days', () => {
    const keys = newKeys();
    const tokens = developmentTokens(keys, { now: 1_000_000 });
    expect(Object.keys(tokens)).toEqual(Object.keys(people));
    const [head, body, signature] = tokens.author.split('.');
    const { x } = keys.issuer;
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    expect(verify(null, Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))).toBe(true);
    expect(JSON.parse(Buffer.from(body, 'base64url'))).toMatchObject({
      sub: 'dev-author',
      roles: ['author'],
      iss: 'coursewright-development',
      aud: 'coursewright',
      exp: 1_000 + 30 * 86_400,
    });
  });
});

describe('the data folder', () => {
  const user = { uid: 101, gid: 104 };

  it('can be reached only when every folder above it lets the user in', () => {
    const modes = { '/': 0o755, '/root': 0o700, '/root/cw': 0o755, '/srv': 0o755 };
    const stat = (path) => ({ uid: 0, gid: 0, mode: modes[path] });
    expect(reachable('/srv', user, stat)).toBe(true);
    expect(reachable('/root/cw', user, stat)).toBe(false);
  });

  it('judges by the rights of owner, group or others, whichever the user is', () => {
    expect(mayEnter({ uid: 101, gid: 0, mode: 0o611 }, user)).toBe(false);
    expect(mayEnter({ uid: 0, gid: 104, mode: 0o710 }, user)).toBe(true);
    expect(mayEnter({ uid: 0, gid: 0, mode: 0o770 }, user)).toBe(false);
  });

  it('finds a user by his whole name', () => {
    const text = 'root:x:0:0::/root:/bin/sh\npostgres2:x:7:7::/:/bin/sh\npostgres:x:101:104::/:/bin/sh\n';
    expect(passwdEntry(text, 'postgres')).toEqual({ name: 'postgres', uid: 101, gid: 104 });
    expect(passwdEntry(text, 'nobody')).toBeNull();
  });
});
