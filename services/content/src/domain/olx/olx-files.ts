import { createHash } from 'node:crypto';
import { AppError } from '@coursewright/platform/errors';
import { isWellFormed } from '@coursewright/course-model/canonical';
import type { Element } from 'domhandler';
import { decodeText, type Archive, type Pause } from '../archive.js';
import { addLoss, type ImportReport } from '../import-report.js';
import { cutText } from '../text.js';
import { elementLike, elementsOf, textOf } from './xml.js';
import { parseXml, tooLarge, type ParsedXml } from './xml-parse.js';

/** A block read from its parent or from its own file. */
export interface Block {
  /** `type/url_name`; for blocks without a name made from their place. */
  key: string;
  element: Element;
  /** Why it could not be read whole: its file is missing, or no well-formed XML. */
  problem?: string;
  /** The text of its file, when that is not well-formed. */
  raw?: string;
  /** How many parts of a file of its own are in memory for it. */
  nodes: number;
}

/** Larger files are no course text; a policy is taken apart in one go, so that it may be less. */
const MAX_TEXT_BYTES = 8 * 1024 * 1024;
const MAX_POLICY_BYTES = 2 * 1024 * 1024;
/** Bytes and parts of all texts that are read for one course, each time that they are: pointers may name one file again and again. */
const MAX_ALL_BYTES = 1024 * 1024 * 1024;
const MAX_ALL_NODES = 10_000_000;
/** Parts of the files that are open at one time, one inside of the other. */
const MAX_OPEN_NODES = 300_000;
/** Longer keys are cut and told apart by their hash. */
const MAX_KEY = 480;
const PATHS_A_TURN = 500;

type Policy = ReadonlyMap<string, Record<string, unknown>>;

/** What the reading of files needs. */
export interface Source {
  readonly archive: Archive;
  readonly report: ImportReport;
  readonly pause: Pause;
}

/**
 * The files of an OLX course: finds blocks by their pointers, remembers which files were used, and lists the others as
 * losses. Paths never leave the archive: they are looked up in its list, not on a disk.
 */
export class OlxFiles {
  private readonly used = new Set<string>();
  private policy: Policy = new Map();
  /** The course has a policy that cannot be read: whom its parts are for is unclear. */
  isPolicyUnclear = false;
  private bytes = 0;
  private nodes = 0;
  private openNodes = 0;

  private constructor(
    private readonly source: Source,
    private readonly base: string,
  ) {}

  /** Opens the course of an archive. Throws AppError unprocessable OLX_NO_COURSE, OLX_BROKEN_XML, OLX_TOO_LARGE, OLX_TOO_DEEP. */
  static async open(source: Source): Promise<{ files: OlxFiles; root: Block }> {
    const path = await rootPath(source);
    if (path === undefined)
      throw new AppError('unprocessable', 'OLX_NO_COURSE', {}, { message: 'the archive holds no course.xml' });
    const files = new OlxFiles(source, path.slice(0, -ROOT_FILE.length));
    const parsed = await files.parse(path);
    if (parsed?.root?.name !== 'course') {
      throw new AppError('unprocessable', 'OLX_NO_COURSE', { path }, { message: 'course.xml holds no <course>' });
    }
    if (parsed.problem !== undefined) throw brokenXml(path, parsed.problem);
    const run = parsed.root.attribs['url_name'];
    files.policy = await files.readPolicy(run);
    const root = await files.resolve(parsed.root, `course/${run ?? 'course'}`);
    if (root.problem !== undefined) throw brokenXml(root.key, root.problem);
    return { files, root };
  }

  /**
   * The block that an element stands for: its own file when the element only points at one, the element itself otherwise.
   * Attributes of the course's policy go over those of the element, as in Open edX. To be given back by `close`.
   */
  async resolve(element: Element, fallbackKey: string): Promise<Block> {
    const name = element.attribs['url_name'];
    const key = shortKey(name ? `${element.name}/${name}` : fallbackKey);
    const path = name ? `${this.base}${element.name}/${name.replaceAll(':', '/')}.xml` : '';
    const pointing = name !== undefined && isPointer(element);
    const own = this.withPolicy(element, key);
    if (!pointing) return { key, element: own, nodes: 0 };
    const parsed = await this.parse(path);
    const file = `${element.name}/${cutText(name, MAX_KEY)}.xml`;
    if (parsed === undefined)
      return { key, element: own, nodes: 0, problem: `points at ${file}, which is not in the archive` };
    const { nodes, text: raw } = parsed;
    if (parsed.root === undefined || parsed.root.name !== element.name) {
      return { key, element: own, nodes, problem: `${file} holds no <${element.name}>`, raw };
    }
    const found = elementLike(parsed.root, { ...parsed.root.attribs, url_name: name }, parsed.root.children);
    const block = { key, element: this.withPolicy(found, key), nodes };
    return parsed.problem === undefined
      ? block
      : { ...block, problem: `is no well-formed XML: ${parsed.problem}`, raw };
  }

  /** Says that a block is done with, so that others have its room. */
  close(block: Block): void {
    this.openNodes -= block.nodes;
  }

  /** A file beside the course as text, e.g. `html/intro.html`; undefined when there is none. */
  async text(relative: string, most = MAX_TEXT_BYTES): Promise<string | undefined> {
    const { archive, report, pause } = this.source;
    const path = this.base + relative;
    const size = archive.size(path);
    if (size === undefined) return undefined;
    if (size > most) {
      const what = `has ${size} bytes; texts beyond ${most} are not read`;
      if (!this.used.has(path)) addLoss(report, { source: path, what, kept: false });
      this.used.add(path);
      return undefined;
    }
    this.bytes += size;
    if (this.bytes > MAX_ALL_BYTES) throw tooLarge('bytes in the texts that it names', MAX_ALL_BYTES);
    const bytes = await archive.read(path);
    if (!bytes) return undefined;
    await pause();
    const { text, damaged } = decodeText(bytes);
    if (damaged && !this.used.has(path)) {
      addLoss(report, {
        source: path,
        what: 'holds bytes that are no text; each was replaced by U+FFFD',
        kept: false,
      });
    }
    this.used.add(path);
    return text;
  }

  /** Lists every file that nothing above has asked for. */
  async reportUnused(): Promise<void> {
    const { archive, report, pause } = this.source;
    let n = 0;
    for (const path of archive.paths) {
      if (++n % PATHS_A_TURN === 0) await pause();
      if (!this.used.has(path))
        addLoss(report, { source: path, what: whatIs(path.slice(this.base.length)), kept: false });
    }
  }

  private async parse(path: string): Promise<(ParsedXml & { text: string }) | undefined> {
    if (!path.startsWith(this.base)) return undefined;
    const text = await this.text(path.slice(this.base.length));
    if (text === undefined) return undefined;
    const parsed = await parseXml(text, this.source.pause);
    this.nodes += parsed.nodes;
    this.openNodes += parsed.nodes;
    if (this.nodes > MAX_ALL_NODES) throw tooLarge('elements and texts in all files', MAX_ALL_NODES);
    if (this.openNodes > MAX_OPEN_NODES)
      throw tooLarge('elements and texts in files inside of each other', MAX_OPEN_NODES);
    return { ...parsed, text };
  }

  private withPolicy(element: Element, key: string): Element {
    const policy = this.policy.get(key);
    if (policy === undefined) return element;
    const over = Object.entries(policy).flatMap(([name, value]) => {
      const text = AUDIENCE.has(name)
        ? (attributeOf(value) ?? UNREADABLE)
        : isPlain(value)
          ? attributeOf(value)
          : undefined;
      return text === undefined ? [] : [[name, text] as const];
    });
    return elementLike(element, { ...element.attribs, ...Object.fromEntries(over) }, element.children);
  }

  private async readPolicy(run: string | undefined): Promise<Policy> {
    const { report } = this.source;
    const path = `policies/${run ?? 'course'}/policy.json`;
    const text = await this.text(path, MAX_POLICY_BYTES);
    if (text === undefined) {
      this.isPolicyUnclear = this.source.archive.size(this.base + path) !== undefined;
      return new Map();
    }
    try {
      const policy: unknown = JSON.parse(text);
      if (!isRecord(policy)) throw new SyntaxError('no object');
      addLoss(report, {
        source: path,
        what: 'only titles, dates, grading and audience of its entries are taken over',
        kept: false,
      });
      return new Map(
        Object.entries(policy).filter((entry): entry is [string, Record<string, unknown>] => isRecord(entry[1])),
      );
    } catch {
      this.isPolicyUnclear = true;
      const what = 'is not readable as JSON; it may say whom parts are for, so that all of them are kept for authors';
      addLoss(report, { source: path, what, kept: false });
      return new Map();
    }
  }
}

/** Attributes that say whom a part is for: not to be dropped when they cannot be read. */
const AUDIENCE = new Set(['visible_to_staff_only', 'group_access', 'coursewright_audience']);
const UNREADABLE = 'unreadable';
const ROOT_FILE = 'course.xml';

/** The course.xml nearest to the top; of two that are alike the first by name. */
async function rootPath({ archive, pause }: Source): Promise<string | undefined> {
  let best: string | undefined;
  let n = 0;
  for (const path of archive.paths) {
    if (++n % PATHS_A_TURN === 0) await pause();
    if (path !== ROOT_FILE && !path.endsWith(`/${ROOT_FILE}`)) continue;
    const nearer = best === undefined ? -1 : depthOf(path) - depthOf(best);
    if (nearer < 0 || (nearer === 0 && path < (best ?? ''))) best = path;
  }
  return best;
}

function brokenXml(path: string, problem: string): AppError {
  return new AppError('unprocessable', 'OLX_BROKEN_XML', { path }, { message: `${path}: ${problem}` });
}

function shortKey(key: string): string {
  if (key.length <= MAX_KEY) return key;
  return `${cutText(key, MAX_KEY - 50)}~${createHash('sha256').update(key).digest('base64url')}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isPlain(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** A policy's value as an attribute: attributes are JSON. JSON can say what no text here may hold: half surrogate pairs and NUL. */
function attributeOf(value: unknown): string | undefined {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return isWellFormed(text) && !text.includes('\0') ? text : undefined;
}

function depthOf(path: string): number {
  return path.split('/').length;
}

/** An element that has a name and nothing of its own stands for a file; the course's pointer names org and course too. */
function isPointer(element: Element): boolean {
  const own = Object.keys(element.attribs).filter(
    (name) => name !== 'url_name' && !(element.name === 'course' && (name === 'org' || name === 'course')),
  );
  return (
    own.length === 0 &&
    elementsOf(element).length === 0 &&
    element.children.every((child) => textOf(child).trim() === '')
  );
}

function whatIs(path: string): string {
  if (path.startsWith('static/')) return 'is a file; files of a course are not imported yet';
  if (path.startsWith('about/') || path.startsWith('info/'))
    return 'is a page about the course, for which there is no place';
  if (path.startsWith('policies/')) return 'holds settings for which there is no place';
  return 'is no part of the course that could be placed';
}
