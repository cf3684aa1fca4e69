import { createHash } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rename, rm, stat, writeFile as writeWhole } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import type { Attempt, OpenArchive, Spool, Spooled } from '../operations/ports.js';
import { onDisk } from './storage-errors.js';
import { syncFolder } from './sync-folder.js';
import { unpack } from './unpack.js';
import { openUnpacked } from './unpacked.js';

/** An upload that is under way or was broken off; it has its own name until it is whole. */
const PART = '.part';
const ARCHIVE = '.archive';
const UNPACKED = '.unpacked';
/** The file that holds the spool's id. */
const NAME = 'spool-id';
const HEAD_BYTES = 8;

/**
 * Archives on disk, one file for each import. While an attempt runs, what it unpacked lies in one file that has no name, so that no
 * other attempt can meet it and it goes with its process. No name from an archive ever becomes a name on the disk.
 */
export function createSpool(folder: string): Spool {
  const archive = (id: string) => join(folder, id + ARCHIVE);
  const part = (id: string) => join(folder, id + PART);
  let known: Promise<string> | undefined;
  return {
    async id() {
      known ??= readOrMakeId(folder);
      // A disk that was full or away for a moment is asked again.
      return known.catch((error: unknown) => {
        known = undefined;
        throw error;
      });
    },

    write: (id, chunks, maxBytes) =>
      onDisk(async () => {
        await mkdir(folder, { recursive: true });
        try {
          const written = await writeFile(part(id), chunks, maxBytes);
          await rename(part(id), archive(id));
          await syncFolder(folder);
          return written;
        } catch (error) {
          await remove(id);
          throw error;
        }
      }),

    open: (attempt, mediaType, limits) => onDisk(() => openArchive(folder, attempt, { mediaType, limits })),

    remove,

    async list(minAgeMs) {
      const names = await readdir(folder).catch(() => [] as string[]);
      const found = names.filter((name) => name !== NAME);
      const old = await Promise.all(found.map((name) => isOlder(join(folder, name), minAgeMs)));
      return found
        .filter((_, i) => old[i])
        .map((name) => ({ id: name.replace(/\..*$/, ''), name, isArchive: name.endsWith(ARCHIVE) }));
    },

    async removeFile(name) {
      await rm(join(folder, name), { force: true });
    },
  };

  async function remove(id: string): Promise<void> {
    await Promise.all([rm(archive(id), { force: true }), rm(part(id), { force: true })]);
  }
}

async function isOlder(path: string, ms: number): Promise<boolean> {
  // A file that is gone by now is nobody's leftover.
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs >= ms;
}

/** Two processes that begin at once agree, and neither reads half an id: the file comes with what it holds, and only once. */
async function readOrMakeId(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, NAME);
  const present = await readFile(path, 'utf8').catch(missing);
  if (present !== undefined) return present.trim();
  const draft = join(folder, `${newId()}.id`);
  try {
    await writeWhole(draft, newId(), { flag: 'wx', flush: true });
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    await syncFolder(folder);
  } finally {
    await rm(draft, { force: true });
  }
  return (await readFile(path, 'utf8')).trim();
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

async function writeFile(path: string, chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Spooled> {
  const file = await open(path, 'wx');
  const hash = createHash('sha256');
  let size = 0;
  let head = Buffer.alloc(0);
  try {
    for await (const chunk of chunks) {
      size += chunk.length;
      if (size > maxBytes) throw new AppError('too_large', 'ARCHIVE_TOO_LARGE', { limit: maxBytes });
      if (head.length < HEAD_BYTES) head = Buffer.concat([head, chunk]).subarray(0, HEAD_BYTES);
      hash.update(chunk);
      await file.writeFile(chunk);
    }
    // The import is accepted after this: its archive must outlive the machine's next second.
    await file.sync();
  } finally {
    await file.close();
  }
  return { size, head, sha256: hash.digest('hex') };
}

async function openArchive(
  folder: string,
  { id, token }: Attempt,
  { mediaType, limits }: Pick<Parameters<typeof unpack>[2], 'mediaType' | 'limits'>,
): Promise<OpenArchive> {
  const packed = join(folder, id + ARCHIVE);
  const { size } = await stat(packed).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
    const message = 'the archive is no longer there';
    throw new AppError('unprocessable', 'ARCHIVE_LOST', { importId: id }, { message, cause });
  });
  const path = join(folder, `${id}.${token}${UNPACKED}`);
  const file = await open(path, 'w+');
  try {
    // From here on it is this process's alone, and is gone when that is.
    await rm(path, { force: true });
    return await openUnpacked(file, (sink) => unpack(packed, size, { mediaType, limits, sink }));
  } catch (error) {
    await file.close();
    throw error;
  }
}
