import { AppError, isTransient, toAppError } from '@coursewright/platform/errors';
import { isId } from '@coursewright/platform/ids';
import type { Logger } from '@coursewright/platform/logger';
import type { Part } from '@coursewright/platform/run';
import { emptyReport } from '../domain/import-report.js';
import { dropImport, forgetFailedImports } from './drop-imports.js';
import type { ImportJob } from './ports.js';
import { runImport, type ImportDeps } from './run-import.js';

/** Runs imports as long as the process lives. */
export interface ImportRunner extends Part {
  /** Says that there may be work. */
  wake(): void;
}

const AT_ONCE = 2;
const LEASE_MS = 10_000;
const RENEW_MS = 3_000;
const POLL_MS = 1_000;
const RETRY_MS = 3_000;
const SWEEP_MS = 60 * 60 * 1000;
/** So many times an import may end its process without getting on; then it is the import's fault. */
const MAX_ATTEMPTS = 8;

/**
 * Takes up imports that nobody works on, at most two at once; those of a process that died are taken up when their lease of 10 s
 * has run out. A service that is away lets an import wait; anything else that is wrong ends it, with the reason.
 */
export function createImportRunner(deps: ImportDeps & { newId: () => string; logger: Logger }): ImportRunner {
  const holder = deps.newId();
  const aborter = new AbortController();
  const running = new Set<Promise<void>>();
  let timers: NodeJS.Timeout[] = [];
  let looking = false;

  const look = async (): Promise<void> => {
    if (looking || aborter.signal.aborted) return;
    looking = true;
    try {
      while (running.size < AT_ONCE && !aborter.signal.aborted) {
        const job = await deps.imports.claim({ holder, spoolId: await deps.spool.id(), ms: LEASE_MS });
        if (!job) break;
        const work: Promise<void> = workOn(deps, job, { holder, signal: aborter.signal }).finally(() => {
          running.delete(work);
          wake();
        });
        running.add(work);
      }
    } catch (error) {
      deps.logger.warn({ err: error }, 'cannot look for imports');
    } finally {
      looking = false;
    }
  };
  const wake = (): void => void look();
  let sweeping: Promise<void> | undefined;
  const sweep = (): void => {
    sweeping ??= forgetFailedImports(deps, aborter.signal)
      .catch((error: unknown) => deps.logger.warn({ err: error }, 'cannot forget failed imports'))
      .finally(() => (sweeping = undefined));
  };

  return {
    name: 'imports',
    wake,
    async start() {
      await forgetLeftovers(deps);
      timers = [setInterval(wake, POLL_MS), setInterval(sweep, SWEEP_MS)];
      wake();
      // A process that is started anew more often than once an hour sweeps too.
      sweep();
    },
    async stop() {
      aborter.abort();
      timers.forEach(clearInterval);
      await Promise.allSettled([...running, sweeping]);
    },
  };
}

/** Removes archives whose upload never became an import, or whose import has ended. */
async function forgetLeftovers(deps: ImportDeps & { logger: Logger }): Promise<void> {
  for (const id of await deps.spool.list()) {
    const job = isId(id) ? await deps.imports.find(id) : undefined;
    if (job?.state !== 'running') await deps.spool.remove(id);
  }
}

async function workOn(
  deps: ImportDeps & { logger: Logger },
  job: ImportJob,
  lease: { holder: string; signal: AbortSignal },
): Promise<void> {
  const { imports, logger, spool } = deps;
  const report = emptyReport();
  const lost = new AbortController();
  const timer = setInterval(() => {
    imports.renew(job.id, lease.holder, LEASE_MS).then(
      (kept) => kept || lost.abort(),
      () => undefined,
    );
  }, RENEW_MS);
  try {
    if (job.attempts > MAX_ATTEMPTS) throw new AppError('unprocessable', 'IMPORT_GAVE_UP', { attempts: job.attempts });
    await runImport(deps, job, AbortSignal.any([lease.signal, lost.signal]), report);
    await spool.remove(job.id);
    logger.info({ importId: job.id, read: report.read, losses: report.lossCount }, 'import finished');
  } catch (error) {
    await giveBack(deps, job, { holder: lease.holder, error, report }).catch((failure: unknown) => {
      // The lease runs out by itself; then somebody takes it up again.
      logger.warn({ err: failure, importId: job.id }, 'cannot write down how an import ended');
    });
  } finally {
    clearInterval(timer);
  }
}

async function giveBack(
  deps: ImportDeps & { logger: Logger },
  job: ImportJob,
  end: { holder: string; error: unknown; report: ReturnType<typeof emptyReport> },
): Promise<void> {
  const known = toAppError(end.error);
  if (isTransient(known) || known.reason === 'IN_PROGRESS') {
    deps.logger.warn({ importId: job.id, reason: known.reason }, 'import waits');
    await deps.imports.release(job.id, end.holder, known.reason === 'STOPPED' ? 0 : RETRY_MS);
    return;
  }
  const what = { importId: job.id, reason: known.reason };
  if (known.kind === 'internal') deps.logger.error({ err: end.error, cause: known.cause, ...what }, 'import failed');
  else deps.logger.info(what, 'import failed');
  const message = known.message === known.reason ? known.reason.toLowerCase().replaceAll('_', ' ') : known.message;
  await deps.imports.fail(job.id, { reason: known.reason, message: message.slice(0, 1000) }, end.report);
  await deps.spool.remove(job.id);
  await dropNow(deps, job);
}

/** Drops an import at once when it has failed; what goes wrong now the sweep makes good. */
async function dropNow(deps: ImportDeps & { logger: Logger }, job: ImportJob): Promise<void> {
  try {
    // Whoever else had it may have brought it to a good end meanwhile.
    if ((await deps.imports.find(job.id))?.state === 'failed') await dropImport(deps, job);
  } catch (error) {
    deps.logger.warn({ err: error, importId: job.id }, 'a failed import is dropped later');
  }
}
