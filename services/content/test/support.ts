import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { gzipSync, gunzipSync } from 'node:zlib';
import { extract, pack } from 'tar-stream';
import type { Archive } from '../src/domain/archive.js';
import type { PlannedNode } from '../src/domain/import-plan.js';
import { ImportBook, type ImportReport, type KeptPart } from '../src/domain/import-report.js';
import { typeOfName } from '../src/domain/media-type.js';
import type { FileKeeper } from '../src/domain/olx/course-files.js';
import { readOlxCourse } from '../src/domain/olx/read-course.js';
import type { NewImport } from '../src/operations/ports.js';
import { createPace } from '@coursewright/platform/pace';
import type { Database } from '@coursewright/platform/sql';
import type { Files, ImportLines } from '../src/operations/file-ports.js';
import { createFiles } from '../src/store/files.js';
import { createImportLines } from '../src/store/import-lines.js';

const DEMO = new URL('../../../../shared/data/olx-demo-course.tar.gz', import.meta.url);

/** The packed demo course of Open edX, or undefined (with a printed reason) where it is not at hand. */
export function demoCourse(): Buffer | undefined {
  if (existsSync(DEMO)) return readFileSync(DEMO);
  console.warn(`skipped: ${DEMO.pathname} is not there`);
  return undefined;
}

/** A packed archive as the importer sees it when it is unpacked. */
export async function archiveOf(gzip: Buffer): Promise<Archive> {
  const files = new Map<string, Buffer>();
  const tar = extract();
  tar.end(gunzipSync(gzip));
  for await (const entry of tar) {
    const parts: Buffer[] = [];
    for await (const part of entry) parts.push(part as Buffer);
    if (entry.header.type === 'file') files.set(entry.header.name.replace(/^\.\//, ''), Buffer.concat(parts));
  }
  return archiveFrom(files);
}

/** Files as the importer sees them in an unpacked archive. */
export function archiveFrom(files: ReadonlyMap<string, Uint8Array>): Archive {
  return {
    paths: [...files.keys()].sort(),
    size: (path) => files.get(path)?.length,
    read: async (path) => files.get(path),
  };
}

/** Everything that is read from an archive, all at once. */
export interface ReadCourse {
  nodes: PlannedNode[];
  report: ImportReport;
  /** What is kept beside the course. */
  kept: KeptPart[];
  /** The files that were stored, by their hash. */
  files: Map<string, Uint8Array>;
}

/** Everything that is read from an archive, all at once. */
export async function readAll(archive: Archive, importId: string): Promise<ReadCourse> {
  const book = new ImportBook();
  const files = new Map<string, Uint8Array>();
  const nodes: PlannedNode[] = [];
  const source = { archive, importId, book, pause: createPace(), keeper: keeperInto(files, archive) };
  for await (const node of readOlxCourse(source)) nodes.push(node);
  return { nodes, report: book.report, kept: book.take().kept.map(({ part }) => part), files };
}

function keeperInto(files: Map<string, Uint8Array>, archive: Archive): FileKeeper {
  const keepBytes = async (bytes: Uint8Array, type: string) => {
    const hash = createHash('sha256').update(bytes).digest('base64url');
    files.set(hash, bytes);
    return { hash, bytes: bytes.length, type };
  };
  const keepFile = async (path: string) => keepBytes((await archive.read(path)) ?? Buffer.alloc(0), typeOfName(path));
  return { keepBytes, keepFile };
}

/** A tar.gz of files; a value of another type than string stands for a link to that name. */
export async function tarOf(files: readonly (readonly [string, string | { link: string }])[]): Promise<Buffer> {
  const tar = pack();
  for (const [name, content] of files) {
    if (typeof content === 'string') tar.entry({ name }, content);
    else tar.entry({ name, type: 'symlink', linkname: content.link });
  }
  tar.finalize();
  const parts: Buffer[] = [];
  for await (const part of tar) parts.push(part as Buffer);
  return gzipSync(Buffer.concat(parts));
}

const CRC = Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});
const crc32 = (bytes: Buffer) =>
  (bytes.reduce((c, byte) => (CRC[(c ^ byte) & 0xff] ?? 0) ^ (c >>> 8), 0xffffffff) ^ 0xffffffff) >>> 0;

/** A zip of stored (uncompressed) files. */
export function zipOf(files: Record<string, string>): Buffer {
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const [name, text] of Object.entries(files)) {
    const path = Buffer.from(name);
    const data = Buffer.from(text);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(0x800, 2);
    fields.writeUInt32LE(crc32(data), 10);
    fields.writeUInt32LE(data.length, 14);
    fields.writeUInt32LE(data.length, 18);
    fields.writeUInt16LE(path.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, path, data]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    centrals.push(Buffer.concat([Buffer.from('PK\x01\x02'), Buffer.from([20, 3]), fields, tail, path]));
    locals.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(centrals);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(centrals.length, 4);
  end.writeUInt16LE(centrals.length, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, central, Buffer.from('PK\x05\x06'), end]);
}

/** An archive as a client of StartImport sends it. */
export async function* upload(bytes: Buffer, header: Record<string, string> = {}) {
  yield { part: { $case: 'header' as const, value: { format: 'olx', mediaType: 'application/gzip', ...header } } };
  for (let at = 0; at < bytes.length; at += 50_000)
    yield { part: { $case: 'chunk' as const, value: bytes.subarray(at, at + 50_000) } };
}

/** A course of so many lessons, inline. */
export async function bigCourse(lessons: number): Promise<Buffer> {
  const verticals = Array.from(
    { length: lessons },
    (_, i) => `<vertical url_name="v${i}"><html url_name="h${i}"><p>${i}</p></html></vertical>`,
  );
  return tarOf([
    [
      'course.xml',
      `<course url_name="c" display_name="Big"><chapter url_name="u"><sequential url_name="m">${verticals.join('')}</sequential></chapter></course>`,
    ],
  ]);
}

/** Bytes as a stream of one piece. */
export async function* streamOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** The row of an import that is about to be made: of somebody called ann, of an archive that nobody hashed. */
export function newImport(
  made: Pick<NewImport, 'id' | 'courseId' | 'newCourse' | 'spoolId'> & Partial<NewImport>,
): NewImport {
  const usual = {
    format: 'olx',
    mediaType: 'application/gzip',
    startedBy: { sub: 'ann' },
    byPlatform: false,
    sha256: '',
  };
  return { ...usual, ...made };
}

/** The lines of reports in a database, and files in a folder. */
export function linesAndFiles(database: Database, folder: string): { lines: ImportLines; files: Files } {
  return { lines: createImportLines(database), files: createFiles(folder) };
}
