// The steps of a start, each with its line.
import { join } from 'node:path';
import { build, generateClients } from './build.mjs';
import { ask, runningSupervisor } from './control.mjs';
import { developmentTokens, keysOf } from './keys.mjs';
import { endLeftovers } from './leftovers.mjs';
import { instancesOf, serviceNames } from './names.mjs';
import { ensurePackages } from './packages.mjs';
import { portsOf } from './ports.mjs';
import { processUnit } from './processes.mjs';
import { isRunning, startSupervisor } from './running.mjs';
import { serverUnits } from './servers/choose.mjs';
import { runtimeRoles } from './servers/roles.mjs';
import { step, Refusal } from './steps.mjs';

const SERVER_MS = 60_000;
const PROCESS_MS = 60_000;

/** Brings everything up, so many replicas of each service, and resolves to `{supervisor, child}`; the facts about it are in `.data/coursewright.json`. */
export async function bringUp(folder, { replicas = 1 } = {}) {
  if (runningSupervisor(folder)) throw new Refusal('a start that was cut short still runs: npm run stop, then again');
  const left = await endLeftovers(folder);
  if (left.length > 0) console.log(`  (ended what an earlier supervisor had left: ${left.join(', ')})`);
  const lockFile = join(folder, 'packages.lock');
  await step('packages', () => ensurePackages({ running: () => isRunning(folder), lockFile }));

  const ports = await portsOf(join(folder, 'ports.json'), { replicas });
  const keys = keysOf(join(folder, 'keys.json'));
  const units = await step('choose servers', () =>
    serverUnits({ dir: folder, tools: join(folder, 'tools'), ports, keys, env: process.env, note }),
  );
  for (const { name, describe } of units) console.log(`     ${name.padEnd(9)} ${describe.text}`);
  const running = await startSupervisor(folder, ports.control);
  const { supervisor } = running;
  await step('data servers', async () => {
    await ask(supervisor, 'add', { units });
    await ask(supervisor, 'ready', { names: units.map(({ name }) => name), ms: SERVER_MS });
    return units.map(({ name, program }) => (program ? `${name} :${ports[name]}` : name)).join(', ');
  });

  await step('generate', generateClients);
  await step('build', build);
  const servers = Object.fromEntries(units.map(({ name, describe }) => [name, describe.url]));
  const foreign = units.filter(({ program }) => !program).map(({ name }) => name);
  const system = { ports, replicas, servers, foreign, keys, data: folder, env: process.env };
  await step('migrate', () => migrate(system));
  await startProcesses({ supervisor, system });

  const gateway = `http://127.0.0.1:${ports.gateway}`;
  const { AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience } = process.env;
  const tokens = developmentTokens(keys, { issuer, audience });
  const facts = { gateway, tokens, opsToken: keys.opsToken, sampleCourse: null };
  await ask(supervisor, 'describe', facts);
  await step('sample course', async () => {
    const { seed } = await import('../seed.mjs');
    const { sampleCourse, detail } = await seed({ folder, ...facts, ports, keys });
    await ask(supervisor, 'describe', { sampleCourse });
    return detail;
  });
  return running;
}

function note(text) {
  console.log(`     ${text}`);
}

async function migrate({ servers, foreign, keys, env }) {
  const { migrateAll } = await import('../migrate.mjs');
  const own = !foreign.includes('postgres');
  const roles = runtimeRoles({ passwords: keys.postgres, env: own ? {} : env });
  const results = await migrateAll(servers.postgres, { roles, own });
  const applied = Object.entries(results).filter(([, names]) => names.length > 0);
  return applied.map(([name, names]) => `${name} ${names.length}`).join(', ') || 'nothing to apply';
}

async function startProcesses({ supervisor, system }) {
  await step('processes', async () => {
    const names = instancesOf(system.replicas);
    const units = names.map((name) => processUnit(name, system));
    await ask(supervisor, 'add', { units });
    await ask(supervisor, 'ready', { names, ms: PROCESS_MS });
    const times = system.replicas > 1 ? ` (${system.replicas} of each)` : '';
    return `${serviceNames.join(', ')}${times}, gateway`;
  });
}
