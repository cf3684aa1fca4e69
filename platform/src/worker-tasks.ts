import { toAppError, type ErrorDetails, type ErrorKind, type FieldProblem } from './errors.js';

/** What a thread is asked to do. Threads share no objects: input and result are copied, so bytes travel best. */
export interface TaskCall {
  readonly task: string;
  readonly input: unknown;
  /** Set to the time (ms since the epoch) at which the thread begins. */
  readonly started: Float64Array;
}

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
  return async ({ task, input, started }) => {
    started[0] = Date.now();
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
