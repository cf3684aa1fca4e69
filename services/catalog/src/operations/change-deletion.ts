import { personOf } from '@coursewright/platform/actor';
import { AppError, toAppError } from '@coursewright/platform/errors';
import type { NewEvent } from '@coursewright/platform/event';
import { rememberCommand, takeCommand } from '@coursewright/platform/requests';
import type { TxSql } from '@coursewright/platform/sql';
import type { Change, Course } from '../domain/course.js';
import { courseNotFound } from '../domain/errors.js';
import type { RememberedCourse } from './create-course.js';
import type { Caller, DeletionIntent, Deps } from './ports.js';
import { projectRegistry } from './project-course.js';

/** What deleting and restoring courses takes. */
export type DeletionDeps = Pick<
  Deps,
  | 'database'
  | 'outbox'
  | 'registry'
  | 'projection'
  | 'deletions'
  | 'repositories'
  | 'cache'
  | 'logger'
  | 'now'
  | 'newId'
>;

/** A course is to be deleted, or restored. */
export interface DeletionStep {
  readonly courseId: string;
  /** Whether its repository takes writes no more. */
  readonly closed: boolean;
  /** The tree that the default branch must have; empty means any. */
  readonly expectedTree: string;
  readonly apply: (course: Course, at: Date) => Change;
  readonly event: (by: string, at: Date) => NewEvent;
}

// Longer than closing may take, so that nobody takes a deletion over while it is worked on: its call has 4 s, and what versioning has
// begun then waits 4 s for a lock at most.
const leaseMs = 20_000;
const tryMs = 4_000;

/**
 * Deletes or restores a course in three steps: an intent; the repository is closed (or opened), which refuses when its tree is not the
 * expected one; mark, cards, command and event in one transaction that also ends the intent. Whoever is cut off in between leaves the
 * intent, and `settleDeletions` makes the repository agree with the registry again.
 * Throws not_found COURSE_NOT_FOUND, stale STALE, conflict IN_PROGRESS while another is at it, unprocessable IDEMPOTENCY_KEY_REUSED.
 */
export async function changeDeletion(
  deps: DeletionDeps,
  caller: Caller,
  step: DeletionStep,
): Promise<Course | RememberedCourse> {
  const token = deps.newId();
  const begun = await deps.database.tx(async (sql) => {
    const looked = await look(deps, sql, caller, step);
    if (looked.known) return looked;
    const turn = await deps.deletions.hold(sql, { courseId: step.courseId, token, leaseMs });
    if (turn === undefined) throw new AppError('conflict', 'IN_PROGRESS', { retryAfterSeconds: 1 });
    return { turn };
  });
  if ('known' in begun) return begun.known;
  // When it cannot be settled at once, the intent stays for the sweeper. If the sweeper was there already, the repository refuses
  // whatever of this comes later.
  const settleNow = (): Promise<void> => settle(deps, { courseId: step.courseId, token }).catch(() => undefined);
  try {
    await setClosed(deps, { ...step, turn: begun.turn });
  } catch (error) {
    // Refused for good: nothing of it must stay. Anything else may have been done or not, and would hardly be undone now.
    if (!isUnsure(error)) await settleNow();
    throw error;
  }
  try {
    return await finish(deps, caller, step, token);
  } catch (error) {
    // Done or not, the registry knows; nobody shall wait for the sweeper until the repository agrees with it.
    await settleNow();
    throw error;
  }
}

type Closing = Pick<DeletionStep, 'courseId' | 'closed' | 'expectedTree'> & { readonly turn: number };

/** Asks versioning. A repository that is not there takes no writes either way, unless the caller has seen its tree. */
async function setClosed(deps: DeletionDeps, { courseId, closed, expectedTree, turn }: Closing): Promise<void> {
  try {
    await deps.repositories.setClosed({ courseId, closed, expectedTree, turn }, { deadlineMs: tryMs });
  } catch (error) {
    if (expectedTree !== '' || toAppError(error).kind !== 'not_found') throw error;
  }
}

/** The answer when there is nothing to do: the command was carried out before, or the course is as asked. */
async function look(
  deps: DeletionDeps,
  sql: TxSql,
  caller: Caller,
  step: DeletionStep,
): Promise<
  | { readonly known: Course | RememberedCourse }
  | { readonly known?: undefined; readonly next: Course; readonly at: Date }
> {
  const command = await takeCommand(sql, caller.actor, caller.command);
  if (command.state === 'done') return { known: command.result as unknown as RememberedCourse };
  await deps.projection.lock(sql, [step.courseId]);
  const course = await deps.registry.lock(sql, step.courseId);
  if (course === undefined) throw courseNotFound(step.courseId);
  const at = deps.now();
  const result = step.apply(course, at);
  if (result.outcome === 'changed') return { next: result.course, at };
  await rememberCommand(sql, caller.actor, caller.command, { ...course });
  return { known: course };
}

async function finish(
  deps: DeletionDeps,
  caller: Caller,
  step: DeletionStep,
  token: string,
): Promise<Course | RememberedCourse> {
  const { courseId } = step;
  return deps.database.tx(async (sql) => {
    // Gone when somebody took it for cut off, and has undone what it did.
    if (!(await deps.deletions.end(sql, { courseId, token })))
      throw new AppError('conflict', 'IN_PROGRESS', { retryAfterSeconds: 1 });
    const looked = await look(deps, sql, caller, step);
    if (looked.known) return looked.known;
    const { next, at } = looked;
    await deps.registry.update(sql, next);
    await projectRegistry(deps, sql, courseId);
    await rememberCommand(sql, caller.actor, caller.command, { ...next });
    await deps.outbox.enqueue(sql, [step.event(personOf(caller.actor).sub, at)]);
    return next;
  });
}

/** Whether it is not known what came of a call, or another try may have a better end. */
function isUnsure(error: unknown): boolean {
  return ['unavailable', 'deadline_exceeded', 'internal'].includes(toAppError(error).kind);
}

/**
 * Makes a repository agree with the registry and ends the intent: closed if the course is deleted, else open. Done only under the
 * intent: while another holds it, it is his to see to.
 */
async function settle(deps: DeletionDeps, intent: DeletionIntent): Promise<void> {
  const { courseId } = intent;
  const turn = await deps.deletions.hold(deps.database, { ...intent, leaseMs });
  if (turn === undefined) return;
  const course = await deps.registry.find(deps.database, courseId);
  await setClosed(deps, { courseId, closed: course?.deletedAt !== undefined, expectedTree: '', turn });
  await deps.deletions.end(deps.database, intent);
}

const atOnce = 20;

/** Settles deletions and restorations that were cut off. Resolves to how many it brought to their end. */
export async function settleDeletions(deps: DeletionDeps): Promise<number> {
  const claimed = await deps.deletions.claim(deps.database, { limit: atOnce, leaseMs, token: deps.newId() });
  const results = await Promise.allSettled(claimed.map((intent) => settle(deps, intent)));
  for (const result of results) {
    if (result.status === 'rejected')
      deps.logger.warn({ reason: String(result.reason) }, 'an interrupted deletion could not be settled yet');
  }
  return results.filter((result) => result.status === 'fulfilled').length;
}
