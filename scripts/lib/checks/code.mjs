// Checks that run a tool over the code.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockFaults } from '../lock-check.mjs';
import { productNode, root, tool } from '../paths.mjs';
import { run } from '../run.mjs';
import { which } from '../servers/machine.mjs';
import { Refusal } from '../steps.mjs';

const MOST_DUPLICATED_PERCENT = 3;

/** Runs a JavaScript tool of node_modules under the product's Node. */
function node(name, args) {
  return run(productNode(), [tool(name), ...args], { timeoutMs: 600_000 });
}

export const format = () => node('prettier', ['--check', '--log-level=warn', '.']).then(() => '');

export const lint = () => node('eslint', ['.', '--max-warnings', '0']).then(() => '');

export async function dependencyRules() {
  const folders = ['platform', 'course-model', 'services', 'gateway', 'e2e', 'bench'];
  const args = ['--config', '.dependency-cruiser.cjs', '--output-type', 'err-long', ...folders];
  const { stdout } = await node('depcruise', args);
  return /\(([^)]*modules[^)]*)\)/.exec(stdout)?.[1] ?? '';
}

export async function types() {
  await node('tsc', ['-b']);
  await node('tsc', ['-p', 'tsconfig.test.json']);
  return 'sources and tests';
}

/** Copied code: the share of duplicated lines, failing above a limit; every place is in the error. */
export async function duplicates() {
  const folder = mkdtempSync(join(tmpdir(), 'duplicates-'));
  try {
    const flags = [
      '--min-lines',
      '8',
      '--min-tokens',
      '70',
      '--reporters',
      'json',
      '--output',
      folder,
      '--mode',
      'weak',
    ];
    const ignored = [
      '**/node_modules/**',
      '**/dist/**',
      '**/test/**',
      '**/generated/**',
      '**/prisma/**',
      'proto/gen/**',
    ];
    await node('jscpd', [...flags, '--format', 'typescript,javascript', '--ignore', ignored.join(','), '.']);
    const report = JSON.parse(readFileSync(join(folder, 'jscpd-report.json'), 'utf8'));
    const { percentage, clones } = report.statistics.total;
    if (percentage > MOST_DUPLICATED_PERCENT) throw new Refusal(placesIn(report));
    return `${clones} places, ${percentage.toFixed(2)} % of lines`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function placesIn({ duplicates: places }) {
  const at = ({ name, start, end }) => `${name}:${start}-${end}`;
  return places.map(({ firstFile, secondFile }) => `${at(firstFile)} = ${at(secondFile)}`).join('\n');
}

/** Fails when package-lock.json would make `npm ci` fail elsewhere, or binds it to one registry. */
export async function lockFile() {
  const faults = lockFaults(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')));
  if (faults.length > 0) throw new Refusal(faults.join('\n'));
  return '';
}

/** Whether docker-compose.yml is one, where there is a docker-compose to ask. */
export async function composeFile() {
  const program = process.env.DOCKER_COMPOSE ?? which('docker-compose');
  if (!program) return 'skipped: no docker-compose on this machine';
  await run(program, ['-f', 'docker-compose.yml', 'config', '-q'], { timeoutMs: 60_000 });
  return '';
}
