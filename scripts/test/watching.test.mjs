// What hangs is brought back, and nobody is left in doubt when the supervisor itself is gone.
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ask } from '../lib/control.mjs';
import { dataFolder } from '../lib/data-folder.mjs';
import { newKeys } from '../lib/keys.mjs';
import { endLeftovers } from '../lib/leftovers.mjs';
import { requireFrom, root } from '../lib/paths.mjs';
import { gone, identify } from '../lib/pids.mjs';
import { passingPorts } from '../lib/ports.mjs';
import { isReady } from '../lib/ready.mjs';
import { isRunning, startSupervisor } from '../lib/running.mjs';
import { serverUnits } from '../lib/servers/choose.mjs';
import { statusOf } from '../lib/status.mjs';
import { Supervisor } from '../lib/supervisor.mjs';
import { watchLife } from '../lib/watch.mjs';

let folder;
let ports;
beforeEach(async () => {
  folder = mkdtempSync(join(process.env.TEST_DIR ?? tmpdir(), 'system-'));
  chmodSync(folder, 0o755);
  ports = await passingPorts();
});
afterEach(async () => {
  await endLeftovers(folder, { hard: true });
  rmSync(folder, { recursive: true, force: true });
});

async function eventually(check, ms = 20_000) {
  const limit = Date.now() + ms;
  while (!(await check())) {
    if (Date.now() > limit) throw new Error('it did not come to pass');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A process that answers on the port, as soon as it is told that it may start. */
const answering = (port, code = '') => ({
  name: 'catalog',
  kind: 'process',
  program: {
    command: process.execPath,
    args: ['-e', `${code};require('http').createServer((_, r) => r.end()).listen(${port}, '127.0.0.1')`],
    cwd: folder,
    env: process.env,
  },
  ready: { how: 'http', url: `http://127.0.0.1:${port}/readyz` },
  alive: { how: 'live', url: `http://127.0.0.1:${port}/livez` },
  stop: { signal: 'SIGTERM', ms: 1_000 },
  describe: { url: `http://127.0.0.1:${port}` },
});

describe('a process that hangs', () => {
  it('is killed and brought back, and its log says so', async () => {
    const supervisor = new Supervisor({ folder, watch: { everyMs: 50 } });
    supervisor.add(answering(ports.catalog));
    await supervisor.ready('catalog');
    const pid = supervisor.pid('catalog');
    // It has to have been heard once before silence means anything.
    await new Promise((resolve) => setTimeout(resolve, 200));
    process.kill(pid, 'SIGSTOP');
    await eventually(() => supervisor.pid('catalog') !== null && supervisor.pid('catalog') !== pid);
    await supervisor.ready('catalog');
    expect(supervisor.state().catalog.restarts).toBe(1);
    expect(readFileSync(join(folder, 'log/catalog.log'), 'utf8')).toContain(`catalog (${pid}) hangs and is killed`);
    await supervisor.close();
  }, 40_000);

  it('is one after ten seconds of silence: five questions, two seconds apart', async () => {
    const times = [];
    const ask = async () => times.push(Date.now()) === 1;
    await new Promise((hung) => watchLife({}, { ask, hung }));
    const [heard, ...silent] = times;
    expect(silent).toHaveLength(5);
    expect(silent.at(-1) - heard).toBeGreaterThan(9_500);
    expect(silent.at(-1) - heard).toBeLessThan(13_000);
  }, 20_000);

  it('is not one while it starts, however long that takes', async () => {
    const supervisor = new Supervisor({ folder, watch: { everyMs: 20 } });
    supervisor.add(answering(ports.catalog, 'const end = Date.now() + 1500; while (Date.now() < end);'));
    await supervisor.ready('catalog');
    expect(supervisor.state().catalog.restarts).toBe(0);
    await supervisor.close();
  });

  it('is not one while it is being stopped', async () => {
    const supervisor = new Supervisor({ folder, watch: { everyMs: 20 } });
    const code =
      "process.on('SIGTERM', () => { const end = Date.now() + 700; while (Date.now() < end); process.exit(0); })";
    supervisor.add(answering(ports.catalog, code));
    await supervisor.ready('catalog');
    await supervisor.stop('catalog');
    expect(readFileSync(join(folder, 'log/catalog.log'), 'utf8')).not.toContain('hangs');
    await supervisor.close();
  });
});

describe('a process that is started by hand while it waits to be brought back', () => {
  it('runs once', async () => {
    const supervisor = new Supervisor({ folder });
    const note = join(folder, 'starts');
    const unit = answering(ports.catalog, `require('fs').appendFileSync(${JSON.stringify(note)}, process.pid + '\\n')`);
    supervisor.add(unit);
    await supervisor.ready('catalog');
    const pid = supervisor.kill('catalog');
    await eventually(() => supervisor.pid('catalog') === null);
    supervisor.start('catalog');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const started = readFileSync(note, 'utf8').trim().split('\n').map(Number);
    expect(started).toHaveLength(2);
    expect(started).toEqual([pid, supervisor.pid('catalog')]);
    await supervisor.close();
    expect(started.filter((one) => identify(one) !== null)).toEqual([]);
  });

  it('is not started while everything is being stopped', async () => {
    const supervisor = new Supervisor({ folder });
    supervisor.add(answering(ports.catalog));
    const slow = "process.on('SIGTERM', () => setTimeout(() => process.exit(0), 500))";
    supervisor.add({ ...answering(ports.content, slow), name: 'content' });
    await Promise.all([supervisor.ready('catalog'), supervisor.ready('content')]);
    const closing = supervisor.close();
    await eventually(() => supervisor.pid('catalog') === null);
    expect(() => supervisor.start('catalog')).toThrow('the system is stopping');
    await closing;
    expect(supervisor.pid('catalog')).toBeNull();
  });
});

describe('data servers that hang', () => {
  it.each([['redis'], ['nats'], ['mongodb']])(
    '%s is brought back',
    async (name) => {
      const tools = join(dataFolder(), 'tools');
      const units = await serverUnits({ dir: folder, tools, ports, keys: newKeys(), fsync: false, names: [name] });
      // A real mongod may be busy with its journal for long, and is left to itself.
      if (name === 'mongodb' && !units[0].describe.standIn) {
        console.warn('not tried: this machine has a real mongod');
        return;
      }
      expect(units[0].alive).toBeDefined();
      const supervisor = new Supervisor({ folder, watch: { everyMs: 50 } });
      supervisor.add(units[0]);
      await supervisor.ready(name);
      const pid = supervisor.pid(name);
      await new Promise((resolve) => setTimeout(resolve, 300));
      process.kill(pid, 'SIGSTOP');
      await eventually(() => supervisor.pid(name) !== null && supervisor.pid(name) !== pid);
      await supervisor.ready(name);
      await supervisor.close();
    },
    60_000,
  );

  it('PostgreSQL is left alone: recovery is silence, too', async () => {
    const tools = join(dataFolder(), 'tools');
    const units = await serverUnits({ dir: folder, tools, ports, keys: newKeys(), fsync: false, names: ['postgres'] });
    expect(units[0].alive).toBeUndefined();
  }, 30_000);
});

describe('the stand-in for MongoDB', () => {
  it('ends when it runs out of memory, so that it is brought back and takes writes again', async () => {
    const tools = join(dataFolder(), 'tools');
    const [unit] = await serverUnits({ dir: folder, tools, ports, keys: newKeys(), names: ['mongodb'] });
    if (!unit.describe.standIn) {
      console.warn('not tried: this machine has a real mongod');
      return;
    }
    const args = unit.program.args.map((arg) => (arg.startsWith('-Xmx') ? '-Xmx24m' : arg));
    const supervisor = new Supervisor({ folder });
    supervisor.add({ ...unit, program: { ...unit.program, args } });
    await supervisor.ready('mongodb');
    const pid = supervisor.pid('mongodb');
    const { MongoClient } = requireFrom('services/content', 'mongodb');
    const client = new MongoClient(unit.describe.url, { retryWrites: false, serverSelectionTimeoutMS: 2_000 });
    const bodies = client.db('coursewright').collection('bodies');
    const fill = async () => {
      const text = 'x'.repeat(8 * 1024 * 1024);
      const limit = Date.now() + 30_000;
      for (let n = 0; supervisor.pid('mongodb') === pid && Date.now() < limit; n++)
        await Promise.all([1, 2, 3].map((k) => bodies.insertOne({ _id: `${n}-${k}`, text }).catch(() => undefined)));
    };
    await fill();
    await eventually(() => isReady(unit.ready), 30_000);
    expect(supervisor.state().mongodb.restarts).toBeGreaterThan(0);
    await bodies.insertOne({ _id: 'afterwards' });
    await client.close();
    await supervisor.close();
  }, 90_000);
});

describe('when the supervisor is gone', () => {
  it('status says so and what still runs, the process says so in its log, and the next start takes over', async () => {
    const { supervisor, child } = await startSupervisor(folder, ports.control);
    const source = `import { createLogger } from '@coursewright/platform/logger';
      import { run } from '@coursewright/platform/run';
      await run([], process, createLogger('catalog', 'info'));
      (await import('node:http')).createServer((_, r) => r.end()).listen(${ports.catalog}, '127.0.0.1');`;
    const unit = answering(ports.catalog);
    const flags = ['--conditions=source', '--import', 'tsx', '--input-type=module', '-e', source];
    const env = { PATH: process.env.PATH };
    await ask(supervisor, 'add', {
      units: [{ ...unit, program: { ...unit.program, args: flags, cwd: join(root, 'platform'), env } }],
    });
    await ask(supervisor, 'ready', { names: ['catalog'], ms: 20_000 });
    expect((await statusOf(folder)).up).toBe(true);
    const { pid } = (await ask(supervisor, 'state')).units.catalog;
    const log = () => readFileSync(join(folder, 'log/catalog.log'), 'utf8');
    expect(log()).not.toContain('supervisor is gone');

    child.kill('SIGKILL');
    await gone(supervisor, 5_000);
    await eventually(() => log().includes('the supervisor is gone'));
    const { text, up } = await statusOf(folder);
    expect(up).toBe(false);
    expect(text).toContain('The supervisor is gone');
    expect(text).toContain(`catalog (${pid})`);
    expect(await isReady(unit.ready)).toBe(true);
    expect(isRunning(folder)).toBe(true);

    expect(await endLeftovers(folder)).toEqual(['catalog']);
    expect(identify(pid)).toBeNull();
    const again = await startSupervisor(folder, ports.control);
    await ask(again.supervisor, 'add', { units: [unit] });
    await ask(again.supervisor, 'ready', { names: ['catalog'], ms: 20_000 });
    await ask(again.supervisor, 'close');
    await gone(again.supervisor, 5_000);
    expect((await statusOf(folder)).text).toBe('Not running.');
  }, 60_000);
});
