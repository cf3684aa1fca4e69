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

function jest({ projects, rest }, env) {
  const workers = Math.min(4, Math.max(1, availableParallelism()));
  const args = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    join(root, 'node_modules/jest/bin/jest.js'),
    ...(rest.some((arg) => /^(-w|--maxWorkers|-i|--runInBand)/.test(arg)) ? [] : [`--maxWorkers=${workers}`]),
    ...rest,
    ...(projects.length > 0 ? ['--selectProjects', ...projects] : []),
  ];
  const child = spawn(productNode(), args, { cwd: root, env: { ...inherited(process.env), ...env }, stdio: 'inherit' });
  // Ctrl-C reaches Jest by itself; we wait for it, so that it can say what it did.
  const ignore = () => {};
  const pass = () => child.kill('SIGTERM');
  process.on('SIGINT', ignore).on('SIGTERM', pass).on('SIGHUP', pass);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? (signal ? 1 : 0)));
  }).finally(() => process.off('SIGINT', ignore).off('SIGTERM', pass).off('SIGHUP', pass));
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
    return await jest(wanted, servers?.env ?? { TEST_DIR: run.folder });
  } finally {
    await servers?.close();
    await run.remove();
  }
});
