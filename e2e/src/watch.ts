import { readFileSync } from 'node:fs';
import type { InstanceName, System } from './system.js';

/** What a process has done to its neighbours since the watch began. */
export interface Conduct {
  readonly process: InstanceName;
  /** Turns of its main thread with more than 50 ms of processor time. */
  readonly longStretches: number;
  /** Most memory that it had at once, and what it may have; MiB. */
  readonly peakMib: number;
  readonly limitMib: number;
  /** How often it had to be brought back. */
  readonly restarts: number;
}

/** Watches all processes of a system from now on. */
export async function watch(system: System): Promise<() => Promise<Conduct[]>> {
  const names = Object.keys(system.processes) as InstanceName[];
  const long = async (name: InstanceName): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${system.ports[`${name}-ops`]}/metrics`)).text();
    const read = (pattern: RegExp): number => {
      const found = pattern.exec(text)?.[1];
      if (found === undefined) throw new Error(`${name} does not say how long its main thread works in one go`);
      return Number(found);
    };
    const within = read(/main_thread_stretch_seconds_bucket\{[^}]*le="0\.05"[^}]*\} (\d+)/);
    return read(/main_thread_stretch_seconds_count(?:\{[^}]*\})? (\d+)/) - within;
  };
  const before = new Map(await Promise.all(names.map(async (name) => [name, await long(name)] as const)));
  const restarts = new Map(names.map((name) => [name, system.restarts(name)]));
  return () =>
    Promise.all(
      names.map(async (process) => ({
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
