// Processes of a supervisor that is no more (killed, or the machine's memory ran out) are ended before anything new starts.
import { join } from 'node:path';
import { readJson, writeJson } from './files.mjs';
import { end, isAlive } from './pids.mjs';

/** What a folder's `pids.json` records and what still runs, each as `{name, kind, pid, started, stop}`. */
export function leftovers(folder) {
  return (readJson(join(folder, 'pids.json')) ?? []).filter((row) => isAlive(row));
}

/** Ends them in the order of a regular stop and resolves to their names. `hard` does not wait for a clean end. */
export async function endLeftovers(folder, { hard = false } = {}) {
  const rows = leftovers(folder);
  const waves = [
    rows.filter(({ name }) => name === 'gateway'),
    rows.filter(({ kind, name }) => kind === 'process' && name !== 'gateway'),
    rows.filter(({ kind }) => kind === 'server'),
  ];
  for (const wave of waves) {
    await Promise.all(wave.map((row) => (hard ? end(row, 'SIGKILL', 2_000) : end(row, row.stop.signal, row.stop.ms))));
  }
  if (rows.length > 0) writeJson(join(folder, 'pids.json'), []);
  return rows.map(({ name }) => name);
}
