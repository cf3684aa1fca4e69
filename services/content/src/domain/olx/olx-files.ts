import { AppError } from '@coursewright/platform/errors';
import { isWellFormed } from '@coursewright/course-model/canonical';
import type { Element } from 'domhandler';
import { decodeText, type Archive } from '../archive.js';
import { addLoss, type ImportReport } from '../import-report.js';
import { elementLike, elementsOf, parseXml, textOf } from './xml.js';

/** A block read from its parent or from its own file. */
export interface Block {
  /** `type/url_name`; for blocks without a name made from their place. */
  key: string;
  element: Element;
  /** Why it could not be read whole: its file is missing, or no well-formed XML. */
  problem?: string;
  /** The text of its file, when that is not well-formed. */
  raw?: string;
}

/** Larger files are no course text. */
const MAX_TEXT_BYTES = 8 * 1024 * 1024;

/**
 * The files of an OLX course: finds blocks by their pointers, remembers which files were used, and lists the others as
 * losses. Paths never leave the archive: they are looked up in its list, not on a disk.
 */
export class OlxFiles {
  private readonly used = new Set<string>();
  private readonly policy: Record<string, Record<string, unknown>>;
  readonly root: Block;
  private readonly base: string;

  /** @throws AppError unprocessable OLX_NO_COURSE, OLX_BROKEN_XML */
  constructor(
    private readonly archive: Archive,
    private readonly report: ImportReport,
  ) {
    const path = archive.paths
      .filter((name) => /(^|\/)course\.xml$/.test(name))
      .sort((a, b) => depthOf(a) - depthOf(b))[0];
    if (path === undefined)
      throw new AppError('unprocessable', 'OLX_NO_COURSE', {}, { message: 'the archive holds no course.xml' });
    this.base = path.slice(0, -'course.xml'.length);
    const parsed = this.parse(path);
    if (parsed?.root?.name !== 'course') {
      throw new AppError('unprocessable', 'OLX_NO_COURSE', { path }, { message: 'course.xml holds no <course>' });
    }
    if (parsed.problem !== undefined) {
      throw new AppError('unprocessable', 'OLX_BROKEN_XML', { path }, { message: `${path}: ${parsed.problem}` });
    }
    this.policy = this.readPolicy(parsed.root.attribs['url_name']);
    this.root = this.resolve(parsed.root, `course/${parsed.root.attribs['url_name'] ?? 'course'}`);
    if (this.root.problem !== undefined) {
      throw new AppError(
        'unprocessable',
        'OLX_BROKEN_XML',
        { path: this.root.key },
        { message: `${this.root.key}: ${this.root.problem}` },
      );
    }
  }

  /**
   * The block that an element stands for: its own file when the element only points at one, the element itself otherwise.
   * Attributes of the course's policy go over those of the element, as in Open edX.
   */
  resolve(element: Element, fallbackKey: string): Block {
    const name = element.attribs['url_name'];
    const key = name ? `${element.name}/${name}` : fallbackKey;
    const path = name ? `${this.base}${element.name}/${name.replaceAll(':', '/')}.xml` : '';
    const pointing = name !== undefined && isPointer(element);
    if (!pointing) return { key, element: this.withPolicy(element, key) };
    const parsed = this.parse(path);
    if (parsed === undefined)
      return { key, element, problem: `points at ${element.name}/${name}.xml, which is not in the archive` };
    if (parsed.root === undefined || parsed.root.name !== element.name) {
      return { key, element, problem: `${element.name}/${name}.xml holds no <${element.name}>`, raw: parsed.text };
    }
    const found = elementLike(parsed.root, { ...parsed.root.attribs, url_name: name }, parsed.root.children);
    const block = { key, element: this.withPolicy(found, key) };
    return parsed.problem === undefined
      ? block
      : { ...block, problem: `is no well-formed XML: ${parsed.problem}`, raw: parsed.text };
  }

  /** A file beside the course as text, e.g. `html/intro.html`; undefined when there is none. */
  text(relative: string): string | undefined {
    const path = this.base + relative;
    const bytes = this.archive.read(path);
    if (!bytes) return undefined;
    if (bytes.length > MAX_TEXT_BYTES) {
      const what = `has ${bytes.length} bytes; texts beyond ${MAX_TEXT_BYTES} are not read`;
      if (!this.used.has(path)) addLoss(this.report, { source: path, what, kept: false });
      this.used.add(path);
      return undefined;
    }
    const { text, damaged } = decodeText(bytes);
    if (damaged && !this.used.has(path)) {
      addLoss(this.report, {
        source: path,
        what: 'holds bytes that are no text; each was replaced by U+FFFD',
        kept: false,
      });
    }
    this.used.add(path);
    return text;
  }

  /** Lists every file that nothing above has asked for. */
  reportUnused(): void {
    for (const path of this.archive.paths) {
      if (!this.used.has(path))
        addLoss(this.report, { source: path, what: whatIs(path.slice(this.base.length)), kept: false });
    }
  }

  private parse(path: string): { root: Element | undefined; problem?: string; text: string } | undefined {
    if (!path.startsWith(this.base)) return undefined;
    const text = this.text(path.slice(this.base.length));
    return text === undefined ? undefined : { ...parseXml(text), text };
  }

  private withPolicy(element: Element, key: string): Element {
    const policy = this.policy[key];
    if (policy === undefined) return element;
    const over = Object.entries(policy).flatMap(([name, value]) =>
      isPlainValue(value) ? [[name, String(value)] as const] : [],
    );
    return elementLike(element, { ...element.attribs, ...Object.fromEntries(over) }, element.children);
  }

  private readPolicy(run: string | undefined): Record<string, Record<string, unknown>> {
    const path = `policies/${run ?? 'course'}/policy.json`;
    const text = this.text(path);
    if (text === undefined) return {};
    try {
      const policy: unknown = JSON.parse(text);
      if (!isRecord(policy)) throw new SyntaxError('no object');
      addLoss(this.report, {
        source: path,
        what: 'only titles, dates and grading of its entries are taken over',
        kept: false,
      });
      return Object.fromEntries(
        Object.entries(policy).filter((entry): entry is [string, Record<string, unknown>] => isRecord(entry[1])),
      );
    } catch {
      addLoss(this.report, { source: path, what: 'is not readable as JSON', kept: false });
      return {};
    }
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON can say what no text here may hold: half surrogate pairs and NUL. */
function isPlainValue(value: unknown): value is string | number | boolean {
  return (
    typeof value === 'number' ||
    typeof value === 'boolean' ||
    (typeof value === 'string' && isWellFormed(value) && !value.includes('\0'))
  );
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
