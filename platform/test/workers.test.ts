import { execFile } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { registry } from '@coursewright/platform/metrics';
import { eventually } from '@coursewright/platform/testing/eventually';
import { openWorkers, type Workers } from '@coursewright/platform/workers';

const file = new URL('./busy-worker.js', import.meta.url);
const second = { deadlineMs: 5_000 };

describe('threads for work that must not hold the main one', () => {
  let workers: Workers;
  beforeAll(() => {
    workers = openWorkers(file, { threads: 2, heapMb: 64, queue: 3, idleMs: 300 });
  });
  afterAll(() => workers.close());

  it('answer what a task returns, and whole errors', async () => {
    expect(await workers.run('double', 21, second)).toBe(42);
    await expect(workers.run('refuse', null, second)).rejects.toMatchObject({
      ...{ kind: 'invalid_argument', reason: 'WRONG', details: { at: 1 } },
      fields: [{ pointer: '/a', code: 'c', message: 'm' }],
    });
    await expect(workers.run('break', null, second)).rejects.toMatchObject({
      ...{ kind: 'internal', reason: 'INTERNAL', message: expect.not.stringContaining('secret') },
      cause: expect.stringContaining('secret'),
    });
    await expect(workers.run('toString', null, second)).rejects.toMatchObject({ kind: 'internal' });
  });

  it('end a task that takes too long, while others go on', async () => {
    const began = Date.now();
    const endless = workers.run('spin', 60_000, { deadlineMs: 300 });
    const other = workers.run('spin', 600, second);
    await expect(endless).rejects.toMatchObject({
      ...{ kind: 'unprocessable', reason: 'WORK_TOO_COSTLY' },
      details: { task: 'spin', limit: 'time' },
    });
    expect(await other).toBe('spun');
    expect(Date.now() - began).toBeLessThan(10_000);
    expect(await workers.run('double', 1, second)).toBe(2);
  });

  it('do not take time in which a thread had no processor for time that the task used', async () => {
    await workers.run('sleep', 600, { deadlineMs: 200 });
    const began = Date.now();
    await expect(workers.run('sleep', 60_000, { deadlineMs: 200 })).rejects.toMatchObject({
      reason: 'WORK_TOO_COSTLY',
    });
    expect(Date.now() - began).toBeGreaterThanOrEqual(1_000);
  });

  it('end a task that takes too much memory, while others and the process go on', async () => {
    const other = workers.run('spin', 500, second);
    await expect(workers.run('hoard', null, { deadlineMs: 20_000 })).rejects.toMatchObject({
      ...{ kind: 'unprocessable', reason: 'WORK_TOO_COSTLY' },
      details: { task: 'hoard', limit: 'memory' },
    });
    expect(await other).toBe('spun');
    expect(await workers.run('double', 1, second)).toBe(2);
  });

  it('do not count the wait for a thread against a task', async () => {
    const first = [workers.run('spin', 700, second), workers.run('spin', 700, second)];
    expect(await workers.run('spin', 50, { deadlineMs: 400 })).toBe('spun');
    await Promise.all(first);
  });

  it('refuse more than may wait, and say when to come back', async () => {
    const accepted = Array.from({ length: 5 }, () => workers.run('spin', 100, second));
    await expect(workers.run('double', 1, second)).rejects.toMatchObject({
      ...{ kind: 'unavailable', reason: 'OVERLOADED' },
      details: { retryAfterSeconds: 1 },
    });
    expect(await Promise.all(accepted)).toEqual(Array(5).fill('spun'));
    expect(await workers.run('double', 1, second)).toBe(2);
  });

  it('drop a task that nobody waits for, running or not', async () => {
    const gone = new AbortController();
    const running = workers.run('spin', 60_000, { deadlineMs: 60_000, signal: gone.signal });
    const busy = workers.run('spin', 300, second);
    const queued = workers.run('spin', 60_000, { deadlineMs: 60_000, signal: gone.signal });
    void setTimeout(200).then(() => gone.abort(new Error('gone')));
    await expect(running).rejects.toThrow('gone');
    await expect(queued).rejects.toThrow('gone');
    expect(await busy).toBe('spun');
    await expect(workers.run('double', 1, { ...second, signal: gone.signal })).rejects.toThrow('gone');
  });

  it('tell how long tasks waited and ran', async () => {
    await workers.run('double', 1, second);
    const text = await registry.metrics();
    expect(text).toMatch(/worker_task_run_seconds_count\{[^}]*task="double",outcome="ok"[^}]*\} \d/);
    expect(text).toMatch(/worker_task_queue_seconds_count\{[^}]*task="double"[^}]*\} \d/);
  });

  it('are kept between tasks that follow each other, and end when there has been none for a while', async () => {
    const own = openWorkers(file, { threads: 1, idleMs: 200 });
    const first = await own.run<number>('thread', null, second);
    expect(await own.run('thread', null, second)).toBe(first);
    await eventually(async () => {
      await setTimeout(400);
      expect(await own.run('thread', null, second)).not.toBe(first);
    });
    await own.close();
    await expect(own.run('thread', null, second)).rejects.toMatchObject({ kind: 'unavailable', reason: 'STOPPED' });
  });

  it('run from source in a process of its own', async () => {
    const script = `import { openWorkers } from '@coursewright/platform/workers';
      const workers = openWorkers(new URL(${JSON.stringify(file.href)}));
      console.log(await workers.run('double', 4, { deadlineMs: 5000 }));
      await workers.close();`;
    const args = ['--conditions=source', '--import', 'tsx', '--input-type=module', '-e', script];
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
    });
    expect(stdout.trim()).toBe('8');
  });
});
