import { can } from '@coursewright/course-model/access';
import { isService, personOf } from '@coursewright/platform/actor';
import { AppError, isTransient } from '@coursewright/platform/errors';
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
const MAGIC: Readonly<Record<string, readonly number[]>> = {
  'application/gzip': [0x1f, 0x8b],
  'application/zip': [0x50, 0x4b],
};

/** What is sent by those who do not know the type: the first bytes tell. */
const UNTOLD = 'application/octet-stream';

/** So long an upload counts as under way after it was last heard of. */
const UPLOAD_MS = 30_000;

/** What the starting of imports needs. */
export interface StartDeps {
  readonly imports: Imports;
  readonly spool: Spool;
  readonly newId: () => string;
  readonly maxBytes: number;
  readonly onStarted: () => void;
}

/** An upload: what it is, and its bytes as they come. */
export interface Upload {
  readonly header: ImportHeader;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/**
 * Takes an archive to disk and writes down the job that will import it. When this answers, the import survives any crash. The
 * archive's bytes belong to what a key stands for: the same key with the same bytes gets the first import, as `replayed`.
 *
 * @throws AppError invalid_argument UNKNOWN_FORMAT, EMPTY_ARCHIVE; unsupported_media_type ARCHIVE_TYPE, ARCHIVE_TYPE_MISMATCH;
 *   too_large ARCHIVE_TOO_LARGE; permission_denied FORBIDDEN; not_found COURSE_NOT_FOUND; conflict IN_PROGRESS while another upload
 *   has the key; unprocessable IDEMPOTENCY_KEY_REUSED; insufficient_storage STORAGE_FULL
 */
export async function startImport(
  deps: StartDeps,
  { header, chunks }: Upload,
  call: Call,
): Promise<{ readonly job: ImportJob; readonly replayed: boolean }> {
  const { format, courseId, mediaType } = header;
  authorizeImport(call, courseId);
  if (format !== 'olx') throw new AppError('invalid_argument', 'UNKNOWN_FORMAT', { format, known: ['olx'] });
  const isKnown = mediaType === UNTOLD || Object.hasOwn(MAGIC, mediaType);
  if (!isKnown) throw new AppError('unsupported_media_type', 'ARCHIVE_TYPE', { mediaType, known: Object.keys(MAGIC) });

  const id = deps.newId();
  return whileUploading(deps.imports, id, call, async () => {
    const { size, head, sha256 } = await deps.spool.write(id, chunks, deps.maxBytes);
    const made = await accept().catch(async (error: unknown) => {
      // A database that went away may have the import all the same. If it has not, the sweeper finds the archive.
      if (!isTransient(error)) await deps.spool.remove(id);
      throw error;
    });
    if (made.job.id !== id) await deps.spool.remove(id);
    deps.onStarted();
    return made;

    async function accept() {
      if (size === 0) throw new AppError('invalid_argument', 'EMPTY_ARCHIVE');
      const found = Object.entries(MAGIC).find(([, magic]) => magic.every((byte, i) => head[i] === byte))?.[0];
      if (found === undefined || (mediaType !== UNTOLD && mediaType !== found))
        throw new AppError('unsupported_media_type', 'ARCHIVE_TYPE_MISMATCH', { mediaType });
      const job = {
        ...{ id, format, mediaType: found, sha256, spoolId: await deps.spool.id() },
        courseId: courseId === '' ? importedId(id, COURSE_KEY) : courseId,
        newCourse: courseId === '',
        startedBy: personOf(call.actor),
        byPlatform: call.actor.roles.includes('admin'),
      };
      return deps.imports.create(job, call.actor, call.command);
    }
  });
}

/** Keeps a client's key from a second upload as long as the first one is under way. */
async function whileUploading<T>(imports: Imports, id: string, call: Call, work: () => Promise<T>): Promise<T> {
  const { actor, command } = call;
  if (command?.kept !== 'client') return work();
  await imports.beginUpload({ id, ms: UPLOAD_MS }, actor, command);
  const timer = setInterval(() => {
    // If it cannot be said for long, a second upload may begin; what they come to is decided where the import is written.
    imports.keepUpload({ id, ms: UPLOAD_MS }).catch(() => undefined);
  }, UPLOAD_MS / 3);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    await imports.endUpload(id).catch(() => undefined);
  }
}

/** A platform admin may write to any course, as a member or not; the job remembers where the right came from. */
function authorizeImport(call: Call, courseId: string): void {
  if (courseId !== '') {
    if (!isId(courseId)) throw new AppError('not_found', 'COURSE_NOT_FOUND', { courseId });
    authorizeAction(call.actor, courseId, 'course.write');
  } else if (!isService(call.actor) && !can(call.actor.roles, 'course.create')) {
    throw new AppError('permission_denied', 'FORBIDDEN');
  }
}
