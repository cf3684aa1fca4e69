import { AppError } from '@coursewright/platform/errors';

/** Seconds after which a disk may have room again: somebody has to make it. */
const FULL_SECONDS = 30;

/** What a disk says for itself, not for the file that is read or written. */
const FULL = new Set(['ENOSPC', 'EDQUOT']);
const BUSY = new Set(['EMFILE', 'ENFILE']);

/**
 * An error of the file system as what the caller should do about it: a full disk is insufficient_storage STORAGE_FULL, too many open
 * files unavailable OVERLOADED, any other one internal. Undefined for what is no error of the file system.
 */
export function storageError(error: unknown): AppError | undefined {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  if (!(error instanceof Error) || code === undefined || syscall === undefined) return undefined;
  if (FULL.has(code)) {
    const message = 'the disk for archives is full';
    return new AppError(
      'insufficient_storage',
      'STORAGE_FULL',
      { retryAfterSeconds: FULL_SECONDS },
      { message, cause: error },
    );
  }
  if (BUSY.has(code)) return new AppError('unavailable', 'OVERLOADED', { retryAfterSeconds: 1 }, { cause: error });
  return new AppError('internal', 'INTERNAL', {}, { message: 'the disk for archives failed', cause: error });
}

/** Does something with files; what the file system refuses is thrown as what the caller should do about it. */
export async function onDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storageError(error) ?? error;
  }
}
