import { toAppError } from '@coursewright/platform/errors';
import type { Logger } from '@coursewright/platform/logger';
import type { Catalog, ImportJob, Imports, Spool, Versioning } from './ports.js';

/** What the dropping of imports needs. */
export interface DropDeps {
  readonly versioning: Pick<Versioning, 'dropImport'>;
  readonly catalog: Pick<Catalog, 'isRegistered'>;
  readonly imports: Pick<Imports, 'failedLongAgo' | 'forget'>;
  readonly spool: Pick<Spool, 'remove'>;
  readonly logger: Logger;
}

const PAGE = 100;

/**
 * Takes away what a failed import has left in versioning: its hidden ref, the ids of nodes that nobody saw, and the course that it
 * made, unless catalog has that by now. Failed is for ever, so that nobody goes on with it; doing it again does nothing.
 *
 * @throws AppError unavailable SERVICE_UNAVAILABLE and what versioning and catalog say
 */
export async function dropImport(deps: Pick<DropDeps, 'versioning' | 'catalog'>, job: ImportJob): Promise<void> {
  const { id: importId, courseId, newCourse, startedBy } = job;
  const as = { person: startedBy };
  const courseUnregistered = newCourse && !(await deps.catalog.isRegistered(courseId, as));
  await deps.versioning.dropImport({ importId, courseId, courseUnregistered }, as);
}

/**
 * Forgets imports that failed more than 14 days ago, each after versioning has dropped it once more: its process may have died, or
 * versioning been away, when it failed. One that cannot be dropped is kept for the next time.
 */
export async function forgetFailedImports(deps: DropDeps, signal: AbortSignal): Promise<void> {
  let after: string | undefined = '';
  while (after !== undefined) {
    const jobs: ImportJob[] = await deps.imports.failedLongAgo(after, PAGE);
    for (const job of jobs) {
      if (signal.aborted) return;
      try {
        await dropImport(deps, job);
      } catch (error) {
        deps.logger.warn({ err: error, importId: job.id }, 'a failed import is kept: it cannot be dropped now');
        // A service that is away is away for the others too; one that only takes too long may have trouble with this import alone.
        if (toAppError(error).kind === 'unavailable') return;
        continue;
      }
      await deps.spool.remove(job.id);
      await deps.imports.forget(job.id);
    }
    after = jobs.at(-1)?.id;
  }
}
