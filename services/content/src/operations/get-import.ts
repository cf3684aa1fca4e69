import { can } from '@coursewright/course-model/access';
import { isService, personOf, rolesOn } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { isId } from '@coursewright/platform/ids';
import type { Call, ImportJob, Imports } from './ports.js';

/**
 * An import as it stands, for who started it, for the staff of its course and for admins. To others it does not exist.
 *
 * @throws AppError not_found IMPORT_NOT_FOUND
 */
export async function getImport(deps: { imports: Imports }, id: string, call: Call): Promise<ImportJob> {
  const job = isId(id) ? await deps.imports.find(id) : undefined;
  const { actor } = call;
  const own = job?.startedBy.sub === personOf(actor).sub;
  if (!job || !(own || isService(actor) || can(rolesOn(actor, job.courseId), 'course.read-draft'))) {
    throw new AppError('not_found', 'IMPORT_NOT_FOUND', { id });
  }
  return job;
}

/** The course that an import belongs to and who started it; undefined when there is no such import. For our own services. */
export async function locateImport(deps: { imports: Imports }, id: string): Promise<ImportJob | undefined> {
  return isId(id) ? deps.imports.find(id) : undefined;
}
