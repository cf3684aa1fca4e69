import type { Archive, Pause } from '../archive.js';
import { decodeText } from '../decode.js';
import type { ImportBook, KeptFile } from '../import-report.js';
import { normalForm } from '../text.js';
import { tooLarge } from './limits.js';

/** Stores what stands nowhere in a course, by its hash. */
export interface FileKeeper {
  /** A file of the archive, whatever its size. */
  keepFile(path: string): Promise<KeptFile>;
  keepBytes(bytes: Uint8Array, type: string): Promise<KeptFile>;
}

/** What the reading of a course needs. */
export interface Source {
  readonly archive: Archive;
  readonly book: ImportBook;
  readonly pause: Pause;
  readonly keeper: FileKeeper;
}

/** Larger files are no course text. */
const MAX_TEXT_BYTES = 8 * 1024 * 1024;
/** Bytes of all texts that are read for one course, each time that they are: pointers may name one file again and again. */
const MAX_ALL_BYTES = 1024 * 1024 * 1024;
const PATHS_A_TURN = 500;
/** Files that are stored at the same time. */
const FILES_AT_ONCE = 32;
/** Characters that are kept as they are; more becomes a file, so that a page of what is kept stays small. */
const MAX_KEPT_TEXT = 4000;
/** What systems leave beside people's files. */
export const LITTER = /(?:^|\/)(?:__MACOSX\/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$|Icon\r?$)/;

/**
 * The files of a course below its course.xml. Remembers which were asked for, keeps the others, and lists them. Paths never leave the
 * archive: they are looked up in its list, not on a disk.
 */
export class CourseFiles {
  private readonly used = new Set<string>();
  private readonly assets = new Map<string, KeptFile>();
  private bytes = 0;

  constructor(
    readonly source: Source,
    private readonly base: string,
  ) {}

  /** How a path of the course reads in the archive, in the form that its names have there. */
  private pathOf(relative: string): string {
    return normalForm(this.base + relative);
  }

  /** Bytes of a file, or undefined when there is none. */
  size(relative: string): number | undefined {
    return this.source.archive.size(this.pathOf(relative));
  }

  /** All paths below the course, without its own. */
  *paths(): Generator<string> {
    for (const path of this.source.archive.paths) if (path.startsWith(this.base)) yield path.slice(this.base.length);
  }

  /**
   * A file as text, e.g. `html/intro.html`; undefined when there is none, or more of it than a text may have.
   * @throws AppError unprocessable OLX_TOO_LARGE
   */
  async text(relative: string, most = MAX_TEXT_BYTES): Promise<string | undefined> {
    const { archive, pause } = this.source;
    const path = this.pathOf(relative);
    const size = archive.size(path);
    if (size === undefined) return undefined;
    const isNew = !this.used.has(path);
    if (size > most) {
      if (isNew) await this.keep(path, `has ${size} bytes; texts beyond ${most} are not read, it is kept as a file`);
      return undefined;
    }
    this.used.add(path);
    this.bytes += size;
    if (this.bytes > MAX_ALL_BYTES) throw tooLarge('bytes in the texts that it names', MAX_ALL_BYTES);
    const bytes = await archive.read(path);
    if (!bytes) return undefined;
    await pause();
    const { text, damaged, unknown } = decodeText(bytes);
    if (!isNew || !(damaged || unknown !== undefined)) return text;
    const what =
      unknown === undefined
        ? 'holds bytes that are no text in its encoding; each was replaced by U+FFFD'
        : `names an encoding that nobody knows (${unknown}); it was read as UTF-8`;
    await this.keep(path, `${what}, the file is kept as it came`);
    return text;
  }

  /** The stored file that a course calls `/static/<name>`; undefined when the archive has none. */
  async asset(name: string): Promise<KeptFile | undefined> {
    const flat = name.replaceAll('/', '_');
    for (const path of [`static/${name}`, `static/${flat}`]) {
      const full = this.pathOf(path);
      if (this.source.archive.size(full) !== undefined) return this.stored(full);
    }
    return undefined;
  }

  /** Keeps a file and says so, once. */
  async keep(path: string, what: string): Promise<void> {
    this.used.add(path);
    const { book } = this.source;
    const { hash } = await this.stored(path);
    book.lose({ source: path, what: `${what} (${hash})`, kept: true });
  }

  /** Keeps a file of the course and says so, once. */
  keepOwn(relative: string, what: string): Promise<void> {
    return this.keep(this.pathOf(relative), what);
  }

  /** Keeps a text of the course beside it, a large one as a file. */
  async keepText(part: { kind: 'element' | 'text'; source: string; value: string }): Promise<void> {
    const { book, keeper } = this.source;
    if (part.value.length <= MAX_KEPT_TEXT) book.keep(part);
    else {
      const type = part.kind === 'element' ? 'application/xml' : 'text/plain';
      book.keep({ kind: 'file', source: part.source, file: await keeper.keepBytes(Buffer.from(part.value), type) });
    }
  }

  /** Keeps attributes of a part beside the course, many as a file. */
  async keepAttributes(source: string, value: Readonly<Record<string, string>>): Promise<void> {
    const json = JSON.stringify(value);
    const { book, keeper } = this.source;
    if (json.length <= MAX_KEPT_TEXT) book.keep({ kind: 'attributes', source, value });
    else book.keep({ kind: 'file', source, file: await keeper.keepBytes(Buffer.from(json), 'application/json') });
  }

  /** Stores all files that parts may name, before they do: a disk syncs many in the time of one. */
  async storeStatics(): Promise<void> {
    const { archive, pause } = this.source;
    const statics = this.pathOf('static/');
    let n = 0;
    const some: string[] = [];
    for (const path of archive.paths) {
      if (++n % PATHS_A_TURN === 0) await pause();
      if (path.startsWith(statics) && !LITTER.test(path)) some.push(path);
      if (some.length === FILES_AT_ONCE) await this.storeSome(some.splice(0));
    }
    await this.storeSome(some);
  }

  private async storeSome(paths: readonly string[]): Promise<void> {
    const missing = paths.filter((path) => !this.assets.has(path));
    const files = await Promise.all(missing.map((path) => this.source.keeper.keepFile(path)));
    files.forEach((file, i) => this.noteStored(missing[i] ?? '', file));
    await this.source.pause();
  }

  /** Keeps and lists every file that nothing has asked for. */
  async keepUnused(): Promise<void> {
    const { archive, pause } = this.source;
    let n = 0;
    const some: string[] = [];
    for (const path of archive.paths) {
      if (++n % PATHS_A_TURN === 0) await pause();
      if (this.used.has(path)) continue;
      some.push(path);
      if (some.length === FILES_AT_ONCE) await this.keepSome(some.splice(0));
    }
    await this.keepSome(some);
  }

  private async keepSome(paths: readonly string[]): Promise<void> {
    await this.storeSome(paths.filter((path) => !LITTER.test(path)));
    for (const path of paths) {
      if (this.assets.has(path)) await this.keep(path, whatIs(path.slice(this.base.length)));
      else
        this.source.book.lose({
          source: path,
          what: 'was left by a computer and is no part of the course',
          kept: false,
        });
    }
    await this.source.pause();
  }

  private async stored(path: string): Promise<KeptFile> {
    this.used.add(path);
    const before = this.assets.get(path);
    if (before) return before;
    const file = await this.source.keeper.keepFile(path);
    this.noteStored(path, file);
    return file;
  }

  private noteStored(path: string, file: KeptFile): void {
    const { book } = this.source;
    this.assets.set(path, file);
    book.report.assets++;
    book.keep({ kind: 'file', source: path, file });
  }
}

function whatIs(path: string): string {
  if (path.startsWith('static/')) return 'is a file that no part of the course names; it is kept';
  if (path.startsWith('about/') || path.startsWith('info/'))
    return 'is a page about the course, for which there is no place; it is kept';
  if (path.startsWith('tabs/')) return 'is a page beside the course, for which there is no place; it is kept';
  if (path.startsWith('policies/')) return 'holds settings for which there is no place; it is kept';
  return 'is no part of the course that could be placed; it is kept';
}
