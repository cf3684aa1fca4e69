// Runs Jest: the packages first, then the whole system by itself, as what is measured there must not compete with them.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { readJson } from './files.mjs';
import { serviceNames } from './names.mjs';
import { productNode, root } from './paths.mjs';
import { inherited } from './processes.mjs';

/** The Jest projects: one a package. */
export const projects = ['platform', 'course-model', ...serviceNames, 'gateway', 'e2e', 'scripts'];

const ALONE = 'e2e';
const COUNTS = ['numPassedTests', 'numFailedTests', 'numPendingTests', 'numTotalTests', 'numRuntimeErrorTestSuites'];

/** Takes package names and `--report=<file>` out of the arguments: `{selected, report, rest}`; the rest is Jest's. */
export function parseArguments(args) {
  const report = args.find((arg) => arg.startsWith('--report='))?.slice('--report='.length);
  const selected = args.filter((arg) => projects.includes(arg));
  const rest = args.filter((arg) => !projects.includes(arg) && !arg.startsWith('--report='));
  return { selected, report, rest };
}

/**
 * The runs that make up what was asked for: `[{selected, alone}]`. Whoever names a file or a test gets one run, in which
 * Jest finds it or says that there is none.
 */
export function planRuns({ selected, rest }) {
  const wanted = selected.length > 0 ? selected : projects;
  const picky = rest.some((arg) => !arg.startsWith('-') || /^(-t|--testNamePattern|--testPathPatterns)/.test(arg));
  if (picky) return [{ selected, alone: false }];
  const others = wanted.filter((name) => name !== ALONE);
  return [
    ...(others.length > 0 ? [{ selected: others, alone: false }] : []),
    ...(wanted.includes(ALONE) ? [{ selected: [ALONE], alone: true }] : []),
  ];
}

/** Adds the counts of several of Jest's reports; null when one of them is missing. */
export function addReports(reports) {
  if (reports.some((report) => !report)) return null;
  const sum = (name) => reports.reduce((total, report) => total + report[name], 0);
  return Object.fromEntries(COUNTS.map((name) => [name, sum(name)]));
}

function argumentsOf({ selected, alone }, rest, file) {
  const workers = alone ? 1 : Math.min(4, Math.max(1, availableParallelism()));
  const said = rest.some((arg) => /^(-w|--maxWorkers|-i|--runInBand)/.test(arg));
  return [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    join(root, 'node_modules/jest/bin/jest.js'),
    ...(said ? [] : [`--maxWorkers=${workers}`]),
    ...rest,
    '--json',
    `--outputFile=${file}`,
    ...(selected.length > 0 ? ['--selectProjects', ...selected] : []),
  ];
}

/** One run of Jest, in a process group of its own so that its workers end with it; resolves to its exit code. */
function runOnce(args, env, note) {
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
    child.once('exit', (code) => resolve(code));
  }).finally(() => {
    for (const signal of signals) process.off(signal, toGroup);
    toGroup('SIGKILL');
  });
}

/**
 * Runs what was asked for and resolves to `{code, report}`, the report being the counts of all runs. `folder` is for
 * Jest's own reports; `note` is told the pid of each run. A run ended by a signal ends the rest too.
 */
export async function runJest(asked, { env, folder, note }) {
  const reports = [];
  let worst = 0;
  for (const [index, one] of planRuns(asked).entries()) {
    const file = join(folder, `report-${index}.json`);
    const code = await runOnce(argumentsOf(one, asked.rest, file), env, note);
    reports.push(readJson(file));
    worst = Math.max(worst, code ?? 1);
    if (code === null) break;
  }
  return { code: worst, report: addReports(reports) };
}
