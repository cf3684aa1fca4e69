import { AppError } from '@coursewright/platform/errors';
import { createPace } from '@coursewright/platform/pace';
import type { Pause } from '../domain/archive.js';
import { ImportBook } from '../domain/import-report.js';
import { typeOfName } from '../domain/media-type.js';
import type { FileKeeper } from '../domain/olx/course-files.js';
import type { Files, ImportLines } from './file-ports.js';
import type { Attempt, OpenArchive } from './ports.js';

/** Lines that are held before they are written. */
const MOST_WAITING = 500;

/** Goes on only as the last attempt: what an older one writes is not taken. Throws conflict SUPERSEDED. */
export function requireLatestAttempt(kept: boolean): void {
  if (!kept) throw new AppError('conflict', 'SUPERSEDED', {}, { message: 'another attempt has taken the import over' });
}

/** Writes the lines that wait. Throws conflict SUPERSEDED. */
export async function saveLines(
  deps: { readonly lines: ImportLines },
  attempt: Attempt,
  book: ImportBook,
): Promise<void> {
  if (book.waiting > 0) requireLatestAttempt(await deps.lines.save(attempt, book.take()));
}

/** Lets others have their turn, and writes lines before there are many: a course may have half a million. */
export function yieldAndSaveLines(deps: { readonly lines: ImportLines }, attempt: Attempt, book: ImportBook): Pause {
  const pace = createPace();
  return () => (book.waiting > MOST_WAITING ? saveLines(deps, attempt, book) : pace());
}

/** What a reading that only looks is given: nobody takes its lines, and it stores nothing. */
export function dryRun<T extends { readonly archive: OpenArchive; readonly pause: Pause }>(
  of: T,
): Pick<T, 'archive'> & { book: ImportBook; keeper: FileKeeper; pause: Pause } {
  const kept = { hash: '', bytes: 0, type: '' };
  const keeper = { keepFile: async () => kept, keepBytes: async () => kept };
  return { archive: of.archive, book: new ImportBook('counting'), keeper, pause: createPace() };
}

/** Stores files of an archive, and what is made of it, by their hash. */
export function createKeeper(files: Files, archive: OpenArchive): FileKeeper {
  return {
    async keepFile(path) {
      return { ...(await files.put(() => archive.stream(path))), type: typeOfName(path) };
    },
    async keepBytes(bytes, type) {
      return { ...(await files.put(() => once(bytes))), type };
    },
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
