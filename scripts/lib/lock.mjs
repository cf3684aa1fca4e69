// One at a time: installing, building and starting are not to be done twice at once in one checkout.
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readJson } from './files.mjs';
import { identify, isAlive } from './pids.mjs';

/** Takes the lock or returns null when a living process has it; the result gives it back. */
export function tryLock(file) {
  mkdirSync(dirname(file), { recursive: true });
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const handle = openSync(file, 'wx', 0o600);
      writeSync(handle, JSON.stringify(identify(process.pid)));
      closeSync(handle);
      return () => rmSync(file, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const holder = readJson(file);
    if (isAlive(holder)) return null;
    rmSync(file, { force: true });
  }
  return null;
}

/** Runs `work` while holding the lock, waiting for it as long as another living process has it. */
export async function withLock(file, work) {
  for (;;) {
    const release = tryLock(file);
    if (release) {
      try {
        return await work();
      } finally {
        release();
      }
    }
    await sleep(200);
  }
}
