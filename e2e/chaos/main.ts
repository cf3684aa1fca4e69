// npm run chaos                          every fault once; with several replicas at one of them, the next one in each round
// npm run chaos -- --fault kill          the faults of a kind, or one: --fault kill:catalog; may be said several times
// npm run chaos -- --runs 10 --seed 7    so many drills of each fault; the n-th has the seed 7 + n - 1, and the next replica where there are several
// npm run chaos -- --replicas 2          two of each service
// npm run chaos -- --without lease       the services do without a safety: the suite has to fail
// npm run chaos -- --resume <file>       keeps the results there; drills that it has already are not done again
// Ends with 1 when a promise was broken, with 2 when a drill could not be brought to its end. A run of all faults with nothing left out writes docs/reliability.md.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startChaosSystem, type ChaosOptions, type ChaosSystem } from './chaos-system.js';
import { brokenDrill, runDrill, type DrillResult } from './drill.js';
import { chosen, faultsOf, roundOf, type Fault } from './faults.js';
import { KeptResults } from './kept.js';
import { layTrails } from './observe.js';
import { pageWith, tableOf } from './report.js';
import { safeties } from './without.mjs';

const TESTED = [
  'course-model/src',
  'e2e/chaos',
  'gateway/src',
  'package-lock.json',
  'platform/src',
  'proto',
  'scripts',
  'services',
];
const CHANGES = ' and changes';
const PAGE = fileURLToPath(new URL('../../docs/reliability.md', import.meta.url));

const { values } = parseArgs({
  options: {
    fault: { type: 'string', multiple: true, default: [] },
    runs: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    replicas: { type: 'string', default: '1' },
    without: { type: 'string' },
    resume: { type: 'string' },
  },
});

function numberOf(name: 'runs' | 'seed' | 'replicas'): number {
  const number = Number(values[name]);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} is a whole number from 1`);
  return number;
}

function note(result: DrillResult): void {
  const { fault, seed, acknowledged, lost, doubled, readyMs, lastReady, rightMs, staleMs, odd, violations } = result;
  const time = (ms: number | null): string => (ms === null ? 'never' : `${(ms / 1000).toFixed(1)} s`);
  const answers = [...odd].map(([what, times]) => `${times} × ${what}`).join(', ');
  console.log(
    `${violations.length === 0 ? '✓' : '✗'} ${fault} (seed ${seed}): ${acknowledged} acknowledged, ${lost} lost, ${doubled} doubled, ` +
      `ready ${time(readyMs)}${lastReady && ` (${lastReady})`}, right ${time(rightMs)}, stale ${time(staleMs)}${answers && `; ${answers}`}`,
  );
  for (const { kind, what } of violations.slice(0, 10)) console.log(`    ${kind}: ${what}`);
  if (violations.length > 10) console.log(`    and ${violations.length - 10} more`);
}

/** The system under test; a new one after a drill that could not be brought to its end, since nobody knows what it left. */
class Bench {
  private system: ChaosSystem | undefined;
  private isOver = false;

  constructor(private readonly options: ChaosOptions) {}

  async ready(): Promise<ChaosSystem> {
    if (this.system !== undefined) return this.system;
    // Somebody has ended the run: nothing is begun any more.
    if (this.isOver) return new Promise(() => undefined);
    console.log('Starting the system.');
    this.system = await startChaosSystem(this.options);
    await layTrails(this.system.facts.servers.postgres);
    return this.system;
  }

  async drill(fault: Fault, seed: number): Promise<DrillResult> {
    const system = await this.ready();
    try {
      return await runDrill(system, fault, seed);
    } catch (error) {
      await this.release();
      return brokenDrill(fault, seed, error);
    }
  }

  close(): Promise<void> {
    this.isOver = true;
    return this.release();
  }

  private async release(): Promise<void> {
    const { system } = this;
    this.system = undefined;
    await system?.close();
  }
}

async function main(): Promise<number> {
  const { without } = values;
  if (without !== undefined && !Object.hasOwn(safeties, without))
    throw new Error(`there is no safety ${without}; there are: ${Object.keys(safeties).join(', ')}`);
  const [runs, seed, replicas] = [numberOf('runs'), numberOf('seed'), numberOf('replicas')];
  const bench = new Bench({ replicas, without });
  const interrupt = (): void => void bench.close().finally(() => process.exit(130));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const commit = commitOf();
  if (values.resume !== undefined && commit.endsWith(CHANGES))
    throw new Error('--resume is for committed code only: nobody could say of what its results are');
  const kept = new KeptResults(values.resume, { replicas, without: without ?? null, commit });
  const { results } = kept;
  const isWhole = values.fault.length === 0 && without === undefined;
  const command = `npm run chaos -- --runs ${runs} --seed ${seed} --replicas ${replicas}`;
  const machine = `${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`;
  try {
    const { processes, servers } = await bench.ready();
    const faults = chosen(faultsOf(processes, servers), values.fault);
    for (let run = 0; run < runs; run += 1) {
      for (const fault of roundOf(faults, run)) {
        if (kept.has(fault.name, seed + run)) continue;
        const result = await bench.drill(fault, seed + run);
        kept.add(result);
        note(result);
        const date = new Date().toISOString().slice(0, 10);
        if (isWhole)
          writeFileSync(PAGE, pageWith(readFileSync(PAGE, 'utf8'), results, { command, replicas, date, machine }));
      }
    }
  } finally {
    await bench.close();
  }
  console.log(`\n${tableOf(results)}`);
  if (results.some(({ isBroken, violations }) => !isBroken && violations.length > 0)) return 1;
  return results.some(({ isBroken }) => isBroken) ? 2 : 0;
}

/**
 * The last commit that changed what is under test, or how it is judged; `unknown` outside of a repository, and marked where something is
 * not committed, new files too.
 */
function commitOf(): string {
  const cwd = fileURLToPath(new URL('../..', import.meta.url));
  const git = (...args: string[]): string =>
    execFileSync('git', [...args, '--', ...TESTED], { cwd, encoding: 'utf8' }).trim();
  try {
    return `${git('log', '-1', '--format=%h')}${git('status', '--porcelain') === '' ? '' : CHANGES}`;
  } catch {
    return 'unknown';
  }
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error);
  return 2;
});
