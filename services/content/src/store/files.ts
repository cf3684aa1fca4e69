import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import type { Files } from '../operations/file-ports.js';
import { onDisk } from './storage-errors.js';
import { syncFolder } from './sync-folder.js';

const PART = '.part';
const READ_BYTES = 256 * 1024;

/**
 * Files by the hash of their bytes, each once, whatever number of courses has it: `<first two characters>/<hash>`. A file has its name
 * only when all of its bytes are on the disk, so that what can be found is whole. Every process of the service has to see this folder.
 */
export function createFiles(folder: string): Files {
  const pathOf = (hash: string): string => join(folder, hash.slice(0, 2), hash);
  const known = new Set<string>();
  return {
    async put(read) {
      const { hash, bytes } = await digest(read());
      const path = pathOf(hash);
      if (!(await isSound(path, { hash, bytes }))) await onDisk(() => write(path, read(), hash));
      return { hash, bytes };

      async function write(to: string, chunks: AsyncIterable<Uint8Array>, expected: string): Promise<void> {
        const home = join(folder, expected.slice(0, 2));
        if (!known.has(home)) {
          await mkdir(home, { recursive: true });
          await syncFolder(folder);
          known.add(home);
        }
        const part = join(home, `${newId()}${PART}`);
        try {
          const written = await writePart(part, chunks);
          if (written !== expected) throw new Error('a file was changed while it was stored');
          await rename(part, to);
          await syncFolder(home);
        } finally {
          await rm(part, { force: true });
        }
      }
    },

    async sweep(minAgeMs) {
      for (const home of await readdir(folder).catch(() => [])) {
        const parts = (await readdir(join(folder, home)).catch(() => [])).filter((name) => name.endsWith(PART));
        for (const path of parts.map((name) => join(folder, home, name)))
          if (Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? Infinity) >= minAgeMs)
            await rm(path, { force: true });
      }
    },

    async *read(hash) {
      const file = await open(pathOf(hash), 'r').catch((cause: NodeJS.ErrnoException) => {
        if (cause.code !== 'ENOENT') throw cause;
        throw new AppError('internal', 'STORED_FILE_MISSING', { hash }, { cause });
      });
      try {
        const seen = createHash('sha256');
        let last: Buffer | undefined;
        for await (const chunk of file.createReadStream({ highWaterMark: READ_BYTES, autoClose: false })) {
          if (last) yield last;
          last = chunk as Buffer;
          seen.update(last);
        }
        // The last bytes are not let go of a file that is not what its name says.
        if (seen.digest('base64url') !== hash) throw new AppError('internal', 'STORED_FILE_CORRUPT', { hash });
        if (last) yield last;
      } finally {
        await file.close();
      }
    },
  };
}

async function digest(chunks: AsyncIterable<Uint8Array>): Promise<{ hash: string; bytes: number }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { hash: hash.digest('base64url'), bytes };
}

/** Whether a file is there as it was stored; one that is not is stored anew. */
async function isSound(path: string, { hash, bytes }: { hash: string; bytes: number }): Promise<boolean> {
  const size = (await stat(path).catch(() => undefined))?.size;
  return size === bytes && (await digest(createReadStream(path, { highWaterMark: READ_BYTES }))).hash === hash;
}

async function writePart(path: string, chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const file = await open(path, 'wx');
  const hash = createHash('sha256');
  try {
    for await (const chunk of chunks) {
      hash.update(chunk);
      await file.writeFile(chunk);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return hash.digest('base64url');
}
