import { AppError } from '@coursewright/platform/errors';
import { DomHandler, isTag, type Element } from 'domhandler';
import { Parser } from 'htmlparser2';
import type { Pause } from '../archive.js';
import { wellFormedness } from './xml-check.js';

/** An XML text, read leniently. `problem` says why it is not well-formed; absent when it is. */
export interface ParsedXml {
  root: Element | undefined;
  /** How many parts the tree has: elements, texts, comments and what else XML knows. */
  nodes: number;
  problem?: string;
}

/**
 * What one XML text may hold at most. A few hundred kilobytes can describe millions of empty elements, each of which takes some
 * hundred bytes of memory as soon as it is read.
 */
export const XML_LIMITS = {
  nodes: 200_000,
  depth: 150,
  attributes: 200,
  /** Characters of an attribute, and of a name. */
  attribute: 1024 * 1024,
  name: 250,
} as const;

/** Characters that are read between two chances for other work of the process. */
const CHUNK = 16 * 1024;

/**
 * Reads an XML text piece by piece, refusing it as soon as it is over a limit. Entities are those of XML alone: a document type's own
 * are never expanded, nothing is fetched. A text that is not well-formed is read as far as it makes sense, and said to be broken.
 *
 * @throws AppError unprocessable OLX_TOO_LARGE, OLX_TOO_DEEP
 */
export async function parseXml(text: string, pause: Pause): Promise<ParsedXml> {
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

/** That a source is over a limit, and over which. */
export function tooLarge(what: string, limit: number): AppError {
  const message = `the source has more than ${limit} ${what}`;
  return new AppError('unprocessable', 'OLX_TOO_LARGE', { limit, of: what }, { message });
}

/** That a source is nested too deeply. */
export function tooDeep(): AppError {
  return new AppError('unprocessable', 'OLX_TOO_DEEP', { limit: XML_LIMITS.depth });
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
