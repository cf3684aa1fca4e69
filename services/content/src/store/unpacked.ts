import type { FileHandle } from 'node:fs/promises';
import type { OpenArchive } from '../operations/ports.js';
import type { Loss } from '../domain/import-report.js';
import { onDisk } from './storage-errors.js';
import type { FileSink } from './unpack.js';

/**
 * Takes all files of an archive into one file on disk, and reads them from there when they are asked for, so that memory holds their
 * names and places only.
 */
export async function openUnpacked(
  file: FileHandle,
  unpackInto: (sink: FileSink) => Promise<Loss[]>,
): Promise<OpenArchive> {
  const places = new Places();
  const skipped = await unpackInto(async (path, bytes) => {
    const start = places.end;
    for await (const chunk of bytes) {
      // A disk that refuses is told apart here from what is wrong with the archive.
      await onDisk(() => file.writeFile(chunk));
      places.end += chunk.length;
    }
    places.put(path, start);
  });
  return {
    paths: places.paths,
    skipped: { [Symbol.iterator]: () => lossesOf(skipped, places.twice) },
    size: (name) => places.find(name)?.length,
    async read(name) {
      const place = places.find(name);
      if (!place) return undefined;
      const bytes = Buffer.alloc(place.length);
      let at = 0;
      while (at < bytes.length) {
        const { bytesRead } = await file.read(bytes, at, bytes.length - at, place.offset + at);
        if (bytesRead === 0) throw new Error('the unpacked archive is shorter than it was');
        at += bytesRead;
      }
      return bytes;
    },
    async *stream(name) {
      const place = places.find(name);
      for (let at = 0; place && at < place.length;) {
        const bytes = Buffer.allocUnsafe(Math.min(STREAM_BYTES, place.length - at));
        const { bytesRead } = await file.read(bytes, 0, bytes.length, place.offset + at);
        if (bytesRead === 0) throw new Error('the unpacked archive is shorter than it was');
        at += bytesRead;
        yield bytes.subarray(0, bytesRead);
      }
    },
    close: () => file.close(),
  };
}

const STREAM_BYTES = 256 * 1024;

function* lossesOf(skipped: readonly Loss[], twice: readonly string[]): Generator<Loss> {
  yield* skipped;
  for (const source of twice) yield { source, what: 'is in the archive twice; the last one is read', kept: false };
}

/** Where each file lies. Half a million of them are legal, so that each is two numbers and its name. */
class Places {
  end = 0;
  readonly twice: string[] = [];
  private readonly index = new Map<string, number>();
  private numbers = new Float64Array(128);
  private count = 0;

  /** In the order of the archive. */
  get paths(): Iterable<string> {
    return { [Symbol.iterator]: () => this.index.keys() };
  }

  put(path: string, start: number): void {
    if (this.index.has(path)) this.twice.push(path);
    if (this.count === this.numbers.length) {
      const wider = new Float64Array(this.count * 2);
      wider.set(this.numbers);
      this.numbers = wider;
    }
    this.numbers.set([start, this.end - start], this.count);
    this.index.set(path, this.count);
    this.count += 2;
  }

  find(path: string): { offset: number; length: number } | undefined {
    const at = this.index.get(path);
    if (at === undefined) return undefined;
    return { offset: this.numbers[at] ?? 0, length: this.numbers[at + 1] ?? 0 };
  }
}
