// Progress as the newcomer sees it: one line a step, with the time it took.

import { CommandFailed } from './run.mjs';

/** How long, for people: 0.4 s, 12 s, 2 min 05 s. */
export function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}

/** Runs `work` and prints its line; what `work` returns as `{detail}` or as a string is shown beside the label. */
export async function step(label, work, { print = console.log } = {}) {
  const begun = Date.now();
  const live = process.stdout.isTTY && print === console.log;
  if (live) process.stdout.write(`  …  ${label}`);
  const line = (mark, detail) => {
    if (live) process.stdout.write('\r\u001b[K');
    print(`  ${mark}  ${label.padEnd(18)} ${detail ? `${detail} ` : ''}(${duration(Date.now() - begun)})`);
  };
  try {
    const result = await work();
    line('✓', typeof result === 'string' ? result : result?.detail);
    return result;
  } catch (error) {
    line('✗', 'failed');
    throw error;
  }
}

/** An error whose text says all there is to say: printed without a stack. */
export class Refusal extends Error {}

/** Runs a script's main function; a failure is printed (a Refusal or failed command without its stack) and ends with 1. */
export async function main(work) {
  // Whoever read our lines may have had enough of them (`| head`): the work goes on.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  try {
    const code = await work();
    if (Number.isInteger(code)) process.exitCode = code;
  } catch (error) {
    const plain = error instanceof Refusal || error instanceof CommandFailed;
    console.error(`\n${plain ? error.message : (error?.stack ?? error)}`);
    process.exitCode = 1;
  }
}
