// npm test                        every test
// npm test -- platform            the tests of a package (several may be named)
// npm test -- --testPathPatterns  … whatever else is said goes to Jest
// Starts data servers of its own and stops them whatever happens; a started system is not touched.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { build, generateClients } from './lib/build.mjs';
import { dataFolder } from './lib/data-folder.mjs';
import { serviceNames } from './lib/names.mjs';
import { ensurePackages } from './lib/packages.mjs';
import { productNode, root } from './lib/paths.mjs';
import { inherited } from './lib/processes.mjs';
import { isRunning } from './lib/running.mjs';
import { main, step } from './lib/steps.mjs';
import { newRun, removeOldRuns, startTestServers } from './lib/test-run.mjs';

const PROJECTS = ['platform', 'course-model', ...serviceNames, 'gateway', 'e2e', 'scripts'];
const WITHOUT_SERVERS = new Set(['course-model', 'scripts']);
const WITH_BUILD = new Set(['e2e']);

/** Takes package names out of the arguments: `{projects, rest}`. */
function parse(args) {
  const projects = args.filter((arg) => PROJECTS.includes(arg));
  return { projects, rest: args.filter((arg) => !PROJECTS.includes(arg)) };
}

/** Runs Jest in a process group of its own, so that its workers can be ended with it; resolves to its exit code. */
function jest({ projects, rest }, env, note) {
  const workers = Math.min(4, Math.max(1, availableParallelism()));
  const args = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    join(root, 'node_modules/jest/bin/jest.js'),
    ...(rest.some((arg) => /^(-w|--maxWorkers|-i|--runInBand)/.test(arg)) ? [] : [`--maxWorkers=${workers}`]),
    ...rest,
    ...(projects.length > 0 ? ['--selectProjects', ...projects] : []),
  ];
  const child = spawn(productNode(), args, {
    cwd: root,
    env: { ...inherited(process.env), ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  note(child.pid);
  const toGroup = (signal) => {
    try {
      process.kill(-child.pid, signal);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, toGroup);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  }).finally(() => {
    for (const signal of signals) process.off(signal, toGroup);
    toGroup('SIGKILL');
  });
}

await main(async () => {
  process.umask(0o022);
  const wanted = parse(process.argv.slice(2));
  const data = dataFolder();
  const needs = (set) => wanted.projects.length === 0 || wanted.projects.some((name) => set.has(name));
  const running = () => isRunning(data);
  await step('packages', () => ensurePackages({ running, lockFile: join(data, 'packages.lock') }));
  await step('generate', generateClients);
  if (needs(WITH_BUILD)) await step('build', build);
  await removeOldRuns(data);
  const run = newRun(data);
  let stopping = false;
  const leave = async () => {
    if (stopping) return;
    stopping = true;
    await run.remove();
    process.exit(130);
  };
  process.once('SIGINT', leave).once('SIGTERM', leave).once('SIGHUP', leave);
  let servers;
  try {
    const bare = wanted.projects.length > 0 && wanted.projects.every((name) => WITHOUT_SERVERS.has(name));
    if (!bare) {
      await step('test servers', async () => {
        servers = await startTestServers({ folder: run.folder, data, env: process.env, note: console.log });
        return servers.chosen.join(', ');
      });
    }
    process.off('SIGINT', leave).off('SIGTERM', leave).off('SIGHUP', leave);
    return await jest(wanted, servers?.env ?? { TEST_DIR: run.folder }, run.noteJest);
  } finally {
    await servers?.close();
    await run.remove();
  }
});
