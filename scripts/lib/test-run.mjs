// What surrounds a test run: a folder of its own, servers of its own, and nothing left behind.
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readJson, writeJson } from './files.mjs';
import { newKeys } from './keys.mjs';
import { endLeftovers } from './leftovers.mjs';
import { serverNames } from './names.mjs';
import { identify, isAlive, startTime } from './pids.mjs';
import { passingPorts } from './ports.mjs';
import { serverUnits } from './servers/choose.mjs';
import { which } from './servers/machine.mjs';
import { withUser } from './servers/users.mjs';
import { Supervisor } from './supervisor.mjs';

const SERVER_MS = 60_000;

/** Ends a process and all of its group: Jest and its workers. */
function endGroup(identity) {
  if (!isAlive(identity)) return;
  try {
    process.kill(-identity.pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/**
 * Ends whatever runs from a test folder: Jest first, as a system that a test has started would bring back what is ended
 * under it, then the servers of the run and the systems of its tests.
 */
async function sweep(folder) {
  endGroup(readJson(join(folder, 'jest.json')));
  const below = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.name.startsWith('system-'));
  for (const { name } of below) await endLeftovers(join(folder, name), { hard: true });
  await endLeftovers(folder, { hard: true });
}

/** Removes what test runs left that were killed. */
export async function removeOldRuns(data) {
  for (const name of readdirSync(data).filter((entry) => entry.startsWith('test-'))) {
    const folder = join(data, name);
    const record = readJson(join(folder, 'run.json'));
    // Without a record the run may have begun this very moment.
    if (record ? isAlive(record) : startTime(Number(name.slice('test-'.length)))) continue;
    await sweep(folder);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A folder for this run below the data folder: `{folder, remove}`. */
export function newRun(data) {
  const folder = join(data, `test-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  writeJson(join(folder, 'run.json'), identify(process.pid));
  return {
    folder,
    /** Notes the process that runs the tests, the leader of a group of its own. */
    noteJest: (pid) => writeJson(join(folder, 'jest.json'), identify(pid)),
    async remove() {
      await sweep(folder);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * Starts the data servers of a run, except those that TEST_POSTGRES_URL and its like name already, and resolves to
 * `{env, close, chosen}`: what tests find in their environment, and how to stop the servers.
 */
export async function startTestServers({ folder, data, env, names: wanted = serverNames, note }) {
  const names = wanted.filter((name) => !env[`TEST_${name.toUpperCase()}_URL`]);
  const supervisor = new Supervisor({ folder });
  const ports = await passingPorts();
  const keys = newKeys();
  const units = await serverUnits({ dir: folder, tools: join(data, 'tools'), ports, keys, fsync: false, names, note });
  for (const unit of units) supervisor.add(unit);
  await Promise.all(units.map(({ name }) => supervisor.ready(name, SERVER_MS)));
  // Tests have services and streams of all names: they are the admin.
  const urlOf = ({ name, describe }) =>
    name === 'nats' ? withUser(describe.url, 'admin', keys.nats.admin) : describe.url;
  const urls = units.map((unit) => [`TEST_${unit.name.toUpperCase()}_URL`, urlOf(unit)]);
  const program = (name) => units.find((unit) => unit.name === name)?.program.command;
  const programs = {
    TEST_NATS_BIN: program('nats') ?? which('nats-server'),
    TEST_REDIS_BIN: program('redis') ?? which('redis-server'),
    TEST_POSTGRES_BIN: program('postgres') && dirname(program('postgres')),
  };
  const found = Object.entries(programs).filter(([, value]) => value);
  return {
    env: { TEST_DIR: folder, ...Object.fromEntries(urls), ...Object.fromEntries(found) },
    chosen: units.map(({ name, describe }) => `${name} ${describe.version}${describe.standIn ? ' (stand-in)' : ''}`),
    close: () => supervisor.close(),
  };
}
