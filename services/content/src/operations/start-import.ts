import { can } from '@coursewright/course-model/access';
import { isService, personOf } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { isId } from '@coursewright/platform/ids';
import { COURSE_KEY, importedId } from '../domain/import-plan.js';
import { authorizeAction } from './access.js';
import type { Call, ImportJob, Imports, Spool } from './ports.js';

/** What an import begins with; the archive follows. */
export interface ImportHeader {
  format: string;
  /** Import into this course; empty: make a new one. */
  courseId: string;
  mediaType: string;
}

/** Each media type with the bytes that such a file begins with. */
const MAGIC: Record<string, readonly number[]> = {
  'application/gzip': [0x1f, 0x8b],
  'application/zip': [0x50, 0x4b],
};

/**
 * Takes an archive to disk and writes down the job that will import it. When this answers, the import survives any crash. A
 * repeat of the command gets the first import.
 *
 * @throws AppError invalid_argument UNKNOWN_FORMAT, EMPTY_ARCHIVE; unsupported_media_type ARCHIVE_TYPE, ARCHIVE_TYPE_MISMATCH;
 *   too_large ARCHIVE_TOO_LARGE; permission_denied FORBIDDEN; not_found COURSE_NOT_FOUND
 */
export async function startImport(
  deps: { imports: Imports; spool: Spool; newId: () => string; maxBytes: number; onStarted: () => void },
  request: { header: ImportHeader; chunks: AsyncIterable<Uint8Array> },
  call: Call,
): Promise<ImportJob> {
  const { format, courseId, mediaType } = request.header;
  authorizeImport(call, courseId);
  if (format !== 'olx') throw new AppError('invalid_argument', 'UNKNOWN_FORMAT', { format, known: ['olx'] });
  const magic = MAGIC[mediaType];
  if (!magic) throw new AppError('unsupported_media_type', 'ARCHIVE_TYPE', { mediaType, known: Object.keys(MAGIC) });
  const known = await deps.imports.recall(call.actor, call.command);
  if (known) return known;

  const id = deps.newId();
  const { size, head } = await deps.spool.write(id, request.chunks, deps.maxBytes);
  try {
    if (size === 0) throw new AppError('invalid_argument', 'EMPTY_ARCHIVE');
    if (!magic.every((byte, i) => head[i] === byte))
      throw new AppError('unsupported_media_type', 'ARCHIVE_TYPE_MISMATCH', { mediaType });
    const job = await deps.imports.create(
      {
        id,
        format,
        mediaType,
        courseId: courseId === '' ? importedId(id, COURSE_KEY) : courseId,
        newCourse: courseId === '',
        startedBy: personOf(call.actor),
        spoolId: await deps.spool.id(),
      },
      call.actor,
      call.command,
    );
    if (job.id !== id) await deps.spool.remove(id);
    deps.onStarted();
    return job;
  } catch (error) {
    await deps.spool.remove(id);
    throw error;
  }
}

function authorizeImport(call: Call, courseId: string): void {
  if (courseId !== '') {
    if (!isId(courseId)) throw new AppError('not_found', 'COURSE_NOT_FOUND', { courseId });
    authorizeAction(call.actor, courseId, 'course.write');
  } else if (!isService(call.actor) && !can(call.actor.roles, 'course.create')) {
    throw new AppError('permission_denied', 'FORBIDDEN');
  }
}
