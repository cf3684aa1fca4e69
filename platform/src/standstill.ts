const tickMs = 250;
const stillMs = 1_000;
const afterwardsMs = 1_000;
const breathMs = 25;

/** Knows whether this process has just stood still (it was paused, or its machine was). */
export interface Standstill {
  /**
   * Just afterwards waits for a moment, else not at all. What was asked for meanwhile is read first, and that its asker has given it up
   * only then.
   */
  takeBreath(): Promise<void> | undefined;
  stop(): void;
}

export function watchStandstill(): Standstill {
  let last = performance.now();
  let until = -Infinity;
  // After a pause timers come first, before anything is read.
  const timer = setInterval(() => {
    const now = performance.now();
    if (now - last > stillMs) until = now + afterwardsMs;
    last = now;
  }, tickMs).unref();
  return {
    takeBreath: () => (performance.now() < until ? new Promise((resolve) => setTimeout(resolve, breathMs)) : undefined),
    stop: () => clearInterval(timer),
  };
}
