import { DomHandler, isTag, type Element } from 'domhandler';
import { Parser } from 'htmlparser2';
import type { Pause } from '../archive.js';
import { withEntities } from './entities.js';
import { tooDeep, tooLarge, XML_LIMITS } from './limits.js';
import { wellFormedness } from './xml-check.js';

/** An XML text, read leniently. `problem` says why it is not well-formed; absent when it is. */
export interface ParsedXml {
  root: Element | undefined;
  /** How many parts the tree has: elements, texts, comments and what else XML knows. */
  nodes: number;
  problem?: string;
}

/** Characters that are read between two chances for other work of the process. */
const CHUNK = 16 * 1024;

/**
 * Reads an XML text piece by piece, refusing it as soon as it is over a limit. Named entities are characters; nothing is fetched. A text that is not well-formed is read as far as it makes sense, and said to be broken.
 *
 * @throws AppError unprocessable OLX_TOO_LARGE, OLX_TOO_DEEP
 */
export async function parseXml(source: string, pause: Pause): Promise<ParsedXml> {
  const text = await withEntities(source, pause);
  const problem = await wellFormedness(text, pause);
  const handler = new LimitedHandler();
  const parser = new Parser(handler, { xmlMode: true, decodeEntities: true });
  for (let at = 0; at < text.length; at += CHUNK) {
    parser.write(text.slice(at, at + CHUNK));
    await pause();
  }
  parser.end();
  const read = { root: handler.root.children.find(isTag), nodes: handler.nodes };
  return problem === undefined ? read : { ...read, problem };
}

/** Builds the tree of a text within the limits; counts before it keeps. */
class LimitedHandler extends DomHandler {
  nodes = 0;
  private depth = 0;
  private attributes = 0;
  private isInText = false;

  constructor() {
    super(undefined, { xmlMode: true, withStartIndices: true, withEndIndices: true });
  }

  private count(isText = false): void {
    if (isText && this.isInText) return;
    this.isInText = isText;
    if (++this.nodes > XML_LIMITS.nodes) throw tooLarge('elements and texts in one file', XML_LIMITS.nodes);
  }

  onopentagname(name: string): void {
    if (name.length > XML_LIMITS.name) throw tooLarge('characters in the name of an element', XML_LIMITS.name);
    if (++this.depth > XML_LIMITS.depth) throw tooDeep();
    this.attributes = 0;
  }

  onattribute(name: string, value: string): void {
    if (++this.attributes > XML_LIMITS.attributes) throw tooLarge('attributes in one element', XML_LIMITS.attributes);
    if (name.length > XML_LIMITS.name) throw tooLarge('characters in the name of an attribute', XML_LIMITS.name);
    if (value.length > XML_LIMITS.attribute) throw tooLarge('characters in one attribute', XML_LIMITS.attribute);
  }

  override onopentag(name: string, attributes: Record<string, string>): void {
    this.count();
    super.onopentag(name, attributes);
  }

  override onclosetag(): void {
    this.depth--;
    this.isInText = false;
    super.onclosetag();
  }

  override ontext(data: string): void {
    this.count(true);
    super.ontext(data);
  }

  override oncomment(data: string): void {
    this.count();
    super.oncomment(data);
  }

  override oncdatastart(): void {
    this.count();
    super.oncdatastart();
    this.isInText = true;
  }

  override oncdataend(): void {
    this.isInText = false;
    super.oncdataend();
  }

  override onprocessinginstruction(name: string, data: string): void {
    this.count();
    super.onprocessinginstruction(name, data);
  }
}
