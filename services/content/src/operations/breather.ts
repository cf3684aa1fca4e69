import type { Pause } from '../domain/archive.js';

/** Milliseconds of work between two chances for other work of the process. */
const TURN_MS = 8;

/** A pause for long work on the main thread: every 8 ms of it all that waits has its turn. */
export function createPause(turnMs = TURN_MS): Pause {
  let since = performance.now();
  return () => {
    if (performance.now() - since < turnMs) return undefined;
    return new Promise((resolve) => {
      // The first one comes before timers, when the work was begun by an answer from the network: only the second lets all in.
      setImmediate(() =>
        setImmediate(() => {
          since = performance.now();
          resolve();
        }),
      );
    });
  };
}
