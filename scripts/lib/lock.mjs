// One at a time: installing, building and starting are not to be done twice at once in one checkout.
import { randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readJson } from './files.mjs';
import { identify, isAlive } from './pids.mjs';

/** Takes the lock or returns null when a living process has it; the result gives it back. */
export function tryLock(file) {
  mkdirSync(dirname(file), { recursive: true });
  const own = `${file}.${process.pid}-${randomUUID()}`;
  // The lock comes with the name of its holder: an empty one would look like that of somebody who is gone.
  writeFileSync(own, JSON.stringify(identify(process.pid)), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      if (placed(own, file)) return () => rmSync(file, { force: true });
      if (isAlive(readJson(file))) return null;
      clear(file);
    }
    return null;
  } finally {
    rmSync(own, { force: true });
  }
}

/** Gives a file a second name; false when somebody else's file has it. */
function placed(own, file) {
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    return false;
  }
}

/** Takes away what somebody has left who is gone; what another one has put in its place meanwhile is put back. */
function clear(file) {
  const left = `${file}.${process.pid}-${randomUUID()}`;
  try {
    renameSync(file, left);
  } catch (error) {
    if (error.code === 'ENOENT') return;
    throw error;
  }
  if (isAlive(readJson(left))) placed(left, file);
  rmSync(left);
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
