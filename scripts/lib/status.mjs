// What of a system runs, as `npm run status` says it.
import { join } from 'node:path';
import { ask, runningSupervisor } from './control.mjs';
import { readJson } from './files.mjs';
import { leftovers } from './leftovers.mjs';
import { isReady } from './ready.mjs';

/** What is said when there is no supervisor; '' when nothing runs at all. */
export function withoutSupervisor(folder) {
  const left = leftovers(folder).map(({ name, pid }) => `${name} (${pid})`);
  if (left.length === 0) return '';
  return (
    `The supervisor is gone: it was killed, and nothing that dies now is brought back.\n` +
    `These still run: ${left.join(', ')}.\n` +
    'npm start ends them and brings everything up anew; npm run stop ends them.'
  );
}

async function row(name, unit) {
  const up = unit.own && unit.pid === null ? false : await isReady(unit.ready);
  const word = up ? 'ready' : unit.wanted ? 'down' : 'stopped';
  const { pid, restarts, describe } = unit;
  const again = restarts > 0 ? `restarted ${restarts}×` : '';
  const address = describe.text ?? describe.url;
  const line = `  ${name.padEnd(13)} ${word.padEnd(8)} ${String(pid ?? '–').padEnd(8)} ${address} ${again}`;
  return { up, line: line.trimEnd() };
}

/** The text for the system of a data folder and whether all of it is up: `{text, up}`. */
export async function statusOf(folder) {
  const supervisor = runningSupervisor(folder);
  if (!supervisor) return { text: withoutSupervisor(folder) || 'Not running.', up: false };
  const { units } = await ask(supervisor, 'state');
  const rows = await Promise.all(Object.entries(units).map(([name, unit]) => row(name, unit)));
  const { gateway } = readJson(join(folder, 'coursewright.json')) ?? {};
  const end = `  ${gateway ?? 'the gateway is not up yet'}   logs in ${join(folder, 'log')}`;
  return { text: [...rows.map(({ line }) => line), '', end].join('\n'), up: rows.every(({ up }) => up) };
}
