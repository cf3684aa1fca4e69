// What docker-compose.yml promises, read as a file: each container gets its own secrets, its memory, and a question after its health.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { dataFolder } from '../lib/data-folder.mjs';
import { readJson } from '../lib/files.mjs';
import { newKeys } from '../lib/keys.mjs';
import { memoryFlags, memoryLimits } from '../lib/memory.mjs';
import { processNames, serviceNames } from '../lib/names.mjs';
import { requireFrom, root } from '../lib/paths.mjs';
import { passingPorts } from '../lib/ports.mjs';
import { serverUnits } from '../lib/servers/choose.mjs';
import { Supervisor } from '../lib/supervisor.mjs';

// The linter brings it along.
const yaml = requireFrom('node_modules/@eslint/eslintrc', 'js-yaml');
const { services } = yaml.load(readFileSync(join(root, 'docker-compose.yml'), 'utf8'));
const owner = (name) => JSON.stringify(services[name]).includes('POSTGRES_PASSWORD');

describe('the compose file', () => {
  it.each(processNames.map((name) => [name]))('gives %s its own secrets to read and nothing else', (name) => {
    const volumes = services[name].volumes.filter((volume) => volume !== 'content:/data');
    expect(volumes).toEqual([`secrets-${name}:/secrets/${name}:ro`]);
    expect(owner(name)).toBe(false);
    expect(services[name].environment.NATS_URL).toBe('nats://nats:4222');
  });

  it.each(serviceNames.map((name) => [name]))(
    'runs as many of %s as REPLICAS says, by one name, and one unless it is set',
    (name) => {
      expect(services[name].deploy.replicas).toBe('${REPLICAS:-1}');
      expect(services[name]).not.toHaveProperty('container_name');
      expect(services[name]).not.toHaveProperty('ports');
    },
  );

  it('runs one gateway, and one of each data server and job, whatever REPLICAS says', () => {
    const scaled = Object.keys(services).filter((name) => services[name].deploy.replicas !== undefined);
    expect(scaled.sort()).toEqual([...serviceNames].sort());
  });

  it('tells the owner of PostgreSQL to the server and to the setup only, and all keys to the setup only', () => {
    expect(Object.keys(services).filter(owner).sort()).toEqual(['postgres', 'setup']);
    const all = Object.keys(services).filter((name) => services[name].volumes?.some((one) => one.startsWith('keys:')));
    expect(all).toEqual(['setup']);
    expect(Object.keys(services).filter((name) => JSON.stringify(services[name]).includes('MONGODB_PASSWORD'))).toEqual(
      ['mongodb', 'content'],
    );
    expect(services.nats.command).toEqual(['-c', '/secrets/nats/nats.conf']);
  });

  it.each(processNames.map((name) => [name]))('holds %s to its memory, and its heap to a part of that', (name) => {
    expect(services[name].deploy.resources.limits.memory).toBe(`${memoryLimits[name]}M`);
    expect(services[name].environment.NODE_OPTIONS).toBe(memoryFlags(name).join(' '));
  });

  it('asks every process and server that others wait for whether it is ready, and bounds its memory', () => {
    const waitedFor = new Set(
      Object.values(services).flatMap(({ depends_on: on = {} }) =>
        Object.entries(on).flatMap(([name, { condition }]) => (condition === 'service_healthy' ? [name] : [])),
      ),
    );
    expect([...waitedFor].filter((name) => !services[name].healthcheck)).toEqual([]);
    expect(Object.keys(services).filter((name) => !services[name].deploy?.resources.limits.memory)).toEqual([]);
  });

  it('says the same limits as the README of each process', () => {
    for (const name of processNames) {
      const readme = readFileSync(join(root, name === 'gateway' ? name : `services/${name}`, 'README.md'), 'utf8');
      expect([name, readme]).toEqual([name, expect.stringContaining(`at most ${memoryLimits[name]} MiB of memory`)]);
    }
  });
});

describe('the setup of the containers', () => {
  let folder;
  let supervisor;
  let output;
  beforeAll(async () => {
    folder = mkdtempSync(join(process.env.TEST_DIR ?? tmpdir(), 'system-'));
    chmodSync(folder, 0o755);
    supervisor = new Supervisor({ folder });
    const tools = join(dataFolder(), 'tools');
    const options = { dir: folder, tools, ports: await passingPorts(), keys: newKeys(), fsync: false };
    const [unit] = await serverUnits({ ...options, names: ['postgres'] });
    supervisor.add(unit);
    await supervisor.ready('postgres');
    const env = {
      PATH: process.env.PATH,
      KEYS_FILE: join(folder, 'keys/keys.json'),
      SECRETS_DIR: join(folder, 'secrets'),
      POSTGRES_URL: unit.describe.url,
    };
    output = spawnSync(process.execPath, [join(root, 'scripts/container.mjs'), 'setup'], { env, encoding: 'utf8' });
  }, 90_000);
  afterAll(async () => {
    await supervisor.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('makes all keys once and gives each container what is its own', () => {
    expect([output.status, output.stderr]).toEqual([0, '']);
    const keys = readJson(join(folder, 'keys/keys.json'));
    const folders = readdirSync(join(folder, 'secrets')).sort();
    expect(folders).toEqual([...processNames, 'nats', 'ready'].sort());
    for (const name of [...processNames, 'ready']) {
      const text = readFileSync(join(folder, 'secrets', name, 'secrets.json'), 'utf8');
      const signs = name === 'ready' ? 'gateway' : name;
      const held = processNames.filter((one) => text.includes(keys.internal[one].d));
      expect([name, held]).toEqual([name, [signs]]);
      const passwords = [...Object.entries(keys.nats), ...Object.entries(keys.postgres)];
      const foreign = passwords.filter(([user, password]) => user !== name && text.includes(password));
      expect([name, foreign]).toEqual([name, []]);
    }
    const nats = readFileSync(join(folder, 'secrets/nats/nats.conf'), 'utf8');
    for (const user of [...processNames, 'subscriber', 'admin']) expect(nats).toContain(keys.nats[user]);
    for (const name of serviceNames) expect(nats).not.toContain(keys.postgres[name]);
  });
});
