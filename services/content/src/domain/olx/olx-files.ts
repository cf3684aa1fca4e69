import { AppError } from '@coursewright/platform/errors';
import type { Element } from 'domhandler';
import { normalForm, shortText } from '../text.js';
import { blockKey, MAX_KEY } from './block-key.js';
import { CourseFiles, type Source } from './course-files.js';
import { tooLarge } from './limits.js';
import { readPolicy, type Policy } from './policy.js';
import { elementLike, elementsOf, textOf } from './xml.js';
import { parseXml, type ParsedXml } from './xml-parse.js';

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

/** Where the files of a block are looked for: those of drafts stand in a folder of their own, with the course's behind it. */
export interface Place {
  readonly isDraft: boolean;
}

/** Parts of all texts that are read for one course, and of the files that are open at one time, one inside of the other. */
const MAX_ALL_NODES = 10_000_000;
const MAX_OPEN_NODES = 300_000;
const PATHS_A_TURN = 500;
const ROOT_FILE = 'course.xml';
/** What archives of libraries hold in its place, of the older kind and of the newer. */
const LIBRARY_FILES = new Set(['library.xml', 'package.toml']);
/** The folder of what was never published, laid out as the course is. */
export const DRAFTS = 'drafts/';

/** The blocks of an OLX course: finds them by their pointers, and puts the course's policy over them. */
export class OlxFiles {
  private policy: Policy = { attributesOf: () => undefined, isUnclear: false };
  private nodes = 0;
  private openNodes = 0;

  private constructor(readonly files: CourseFiles) {}

  /** The course has a policy that cannot be read: whom its parts are for is unclear. */
  get isPolicyUnclear(): boolean {
    return this.policy.isUnclear;
  }

  /** Opens the course of an archive. Throws AppError unprocessable OLX_NO_COURSE, OLX_LIBRARY, OLX_BROKEN_XML, OLX_TOO_LARGE, OLX_TOO_DEEP. */
  static async open(source: Source): Promise<{ files: OlxFiles; root: Block }> {
    const base = await baseOf(source);
    const files = new OlxFiles(new CourseFiles(source, base));
    const path = base + ROOT_FILE;
    const parsed = await files.parse(ROOT_FILE);
    if (parsed?.root?.name === 'library') throw isLibrary(path);
    if (parsed?.root?.name !== 'course') {
      throw new AppError('unprocessable', 'OLX_NO_COURSE', { path }, { message: 'course.xml holds no <course>' });
    }
    if (parsed.problem !== undefined) throw brokenXml(path, parsed.problem);
    const run = nameOf(parsed.root);
    files.policy = await readPolicy(files.files, run);
    const root = await files.resolve(parsed.root, `course/${run ?? 'course'}`);
    if (root.problem !== undefined) throw brokenXml(root.key, root.problem);
    return { files, root };
  }

  /**
   * The block that an element stands for: its own file when the element only points at one, the element with what the file of its
   * `filename` holds, the element itself otherwise. Attributes of the course's policy go over those of the element, as in Open edX.
   * To be given back by `close`.
   */
  async resolve(element: Element, fallbackKey: string, place: Place = { isDraft: false }): Promise<Block> {
    const name = nameOf(element);
    const plain = blockKey(name === undefined ? fallbackKey : `${element.name}/${name}`);
    const key = place.isDraft && name !== undefined ? DRAFTS + plain : plain;
    const isPointing = name !== undefined && isPointer(element);
    const file = isPointing ? name : fileNameOf(element);
    const own = this.withPolicy(element, plain);
    if (file === undefined) return { key, element: own, nodes: 0 };
    const path = `${element.name}/${file.replaceAll(':', '/')}.xml`;
    const parsed = await this.parse(path, place);
    const shown = `${element.name}/${shortText(file, MAX_KEY)}.xml`;
    if (parsed === undefined) {
      // A page of HTML may stand in for itself.
      if (element.name === 'html' && this.files.size(`html/${file}.html`) !== undefined)
        return { key, element: own, nodes: 0 };
      return { key, element: own, nodes: 0, problem: `points at ${shown}, which is not in the archive` };
    }
    const { nodes, text: raw } = parsed;
    if (parsed.root === undefined || parsed.root.name !== element.name) {
      return { key, element: own, nodes, problem: `${shown} holds no <${element.name}>`, raw };
    }
    const attributes = { ...withOldNames(parsed.root.attribs), ...withOldNames(element.attribs) };
    const found = elementLike(parsed.root, attributes, parsed.root.children);
    const block = { key, element: this.withPolicy(found, plain), nodes };
    return parsed.problem === undefined
      ? block
      : { ...block, problem: `is no well-formed XML: ${parsed.problem}`, raw };
  }

  /** Says that a block is done with, so that others have its room. */
  close(block: Pick<Block, 'nodes'>): void {
    this.openNodes -= block.nodes;
  }

  /** A text of the course; of a draft that of the draft, when there is one. */
  async text(relative: string, { isDraft }: Place): Promise<string | undefined> {
    const draft = isDraft ? await this.files.text(DRAFTS + relative) : undefined;
    return draft ?? this.files.text(relative);
  }

  /** Reads an XML file; undefined when there is none. */
  async parse(
    relative: string,
    place: Place = { isDraft: false },
  ): Promise<(ParsedXml & { text: string }) | undefined> {
    const text = await this.text(relative, place);
    if (text === undefined) return undefined;
    const parsed = await parseXml(text, this.files.source.pause);
    this.nodes += parsed.nodes;
    this.openNodes += parsed.nodes;
    if (this.nodes > MAX_ALL_NODES) throw tooLarge('elements and texts in all files', MAX_ALL_NODES);
    if (this.openNodes > MAX_OPEN_NODES)
      throw tooLarge('elements and texts in files inside of each other', MAX_OPEN_NODES);
    return { ...parsed, text };
  }

  private withPolicy(element: Element, key: string): Element {
    const attributes = withOldNames({ ...element.attribs, ...this.policy.attributesOf(key) });
    return elementLike(element, attributes, element.children);
  }
}

/** The name of a block, in the form that names of files have: `url_name`, or `slug` as it was called before 2012. */
export function nameOf({ attribs }: Element): string | undefined {
  const name = attribs['url_name'] || attribs['slug'];
  return name ? normalForm(name) : undefined;
}

/** Titles were called `name` before 2012, and names `slug`. */
function withOldNames(attributes: Record<string, string>): Record<string, string> {
  const { slug, name } = attributes;
  return {
    ...(slug === undefined ? {} : { url_name: slug }),
    ...(name === undefined ? {} : { display_name: name }),
    ...attributes,
  };
}

/** The folder of the course.xml nearest to the top; of two that are alike the first by name. */
async function baseOf({ archive, pause }: Source): Promise<string> {
  let best: string | undefined;
  let library: string | undefined;
  let n = 0;
  for (const path of archive.paths) {
    if (++n % PATHS_A_TURN === 0) await pause();
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (LIBRARY_FILES.has(name)) library ??= path;
    if (name !== ROOT_FILE) continue;
    const nearer = best === undefined ? -1 : depthOf(path) - depthOf(best);
    if (nearer < 0 || (nearer === 0 && path < (best ?? ''))) best = path;
  }
  if (best !== undefined) return best.slice(0, -ROOT_FILE.length);
  if (library !== undefined) throw isLibrary(library);
  throw new AppError('unprocessable', 'OLX_NO_COURSE', {}, { message: 'the archive holds no course.xml' });
}

function isLibrary(path: string): AppError {
  const message = `${path} is a library of problems, which is no course; import a course that uses it`;
  return new AppError('unprocessable', 'OLX_LIBRARY', { path }, { message });
}

function brokenXml(path: string, problem: string): AppError {
  return new AppError('unprocessable', 'OLX_BROKEN_XML', { path }, { message: `${path}: ${problem}` });
}

function depthOf(path: string): number {
  return path.split('/').length;
}

/** The file that holds an element's content while its attributes stand at the element: of courses before 2012. */
function fileNameOf({ name, attribs }: Element): string | undefined {
  // An html block names a file of HTML that way to this day.
  return name === 'html' ? undefined : attribs['filename'] || undefined;
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
