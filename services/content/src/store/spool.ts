import { closeSync, openSync, readSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rm, stat, writeFile as writeWhole } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import type { OpenArchive, Spool } from '../operations/ports.js';
import { unpack } from './unpack.js';

const ARCHIVE = '.archive';
const UNPACKED = '.unpacked';
/** The file that holds the spool's id. */
const NAME = 'spool-id';
const HEAD_BYTES = 8;

/**
 * Archives on disk, one file for each import, and beside it, while the import runs, one file with all that was unpacked. No name
 * from an archive ever becomes a name on the disk.
 */
export function createSpool(folder: string): Spool {
  const archive = (id: string) => join(folder, id + ARCHIVE);
  const unpacked = (id: string) => join(folder, id + UNPACKED);
  let known: Promise<string> | undefined;
  return {
    id: () => (known ??= readOrMakeId(folder)),

    async write(id, chunks, maxBytes) {
      await mkdir(folder, { recursive: true });
      try {
        return await writeFile(archive(id), chunks, maxBytes);
      } catch (error) {
        await rm(archive(id), { force: true });
        throw error;
      }
    },

    async open(id, mediaType, limits) {
      const size = await stat(archive(id)).then(
        (found) => found.size,
        (cause: unknown) => {
          throw new AppError(
            'unprocessable',
            'ARCHIVE_LOST',
            { importId: id },
            { message: 'the archive is no longer there', cause },
          );
        },
      );
      const places = new Map<string, { offset: number; length: number }>();
      const twice: string[] = [];
      const out = await open(unpacked(id), 'w');
      let offset = 0;
      let skipped: OpenArchive['skipped'];
      try {
        skipped = await unpack(archive(id), size, {
          mediaType,
          limits,
          async sink(path, bytes) {
            const start = offset;
            for await (const chunk of bytes) {
              await out.writeFile(chunk);
              offset += chunk.length;
            }
            if (places.has(path)) twice.push(path);
            places.set(path, { offset: start, length: offset - start });
          },
        });
      } catch (error) {
        await rm(unpacked(id), { force: true });
        throw error;
      } finally {
        await out.close();
      }
      const doubles = twice.map((source) => ({
        source,
        what: 'is in the archive twice; the last one is read',
        kept: false,
      }));
      return openUnpacked(unpacked(id), places, [...skipped, ...doubles]);
    },

    async remove(id) {
      await Promise.all([rm(archive(id), { force: true }), rm(unpacked(id), { force: true })]);
    },

    async list() {
      const names = await readdir(folder).catch(() => [] as string[]);
      return [...new Set(names.filter((name) => name !== NAME).map((name) => name.replace(/\.\w+$/, '')))];
    },
  };
}

/** Two processes that begin at once agree: only one can make the file. */
async function readOrMakeId(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, NAME);
  await writeWhole(path, newId(), { flag: 'wx', flush: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  return (await readFile(path, 'utf8')).trim();
}

async function writeFile(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<{ size: number; head: Uint8Array }> {
  const file = await open(path, 'w');
  let size = 0;
  let head = Buffer.alloc(0);
  try {
    for await (const chunk of chunks) {
      size += chunk.length;
      if (size > maxBytes) throw new AppError('too_large', 'ARCHIVE_TOO_LARGE', { limit: maxBytes });
      if (head.length < HEAD_BYTES) head = Buffer.concat([head, chunk]).subarray(0, HEAD_BYTES);
      await file.writeFile(chunk);
    }
    // The import is accepted after this: its archive must outlive the machine's next second.
    await file.sync();
  } finally {
    await file.close();
  }
  return { size, head };
}

/** Files are read when they are asked for, so that memory holds their places only. */
function openUnpacked(
  path: string,
  places: ReadonlyMap<string, { offset: number; length: number }>,
  skipped: OpenArchive['skipped'],
): OpenArchive {
  const file = openSync(path, 'r');
  return {
    paths: [...places.keys()].sort(),
    skipped,
    read(name) {
      const place = places.get(name);
      if (!place) return undefined;
      const bytes = Buffer.alloc(place.length);
      readSync(file, bytes, 0, place.length, place.offset);
      return bytes;
    },
    async close() {
      closeSync(file);
      await rm(path, { force: true });
    },
  };
}
