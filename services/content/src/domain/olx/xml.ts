import { AppError } from '@coursewright/platform/errors';
import serialize from 'dom-serializer';
import { DomHandler, Element, isTag, isText, isCDATA, type AnyNode, type ParentNode } from 'domhandler';
import { Parser } from 'htmlparser2';

/** An XML text, read leniently. `problem` says why it is not well-formed; absent when it is. */
export interface ParsedXml {
  root: Element | undefined;
  problem?: string;
}

const MAX_DEPTH = 150;

/**
 * Reads an XML text. Entities are those of XML alone: a document type's own are never expanded, nothing is fetched. A text
 * that is not well-formed is read as far as it makes sense, and said to be broken.
 *
 * @throws AppError unprocessable OLX_TOO_DEEP for elements nested deeper than 150
 */
export function parseXml(text: string): ParsedXml {
  const problem = checkWellFormed(text);
  const handler = new DomHandler(undefined, { xmlMode: true });
  const parser = new Parser(handler, { xmlMode: true, decodeEntities: true });
  parser.end(text);
  const root = handler.root.children.find(isTag);
  return problem === undefined ? { root } : { root, problem };
}

const TOKEN =
  /<!--[\s\S]*?-->|<!\[CDATA\[[\s\S]*?\]\]>|<\?[\s\S]*?\?>|<!(?:[^"'<>[\]]|"[^"]*"|'[^']*')*(?:\[[^\]]*\]\s*)?>|<(?<close>\/)?(?<name>[A-Za-z_:][\w:.\u00b7-\uffff-]*)(?:[^"'<>]|"[^"<]*"|'[^'<]*')*>/y;

/** Why a text is no well-formed XML (tags that do not match, stray "<"), or undefined. Linear in its length. */
function checkWellFormed(text: string): string | undefined {
  const open: string[] = [];
  let roots = 0;
  for (let at = text.indexOf('<'); at >= 0; at = text.indexOf('<', TOKEN.lastIndex)) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text);
    if (!token) {
      assertDepth(text);
      return `a "<" at character ${at} begins nothing`;
    }
    const { name, close } = token.groups ?? {};
    if (name === undefined) continue;
    if (close !== undefined) {
      const expected = open.pop();
      if (expected !== name) {
        assertDepth(text);
        return `</${name}> at character ${at} closes ${expected === undefined ? 'nothing' : `<${expected}>`}`;
      }
    } else {
      if (open.length === 0) roots++;
      if (!token[0].endsWith('/>')) open.push(name);
      if (open.length > MAX_DEPTH) throw new AppError('unprocessable', 'OLX_TOO_DEEP', { limit: MAX_DEPTH });
    }
  }
  if (open.length > 0) return `<${open.at(-1)}> is not closed`;
  return roots === 1 ? undefined : `${roots} root elements`;
}

/** A broken text gives no depth to trust: what opens more elements than any sane text is not given to a recursive reader. */
function assertDepth(text: string): void {
  let depth = 0;
  let deepest = 0;
  new Parser(
    {
      onopentag: () => (deepest = Math.max(deepest, ++depth)),
      onclosetag: () => depth--,
    },
    { xmlMode: true },
  ).end(text);
  if (deepest > MAX_DEPTH) throw new AppError('unprocessable', 'OLX_TOO_DEEP', { limit: MAX_DEPTH });
}

/** The element children of a node. */
export function elementsOf(parent: ParentNode): Element[] {
  return parent.children.filter(isTag);
}

/** All text below a node, of CDATA sections too. */
export function textOf(node: AnyNode): string {
  if (isText(node)) return node.data;
  if (isTag(node) || isCDATA(node)) return node.children.map(textOf).join('');
  return '';
}

/** A node as XML again. */
export function xmlOf(node: AnyNode | AnyNode[]): string {
  return serialize(node, { xmlMode: true, encodeEntities: 'utf8' });
}

/** What stands inside an element, as HTML; CDATA sections become their text. */
export function innerHtml(element: Element): string {
  return element.children
    .map((child) =>
      isCDATA(child) ? child.children.map(textOf).join('') : serialize(child, { encodeEntities: 'utf8' }),
    )
    .join('');
}

/** An element with other attributes and children, unattached. */
export function elementLike(
  element: Element,
  attributes: Record<string, string>,
  children = element.children,
): Element {
  return new Element(element.name, attributes, children);
}
