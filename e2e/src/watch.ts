import { readFileSync } from 'node:fs';
import type { ProcessName, System } from './system.js';

/** What a process has done to its neighbours since the watch began. */
export interface Conduct {
  readonly process: ProcessName;
  /** Turns of its main thread with more than 50 ms of processor time. */
  readonly longStretches: number;
  /** Most memory that it had at once, and what it may have; MiB. */
  readonly peakMib: number;
  readonly limitMib: number;
  /** How often it had to be brought back. */
  readonly restarts: number;
}

const NAMES: readonly ProcessName[] = ['gateway', 'catalog', 'content', 'review', 'versioning', 'deployment'];

/** Watches all processes of a system from now on. */
export async function watch(system: System): Promise<() => Promise<Conduct[]>> {
  const long = async (name: ProcessName): Promise<number> => {
    const url = name === 'gateway' ? `http://127.0.0.1:${system.ports['gateway-ops']}` : system.processes[name].url;
    const text = await (await fetch(`${url}/metrics`)).text();
    const read = (pattern: RegExp): number => {
      const found = pattern.exec(text)?.[1];
      if (found === undefined) throw new Error(`${name} does not say how long its main thread works in one go`);
      return Number(found);
    };
    const within = read(/main_thread_stretch_seconds_bucket\{[^}]*le="0\.05"[^}]*\} (\d+)/);
    return read(/main_thread_stretch_seconds_count(?:\{[^}]*\})? (\d+)/) - within;
  };
  const before = new Map(await Promise.all(NAMES.map(async (name) => [name, await long(name)] as const)));
  const restarts = new Map(NAMES.map((name) => [name, system.restarts(name)]));
  return () =>
    Promise.all(
      NAMES.map(async (process) => ({
        process,
        longStretches: (await long(process)) - before.get(process)!,
        peakMib: Math.round(peakKib(system.pid(process)!) / 1024),
        limitMib: limitMib(system.pid(process)!),
        restarts: system.restarts(process) - restarts.get(process)!,
      })),
    );
}

function peakKib(pid: number): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** The limit that the process was told when it was started. */
function limitMib(pid: number): number {
  const told = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  return Number(told.find((line) => line.startsWith('MEMORY_LIMIT_MIB='))?.split('=')[1]);
}
