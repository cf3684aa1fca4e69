// Tells a program that hangs from one that works: it lives as a process and answers nobody.
import { setTimeout as sleep } from 'node:timers/promises';
import { isReady } from './ready.mjs';

/**
 * Asks one life of a program by its `alive` every `everyMs` and calls `hung`, once, when it has stayed silent `misses` times in a row.
 * A program that has not answered yet is starting and is left alone. Counted in questions instead of time, so that a machine
 * that slept does not look like a program that hangs. Returns what ends the watch.
 */
export function watchLife(alive, { hung, everyMs = 2_000, misses = 5, ask = isReady }) {
  const over = new AbortController();
  const watch = async () => {
    let silent = null;
    while (!over.signal.aborted) {
      const begun = Date.now();
      if (await ask(alive)) silent = 0;
      else if (silent !== null) silent += 1;
      if (over.signal.aborted) return;
      if (silent >= misses) return hung();
      await sleep(Math.max(0, everyMs - (Date.now() - begun)), undefined, { signal: over.signal, ref: false });
    }
  };
  watch().catch((error) => {
    if (error.name !== 'AbortError') throw error;
  });
  return () => over.abort();
}
