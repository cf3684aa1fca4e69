// Which process is meant by a pid. A number alone can have passed to another process, and a zombie still answers signals.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Reads state and start time from the text of /proc/<pid>/stat; the command in brackets may itself hold brackets and spaces. */
export function parseStat(text) {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0], started: fields[19] };
}

/** When the process with this pid began, as an opaque string; null when it is gone or a zombie. */
export function startTime(pid) {
  if (!Number.isInteger(pid) || pid <= 0) return null;
  try {
    if (process.platform === 'linux') {
      const { state, started } = parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
      return state === 'Z' || state === 'X' ? null : started;
    }
    const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    return line === '' || line.startsWith('Z') ? null : line.replace(/^\S+\s+/, '');
  } catch {
    return null;
  }
}

/** The process as it can be recognised later: `{pid, started}`, or null when it is gone already. */
export function identify(pid) {
  const started = startTime(pid);
  return started === null ? null : { pid, started };
}

/** Whether that very process still runs: same pid, same start time, not a zombie. */
export function isAlive(identity) {
  return Boolean(identity) && startTime(identity.pid) === identity.started;
}

/** Waits until the process is gone; false when it still runs after `ms`. */
export async function gone(identity, ms) {
  const end = Date.now() + ms;
  while (isAlive(identity)) {
    if (Date.now() > end) return false;
    await sleep(25);
  }
  return true;
}

/** Ends the process: first `signal` and up to `ms` of patience, then SIGKILL. Does nothing when it is gone. */
export async function end(identity, signal = 'SIGTERM', ms = 10_000) {
  for (const [name, patience] of [
    [signal, ms],
    ['SIGKILL', 5_000],
  ]) {
    if (!isAlive(identity)) return;
    try {
      process.kill(identity.pid, name);
    } catch (error) {
      if (error.code === 'ESRCH') return;
      throw error;
    }
    if (await gone(identity, patience)) return;
  }
  throw new Error(`process ${identity.pid} does not end`);
}
