import { threadId } from 'node:worker_threads';
import { AppError } from '@coursewright/platform/errors';
import { handleTasks } from '@coursewright/platform/worker-tasks';

/** Tasks for the tests of threads. */
export const handle = handleTasks({
  thread: () => threadId,
  double: (n: number) => n * 2,
  spin(ms: number) {
    for (const until = Date.now() + ms; Date.now() < until;);
    return 'spun';
  },
  sleep: (ms: number) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms),
  hoard() {
    const kept: number[][] = [];
    for (;;) kept.push(Array.from({ length: 1000 }, (_, i) => i + kept.length));
  },
  refuse() {
    throw new AppError(
      'invalid_argument',
      'WRONG',
      { at: 1 },
      { fields: [{ pointer: '/a', code: 'c', message: 'm' }] },
    );
  },
  break() {
    throw new TypeError('secret');
  },
});
