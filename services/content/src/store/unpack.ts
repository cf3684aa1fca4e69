import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { AppError } from '@coursewright/platform/errors';
import { extract } from 'tar-stream';
import { openPromise, type Entry } from 'yauzl';
import { entryPath, type ArchiveLimits } from '../domain/archive.js';
import type { Loss } from '../domain/import-report.js';
import { shortText } from '../domain/text.js';
import { storageError } from './storage-errors.js';

/** Takes the bytes of one file; called for one file after the other. */
export type FileSink = (path: string, bytes: AsyncIterable<Uint8Array>) => Promise<void>;

/** Unpacked bytes below which the ratio does not matter: small files of repeated text are no bomb. */
const RATIO_FROM = 10 * 1024 * 1024;

/**
 * Unpacks a tar.gz or zip archive, file by file. Refuses paths that could leave the archive, encrypted files, and archives that
 * unpack to more than the limits allow. Answers the entries that are not unpacked: links, devices, names that no file can have.
 *
 * @throws AppError unprocessable ARCHIVE_BROKEN, ARCHIVE_UNSAFE, ARCHIVE_TOO_LARGE
 */
export async function unpack(
  file: string,
  packedBytes: number,
  options: { mediaType: string; limits: ArchiveLimits; sink: FileSink },
): Promise<Loss[]> {
  const meter = createMeter(packedBytes, options.limits);
  const skipped: Loss[] = [];
  const take = async (name: string, bytes: Readable): Promise<void> => {
    const path = pathOf(name);
    if (path !== undefined) return options.sink(path, meter.through(bytes));
    const source = JSON.stringify(shortText(name, 200));
    skipped.push({ source, what: 'has a name that no file of a course has; it is not imported', kept: false });
    for await (const _chunk of meter.through(bytes)) continue;
  };
  try {
    if (options.mediaType === 'application/zip') await unpackZip(file, { meter, skipped, take });
    else await unpackTar(file, { meter, skipped, take });
  } catch (error) {
    const known = error instanceof AppError ? error : storageError(error);
    if (known) throw known;
    const message = error instanceof Error ? error.message : String(error);
    throw new AppError(
      'unprocessable',
      'ARCHIVE_BROKEN',
      {},
      { message: `the archive cannot be read: ${message}`.slice(0, 300), cause: error },
    );
  }
  return skipped;
}

interface Unpacking {
  meter: ReturnType<typeof createMeter>;
  skipped: Loss[];
  take: (name: string, bytes: Readable) => Promise<void>;
}

/** Where an entry lies in the archive; undefined for a name that is odd and harmless. Throws unprocessable ARCHIVE_UNSAFE. */
function pathOf(name: string): string | undefined {
  const found = entryPath(name);
  if ('path' in found) return found.path;
  if (found.refused === 'odd') return undefined;
  const message = 'an entry points outside of the archive';
  throw new AppError('unprocessable', 'ARCHIVE_UNSAFE', { entry: name.slice(0, 200) }, { message });
}

async function unpackTar(file: string, { meter, skipped, take }: Unpacking): Promise<void> {
  const source = createReadStream(file);
  const gunzip = createGunzip();
  const tar = extract();
  source.on('error', (error) => gunzip.destroy(error));
  gunzip.on('error', (error) => tar.destroy(error));
  gunzip.on('data', (chunk: Buffer) => {
    const problem = meter.raw(chunk.length);
    if (problem) gunzip.destroy(problem);
  });
  source.pipe(gunzip).pipe(tar);
  try {
    for await (const entry of tar) {
      const { name, type } = entry.header;
      meter.entry(name);
      if (type === 'file' || type === 'contiguous-file') await take(name, entry as unknown as Readable);
      else {
        if (type !== 'directory')
          skipped.push({ source: name, what: `is a ${type ?? 'special entry'}, which is not imported`, kept: false });
        entry.resume();
      }
    }
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

async function unpackZip(file: string, { meter, skipped, take }: Unpacking): Promise<void> {
  const zip = await openPromise(file, {
    lazyEntries: true,
    autoClose: false,
    decodeStrings: true,
    validateEntrySizes: true,
    strictFileNames: false,
  });
  try {
    for await (const entry of zip.eachEntry()) {
      meter.entry(entry.fileName);
      if (entry.fileName.endsWith('/')) continue;
      if (isLink(entry)) {
        skipped.push({ source: entry.fileName, what: 'is a link, which is not imported', kept: false });
        continue;
      }
      if (entry.isEncrypted()) throw new Error(`${entry.fileName} is encrypted`);
      await take(entry.fileName, await zip.openReadStreamPromise(entry));
    }
  } finally {
    zip.close();
  }
}

/** Zips made on Unix carry the file's mode in the upper half of the external attributes. */
function isLink(entry: Entry): boolean {
  return ((entry.externalFileAttributes >>> 16) & 0o170000) === 0o120000;
}

function createMeter(packedBytes: number, limits: ArchiveLimits) {
  let entries = 0;
  let names = 0;
  let total = 0;
  let raw = 0;
  const tooLarge = (what: string) =>
    new AppError(
      'unprocessable',
      'ARCHIVE_TOO_LARGE',
      { limits: { ...limits } },
      { message: `the archive has ${what}` },
    );
  const bomb = (bytes: number) => bytes > RATIO_FROM && bytes > packedBytes * limits.ratio;
  return {
    /** Counts an entry. */
    entry(name: string): void {
      names += name.length;
      if (++entries > limits.entries) throw tooLarge(`more than ${limits.entries} entries`);
      if (names > limits.names) throw tooLarge(`more than ${limits.names} characters of names`);
    },
    /** Counts bytes as they leave the decompressor, headers and skipped entries too. */
    raw(bytes: number): AppError | undefined {
      raw += bytes;
      if (raw > limits.totalBytes + limits.entries * 1024)
        return tooLarge(`more than ${limits.totalBytes} bytes unpacked`);
      return bomb(raw) ? tooLarge(`more than ${limits.ratio} times its packed size`) : undefined;
    },
    /** Passes the bytes of a file on, and counts them. */
    async *through(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      let own = 0;
      for await (const chunk of bytes) {
        own += chunk.length;
        total += chunk.length;
        if (own > limits.fileBytes) throw tooLarge(`a file of more than ${limits.fileBytes} bytes`);
        if (total > limits.totalBytes) throw tooLarge(`more than ${limits.totalBytes} bytes unpacked`);
        if (bomb(total)) throw tooLarge(`more than ${limits.ratio} times its packed size`);
        yield chunk;
      }
    },
  };
}
