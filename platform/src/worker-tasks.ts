import nodeProcess from 'node:process';
import { threadId } from 'node:worker_threads';
import { toAppError, type ErrorDetails, type ErrorKind, type FieldProblem } from './errors.js';

/** What a thread is asked to do. Threads share no objects: input and result are copied, so bytes travel best. */
export interface TaskCall {
  readonly task: string;
  readonly input: unknown;
  /** Shared: what the thread says of itself when it begins. */
  readonly start: Float64Array;
}

/** Where it stands in `start`: ms since the epoch, id of the thread, processor time in ms that the thread had used before. */
export const START = { at: 0, thread: 1, used: 2, length: 3 } as const;

/** An error on its way between threads, which keep neither classes nor their fields. */
export interface TaskProblem {
  readonly kind: ErrorKind;
  readonly reason: string;
  readonly message: string;
  readonly details: ErrorDetails;
  readonly fields: readonly FieldProblem[];
  /** Stack of what was thrown, for the log. */
  readonly stack: string;
}

/** What a thread answers. */
export type TaskAnswer = { readonly value: unknown } | { readonly problem: TaskProblem };

/** The tasks of a worker by name. Pure functions: a thread may be ended in the middle of one. */
export type Tasks = Readonly<Record<string, (input: never) => unknown>>;

/**
 * What the file of a worker exports as `handle`: runs the task that is asked for. It imports as little as it can, for each thread
 * loads it anew.
 */
export function handleTasks(tasks: Tasks): (call: TaskCall) => Promise<TaskAnswer> {
  return async ({ task, input, start }) => {
    start[START.thread] = threadId;
    start[START.used] = usedMs();
    start[START.at] = Date.now();
    try {
      const work = Object.hasOwn(tasks, task) ? tasks[task] : undefined;
      if (work === undefined) throw new Error(`no task ${task}`);
      return { value: await work(input as never) };
    } catch (error) {
      const { kind, reason, message, details, fields } = toAppError(error);
      const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
      return { problem: { kind, reason, message, details, fields, stack } };
    }
  };
}

/** Processor time of this thread in ms; 0 where Node cannot tell. */
function usedMs(): number {
  const { threadCpuUsage } = nodeProcess as { threadCpuUsage?: () => { user: number; system: number } };
  if (threadCpuUsage === undefined) return 0;
  const { user, system } = threadCpuUsage.call(nodeProcess);
  return (user + system) / 1000;
}
