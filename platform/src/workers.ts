import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { AppError } from './errors.js';
import { latency } from './metrics.js';
import { inSpan, SpanKind } from './telemetry.js';
import { START, type TaskAnswer, type TaskCall } from './worker-tasks.js';

/** How many threads there may be, and what each may use. */
export interface WorkersOptions {
  /** Threads at most; they start when there is work. */
  readonly threads?: number;
  /** Heap of one thread in MiB; what needs more is ended. Buffers do not count. */
  readonly heapMb?: number;
  /** Tasks that may wait for a thread. */
  readonly queue?: number;
  /** A thread that had nothing to do for so long ends. */
  readonly idleMs?: number;
}

/** Limits of one task. */
export interface TaskOptions {
  /**
   * Most processor time that it may use, and five times as much by the clock: a busy machine is not the input's fault. The wait for a
   * thread and the start of one do not count.
   */
  readonly deadlineMs: number;
  /** Ends it when nobody waits for it any more. */
  readonly signal?: AbortSignal;
}

/** Threads for work that must not hold the main one. */
export interface Workers {
  /**
   * Runs a task of the worker's file and answers what it returns. A task over its time or memory is ended with its thread; others
   * are not touched.
   *
   * @throws AppError unprocessable WORK_TOO_COSTLY (details `task`, `limit`: time | memory): the input is to blame; unavailable
   *   OVERLOADED when too many wait; whatever the task throws
   */
  run<R>(task: string, input: unknown, options: TaskOptions): Promise<R>;
  /** Ends all threads; what runs or waits is refused with unavailable STOPPED. */
  close(): Promise<void>;
}

interface Job {
  readonly call: TaskCall;
  readonly options: TaskOptions;
  readonly queuedAt: number;
  readonly settle: { readonly resolve: (value: unknown) => void; readonly reject: (error: unknown) => void };
  isOver: boolean;
}

const defaults = { threads: 2, heapMb: 128, queue: 32, idleMs: 30_000 };
const youngHeapMb = 16;
/** A thread that has not begun after so long never will. */
const longestStartMs = 20_000;
const clockFactor = 5;
const shortestLookMs = 5;

const waited = latency('worker_task_queue_seconds', 'Time that a task waited for a thread', ['task']);
const ran = latency('worker_task_run_seconds', 'Time that a task ran in a thread', ['task', 'outcome']);

/**
 * Opens threads that run the tasks which `file` exports (`handle`, made by `handleTasks`). Name the compiled file; where only its
 * source is there, as in tests, that is run instead. Nothing is started before the first task.
 */
export function openWorkers(file: URL, options: WorkersOptions = {}): Workers {
  const limits = { ...defaults, ...options };
  const pool = new Piscina({
    ...sourceOf(file),
    name: 'handle',
    minThreads: 0,
    maxThreads: limits.threads,
    idleTimeout: limits.idleMs,
    resourceLimits: { maxOldGenerationSizeMb: limits.heapMb, maxYoungGenerationSizeMb: youngHeapMb },
    // Tasks are long: a thread that sleeps in its event loop can be ended at any time.
    atomics: 'disabled',
  });
  // A thread that dies without a task has nobody to tell; the next task starts another one.
  pool.on('error', () => undefined);
  const waiting: Job[] = [];
  const closing = new AbortController();
  let running = 0;

  const next = (): void => {
    while (running < limits.threads) {
      const job = waiting.shift();
      if (job === undefined) return;
      if (job.isOver) continue;
      running++;
      waited.observe({ task: job.call.task }, (performance.now() - job.queuedAt) / 1000);
      void runJob(pool, job, closing.signal)
        .then(job.settle.resolve, job.settle.reject)
        .finally(() => {
          running--;
          next();
        });
    }
  };

  return {
    run: <R>(task: string, input: unknown, taskOptions: TaskOptions) =>
      inSpan(`work ${task}`, { kind: SpanKind.INTERNAL }, async () => {
        if (closing.signal.aborted) throw new AppError('unavailable', 'STOPPED');
        if (waiting.length >= limits.queue)
          throw new AppError('unavailable', 'OVERLOADED', { task, retryAfterSeconds: 1 });
        return new Promise<unknown>((resolve, reject) => {
          const call = { task, input, start: new Float64Array(new SharedArrayBuffer(8 * START.length)) };
          const job: Job = {
            ...{ call, options: taskOptions, settle: { resolve, reject } },
            ...{ queuedAt: performance.now(), isOver: false },
          };
          taskOptions.signal?.addEventListener('abort', () => giveUp(job, waiting), { once: true });
          waiting.push(job);
          if (taskOptions.signal?.aborted) giveUp(job, waiting);
          next();
        }) as Promise<R>;
      }),
    async close() {
      closing.abort(new AppError('unavailable', 'STOPPED'));
      for (const job of waiting.splice(0)) job.settle.reject(closing.signal.reason);
      await pool.destroy();
    },
  };
}

/** Takes a job out of the queue; one that runs is ended by its own signal. */
function giveUp(job: Job, waiting: Job[]): void {
  const at = waiting.indexOf(job);
  if (at < 0) return;
  waiting.splice(at, 1);
  job.isOver = true;
  job.settle.reject(job.options.signal?.reason);
}

/** Runs a job in a thread and ends the thread when the job takes too long, or nobody wants it any more. */
async function runJob(pool: Piscina, job: Job, closing: AbortSignal): Promise<unknown> {
  const { call, options } = job;
  const ender = new AbortController();
  const reasons = [closing, ...(options.signal ? [options.signal] : [])];
  const end = (): void => ender.abort(reasons.find((signal) => signal.aborted)?.reason);
  for (const signal of reasons) signal.addEventListener('abort', end, { once: true });
  const watch = watchTime(pool, job, ender);
  let outcome = 'ok';
  try {
    const answer = (await pool.run(call, { signal: ender.signal })) as TaskAnswer;
    if ('value' in answer) return answer.value;
    const { kind, reason, message, details, fields, stack } = answer.problem;
    throw new AppError(kind, reason, details, { message, fields, cause: stack });
  } catch (error) {
    const known = endedBy(error, call.task, ender.signal);
    outcome = known instanceof AppError ? known.kind : 'internal';
    throw known;
  } finally {
    watch.stop();
    for (const signal of reasons) signal.removeEventListener('abort', end);
    const began = call.start[START.at] || Date.now();
    ran.observe({ task: call.task, outcome }, Math.max(0, Date.now() - began) / 1000);
  }
}

/** Ends a job that has used up its time, counted from the moment at which its thread began. */
function watchTime(pool: Piscina, { call, options }: Job, ender: AbortController): { stop(): void } {
  const { task, start } = call;
  const { deadlineMs } = options;
  const asked = Date.now();
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const lookAgain = (ms: number): void => {
    if (!isStopped) timer = setTimeout(() => void look(), Math.max(ms, shortestLookMs));
  };
  const look = async (): Promise<void> => {
    const began = start[START.at] ?? 0;
    if (began === 0) {
      if (Date.now() - asked < longestStartMs) return lookAgain(deadlineMs);
      return ender.abort(new AppError('unavailable', 'OVERLOADED', { task, retryAfterSeconds: 2 }));
    }
    const byClock = Date.now() - began;
    const left = deadlineMs - (await usedMs(pool, start).catch(() => byClock));
    const leftByClock = clockFactor * deadlineMs - byClock;
    if (left > 0 && leftByClock > 0) return lookAgain(Math.min(left, leftByClock));
    if (!isStopped) ender.abort(new AppError('unprocessable', 'WORK_TOO_COSTLY', { task, limit: 'time' }));
  };
  lookAgain(deadlineMs);
  return {
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

/** What Node has from 24.6 on; it answers also while the thread is busy. */
interface Countable {
  cpuUsage?(): Promise<{ readonly user: number; readonly system: number }>;
}

/** Processor time of a job so far, in ms. Throws where Node cannot tell. */
async function usedMs(pool: Piscina, start: Float64Array): Promise<number> {
  const thread = pool.threads.find(({ threadId }) => threadId === start[START.thread]) as Countable | undefined;
  if (thread?.cpuUsage === undefined) throw new Error('unknown');
  const { user, system } = await thread.cpuUsage();
  return (user + system) / 1000 - (start[START.used] ?? 0);
}

/** Why a task has no answer, as an error of ours. */
function endedBy(error: unknown, task: string, ender: AbortSignal): unknown {
  if (error instanceof AppError) return error;
  if (ender.aborted) return ender.reason as unknown;
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  if (code === 'ERR_WORKER_OUT_OF_MEMORY')
    return new AppError('unprocessable', 'WORK_TOO_COSTLY', { task, limit: 'memory' }, { cause: error });
  return error;
}

/** The file to run and what Node needs for it: compiled, or the source where nothing is compiled. */
function sourceOf(file: URL): { filename: string; execArgv: string[] } {
  const compiled = fileURLToPath(file);
  const source = compiled.replace(/\.js$/, '.ts');
  const isSource = !existsSync(compiled) && existsSync(source);
  return isSource
    ? { filename: source, execArgv: ['--conditions=source', '--import', 'tsx'] }
    : { filename: compiled, execArgv: [] };
}
