// A whole system of its own, for tests and benchmarks: four data servers and all processes on ports and data of their
// own, in the hands of the caller, who may kill, stop, wipe and bring back any part of it.
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, generateClients } from './lib/build.mjs';
import { dataFolder } from './lib/data-folder.mjs';
import { developmentTokens, keysOf } from './lib/keys.mjs';
import { instancesOf, replicasOf, processNames, serverNames, serviceOf } from './lib/names.mjs';
import { passingPorts } from './lib/ports.mjs';
import { processUnit } from './lib/processes.mjs';
import { serverUnits } from './lib/servers/choose.mjs';
import { runtimeRoles } from './lib/servers/roles.mjs';
import { withUser } from './lib/servers/users.mjs';
import { Supervisor } from './lib/supervisor.mjs';

const READY_MS = 60_000;

/** A folder for one system: below that of the test run, which cleans up after it, or else below the temporary folder. */
function newFolder() {
  const folder = mkdtempSync(join(process.env.TEST_DIR ?? tmpdir(), 'system-'));
  // The database's user has to get in.
  chmodSync(folder, 0o755);
  return folder;
}

/**
 * Starts a system and resolves when all of it is ready. `dir` keeps its data (a new folder unless given; a given one is
 * kept at the end), `fsync` makes PostgreSQL durable against the machine (off: against its own death only), `env` goes to
 * every process and `settings[name]` to one (of a service: to each of its replicas that is not named itself), `replicas` says how many there are of each
 * service (one), `processes` names the services to start (all of them, and the gateway, unless given).
 */
export async function startSystem(options = {}) {
  const { dir = newFolder(), fsync = false, env = {}, settings = {}, processes = processNames } = options;
  const { replicas = 1 } = options;
  const ports = options.ports ?? (await passingPorts({ replicas }));
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  await generateClients();
  await build();
  const supervisor = new Supervisor({ folder: dir });
  const keys = keysOf(join(dir, 'keys.json'));
  try {
    const tools = join(dataFolder(), 'tools');
    const units = await serverUnits({ dir, tools, ports, keys, fsync });
    for (const unit of units) supervisor.add(unit);
    await Promise.all(units.map(({ name }) => supervisor.ready(name, READY_MS)));
    const servers = Object.fromEntries(units.map(({ name, describe }) => [name, describe.url]));
    const { migrateAll } = await import('./migrate.mjs');
    await migrateAll(servers.postgres, { roles: runtimeRoles({ passwords: keys.postgres }), own: true });
    const own = (name) => ({ ...env, ...settings[serviceOf(name)], ...settings[name] });
    const unitOf = (name) =>
      processUnit(name, { ports, replicas, servers, keys, data: dir, env: process.env, settings: own(name) });
    const ordered = instancesOf(replicas).filter((name) => processes.includes(serviceOf(name)));
    for (const name of ordered) supervisor.add(unitOf(name));
    await Promise.all(ordered.map((name) => supervisor.ready(name, READY_MS)));
    return handle({ supervisor, dir, ports, replicas, servers, keys, keep: Boolean(options.dir) });
  } catch (error) {
    await supervisor.close();
    throw error;
  }
}

function handle({ supervisor, dir, ports, replicas, servers, keys, keep }) {
  const ready = (name, ms = READY_MS) => supervisor.ready(name, ms);
  const start = async (name) => {
    supervisor.start(name);
    await ready(name);
  };
  return {
    dir,
    ports,
    servers,
    keys,
    gateway: `http://127.0.0.1:${ports.gateway}`,
    tokens: developmentTokens(keys),
    opsToken: keys.opsToken,
    natsAdmin: withUser(servers.nats, 'admin', keys.nats.admin),
    get processes() {
      const rows = Object.entries(supervisor.state()).filter(([, { kind }]) => kind === 'process');
      return Object.fromEntries(rows.map(([name, row]) => [name, { pid: row.pid, ...row.describe }]));
    },
    replicasOf: (service) => replicasOf(service, service === 'gateway' ? 1 : replicas),
    pid: (name) => supervisor.pid(name),
    restarts: (name) => supervisor.state()[name].restarts,
    ready,
    kill: (name) => supervisor.kill(name),
    stopProcess: (name) => supervisor.stop(name),
    startProcess: start,
    stopServer: (name) => supervisor.stop(name),
    startServer: start,
    async wipe(name) {
      if (name === 'postgres' || !serverNames.includes(name)) throw new Error(`${name} cannot be wiped`);
      await supervisor.stop(name);
      const { data } = supervisor.state()[name].describe;
      rmSync(data, { recursive: true, force: true });
      mkdirSync(data, { recursive: true });
      await start(name);
    },
    log: (name) => readFileSync(join(dir, 'log', `${name}.log`), 'utf8'),
    async stop() {
      await supervisor.close();
      if (!keep) rmSync(dir, { recursive: true, force: true });
    },
  };
}
