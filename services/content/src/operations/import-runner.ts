import { AppError, isTransient, toAppError } from '@coursewright/platform/errors';
import { isId } from '@coursewright/platform/ids';
import type { Logger } from '@coursewright/platform/logger';
import type { Part } from '@coursewright/platform/run';
import { sleepUnless } from '@coursewright/platform/sleep';
import { ImportBook } from '../domain/import-report.js';
import { dropImport, forgetFailedImports } from './drop-imports.js';
import type { ImportJob } from './ports.js';
import { runImport, type ImportDeps } from './run-import.js';

/** Runs imports as long as the process lives. */
export interface ImportRunner extends Part {
  /** Says that there may be work. */
  wake(): void;
  /** Removes what nobody needs any more: files of uploads that were broken off, and imports that failed long ago. */
  sweep(): Promise<void>;
}

/** What the runner of imports needs. */
export interface RunnerDeps extends ImportDeps {
  readonly newId: () => string;
  readonly logger: Logger;
  /** How long others keep away from an import that is worked on, in milliseconds; 10 s unless told. */
  readonly leaseMs?: number;
  /** After how many milliseconds an import that has to wait is tried again; 3 s unless told. */
  readonly retryMs?: number;
  /** How often it looks by itself, in milliseconds; 1 s unless told, 0 when it is woken whenever an import waits. */
  readonly pollMs?: number;
}

const AT_ONCE = 2;
const LEASE_MS = 10_000;
const POLL_MS = 1_000;
const RETRY_MS = 3_000;
/** A full disk gets room when somebody makes it; each attempt fills it again. */
const FULL_FACTOR = 10;
const SWEEP_MS = 60 * 60 * 1000;
/** Files older than this are of no upload that is under way: the gateway gives one 10 minutes. */
const LEFTOVER_MS = 60 * 60 * 1000;
/**
 * So many attempts in a row may end with their process and without getting on; then it is the import's fault. One or two may meet
 * processes that were killed or paused for other reasons.
 */
const MAX_ATTEMPTS = 4;
/** An attempt that has to wait says so, again after a pause and so many times at most: unsaid, it counts as one that ended with its process. */
const RELEASE_MS = 1_000;
const MOST_RELEASES = 120;

/**
 * Takes up imports that nobody works on, at most two at once; those of a process that died are taken up when their lease of 10 s
 * has run out, each alone, so that one which ends its process again is known. A service that is away and a full disk let an import
 * wait; anything else that is wrong ends it, with the reason. What another attempt has taken over is left to that one.
 */
export function createImportRunner(deps: RunnerDeps): ImportRunner {
  const holder = deps.newId();
  const leaseMs = deps.leaseMs ?? LEASE_MS;
  const aborter = new AbortController();
  const running = new Map<string, { readonly work: Promise<void>; readonly isSuspect: boolean }>();
  let timers: NodeJS.Timeout[] = [];
  let looking = false;

  const look = async (): Promise<void> => {
    if (looking || aborter.signal.aborted) return;
    looking = true;
    try {
      while (running.size < AT_ONCE && !aborter.signal.aborted) {
        if ([...running.values()].some(({ isSuspect }) => isSuspect)) break;
        const spoolId = await deps.spool.id();
        const claim = { holder, spoolId, ms: leaseMs, except: [...running.keys()], onlyFresh: running.size > 0 };
        const job = await deps.imports.claim(claim);
        if (!job) break;
        const work = workOn(deps, job, aborter.signal).finally(() => {
          running.delete(job.id);
          wake();
        });
        running.set(job.id, { work, isSuspect: job.attempts > 1 });
      }
    } catch (error) {
      deps.logger.warn({ err: error }, 'cannot look for imports');
    } finally {
      looking = false;
    }
  };
  const wake = (): void => void look();
  let sweeping: Promise<void> | undefined;
  const sweep = (): Promise<void> =>
    (sweeping ??= sweepUp(deps, aborter.signal)
      .catch((error: unknown) => deps.logger.warn({ err: error }, 'cannot sweep up after imports'))
      .finally(() => (sweeping = undefined)));

  return {
    name: 'imports',
    wake,
    sweep,
    async start() {
      const pollMs = deps.pollMs ?? POLL_MS;
      timers = [setInterval(() => void sweep(), SWEEP_MS), ...(pollMs > 0 ? [setInterval(wake, pollMs)] : [])];
      wake();
      // A process that is started anew more often than once an hour sweeps too.
      void sweep();
    },
    async stop() {
      aborter.abort(new AppError('unavailable', 'STOPPED'));
      timers.forEach(clearInterval);
      await Promise.allSettled([...[...running.values()].map(({ work }) => work), sweeping]);
    },
  };
}

async function sweepUp(deps: RunnerDeps, signal: AbortSignal): Promise<void> {
  await forgetLeftovers(deps);
  await deps.files.sweep(LEFTOVER_MS);
  await deps.imports.forgetUploads();
  await forgetFailedImports(deps, signal);
}

/**
 * Removes files of uploads that never became an import, or whose import has ended. Another process may be writing one to this disk
 * just now, or may have it whole and not yet its row: only what is older than any upload can be is looked at.
 */
async function forgetLeftovers({ spool, imports }: RunnerDeps): Promise<void> {
  for (const file of await spool.list(LEFTOVER_MS)) {
    const job = file.isArchive && isId(file.id) ? await imports.find(file.id) : undefined;
    if (job?.state !== 'running') await spool.removeFile(file.name);
  }
}

async function workOn(deps: RunnerDeps, job: ImportJob, stopping: AbortSignal): Promise<void> {
  const { imports, logger, spool } = deps;
  const leaseMs = deps.leaseMs ?? LEASE_MS;
  const book = new ImportBook();
  const { report } = book;
  const lost = new AbortController();
  const timer = setInterval(() => {
    imports.renew(job, leaseMs).then(
      (kept) => kept || lost.abort(new AppError('conflict', 'SUPERSEDED')),
      () => undefined,
    );
  }, leaseMs / 3);
  try {
    if (job.attempts > MAX_ATTEMPTS) {
      const message = `${MAX_ATTEMPTS} attempts in a row ended with their process and got nowhere; the archive is likely to be the cause`;
      throw new AppError('unprocessable', 'IMPORT_GAVE_UP', { attempts: MAX_ATTEMPTS }, { message });
    }
    await runImport(deps, job, AbortSignal.any([stopping, lost.signal]), book);
    await spool.remove(job.id);
    logger.info({ importId: job.id, read: report.read, losses: report.lossCount }, 'import finished');
  } catch (error) {
    await giveBack(deps, job, { error, book }, stopping).catch((failure: unknown) => {
      // The lease runs out by itself; then somebody takes it up again.
      logger.warn({ err: failure, importId: job.id }, 'cannot write down how an import ended');
    });
  } finally {
    clearInterval(timer);
  }
}

/** Writes down how an attempt ended; as all its writes this is taken from the last attempt only, and nothing else is done by another. */
async function giveBack(
  deps: RunnerDeps,
  job: ImportJob,
  end: { readonly error: unknown; readonly book: ImportBook },
  stopping: AbortSignal,
): Promise<void> {
  const known = toAppError(end.error);
  const what = { importId: job.id, token: job.token, reason: known.reason };
  if (known.reason === 'SUPERSEDED') {
    deps.logger.warn(what, 'an import goes on in another attempt');
    return;
  }
  if (isTransient(known) || known.reason === 'IN_PROGRESS' || (await mayOpenAgain(deps, job, known))) {
    deps.logger.warn(what, 'import waits');
    await release(deps, job, delayOf(known, deps.retryMs ?? RETRY_MS), stopping);
    return;
  }
  if (known.kind === 'internal') deps.logger.error({ err: end.error, cause: known.cause, ...what }, 'import failed');
  else deps.logger.info(what, 'import failed');
  const message = known.message === known.reason ? known.reason.toLowerCase().replaceAll('_', ' ') : known.message;
  if (!(await deps.lines.save(job, end.book.take()))) return;
  if (!(await deps.imports.fail(job, { reason: known.reason, message: message.slice(0, 1000) }, end.book.report)))
    return;
  await deps.spool.remove(job.id);
  await dropNow(deps, job);
}

/** A course takes no writes from when its deletion is asked for; until it is marked as deleted that may still come to nothing. */
async function mayOpenAgain({ catalog }: RunnerDeps, job: ImportJob, { reason }: AppError): Promise<boolean> {
  if (reason !== 'COURSE_CLOSED') return false;
  return !(await catalog.isDeleted(job.courseId, { person: job.startedBy }).catch(() => false));
}

/** Says that an attempt waits, again while the database is what it waits for. */
async function release(deps: RunnerDeps, job: ImportJob, delayMs: number, stopping: AbortSignal): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await deps.imports.release(job, delayMs);
      return;
    } catch (error) {
      if (!isTransient(toAppError(error)) || stopping.aborted || tries >= MOST_RELEASES) throw error;
    }
    await sleepUnless(stopping, RELEASE_MS);
  }
}

function delayOf(error: AppError, retryMs: number): number {
  if (error.reason === 'STOPPED') return 0;
  return error.kind === 'insufficient_storage' ? retryMs * FULL_FACTOR : retryMs;
}

/** Drops an import at once when it has failed; what goes wrong now the sweep makes good. */
async function dropNow(deps: RunnerDeps, job: ImportJob): Promise<void> {
  try {
    await dropImport(deps, job);
  } catch (error) {
    deps.logger.warn({ err: error, importId: job.id }, 'a failed import is dropped later');
  }
}
