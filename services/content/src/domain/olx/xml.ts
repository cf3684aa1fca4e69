import serialize from 'dom-serializer';
import {
  Element,
  hasChildren,
  isCDATA,
  isComment,
  isDirective,
  isTag,
  isText,
  type AnyNode,
  type ParentNode,
} from 'domhandler';
import type { Pause } from '../archive.js';
import { escapeText } from '../escape.js';

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

/**
 * A node as XML again: what XML wants escaped is, and every other character stays as it was written. (The serializer for HTML writes all
 * that is not ASCII as references, three to eight bytes for each character, and joins a long attribute from a piece for each quote in it.)
 */
export function xmlOf(node: AnyNode): string {
  if (isText(node)) return escapeXml(node.data);
  if (isCDATA(node)) return `<![CDATA[${node.children.map(textOf).join('')}]]>`;
  if (isComment(node)) return `<!--${node.data}-->`;
  if (isDirective(node)) return `<${node.data}>`;
  if (!hasChildren(node)) return '';
  const inner = node.children.map(xmlOf).join('');
  if (!isTag(node)) return inner;
  const attributes = Object.entries(node.attribs).map(([name, value]) => ` ${name}="${escapeAttribute(value)}"`);
  const start = `<${node.name}${attributes.join('')}`;
  return inner === '' ? `${start}/>` : `${start}>${inner}</${node.name}>`;
}

function escapeXml(text: string): string {
  return escapeText(text).replaceAll('\r', '&#13;');
}

/** A reader of XML makes blanks of tabs and line ends that are not references. */
function escapeAttribute(value: string): string {
  return escapeXml(value).replaceAll('"', '&quot;').replaceAll('\t', '&#9;').replaceAll('\n', '&#10;');
}

/** An element as XML again, others having their turn: for one that may be as large as a file. */
export function writtenOut(element: Element, pause: Pause): Promise<string> {
  const shellOf = (node: Element): string => `${xmlOf(elementLike(node, node.attribs, [])).slice(0, -2)}>`;
  return inTurns([element], pause, { whole: xmlOf, shellOf });
}

/** What stands inside an element as HTML, others having their turn. */
export function htmlWrittenOut(element: Element, pause: Pause): Promise<string> {
  const shellOf = (node: Element): string =>
    htmlOf(elementLike(node, node.attribs, [])).slice(0, -`</${node.name}>`.length);
  return inTurns(element.children, pause, { whole: htmlOf, shellOf });
}

const PARTS_A_TURN = 1000;

async function inTurns(
  nodes: readonly AnyNode[],
  pause: Pause,
  write: { whole: (node: AnyNode) => string; shellOf: (element: Element) => string },
): Promise<string> {
  const parts: string[] = [];
  for (const node of nodes) {
    if (isTag(node) && isHeavier(node, PARTS_A_TURN))
      parts.push(write.shellOf(node), await inTurns(node.children, pause, write), `</${node.name}>`);
    else parts.push(write.whole(node));
    await pause();
  }
  return parts.join('');
}

/** What stands inside an element, as HTML; CDATA sections become their text. */
export function innerHtml(element: Element): string {
  return element.children.map(htmlOf).join('');
}

function htmlOf(node: AnyNode): string {
  return isCDATA(node) ? node.children.map(textOf).join('') : serialize(node, { encodeEntities: 'utf8' });
}

/** An element with other attributes and children, unattached. */
export function elementLike(
  element: Element,
  attributes: Record<string, string>,
  children = element.children,
): Element {
  const like = new Element(element.name, attributes, children);
  like.startIndex = element.startIndex;
  like.endIndex = element.endIndex;
  return like;
}

/** Characters that an element took in its file; 0 for one that was made here. */
export function lengthOf(element: Element): number {
  return (element.endIndex ?? 0) - (element.startIndex ?? 0);
}

/** Whether an element with all below it has more than so many parts: elements, attributes, texts. Looks no further than that. */
export function isHeavier(element: Element, most: number): boolean {
  let parts = 0;
  const open: AnyNode[] = [element];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    parts += 1 + (isTag(node) ? Object.keys(node.attribs).length : 0);
    if (parts > most) return true;
    if (!hasChildren(node)) continue;
    if (parts + open.length + node.children.length > most) return true;
    for (const child of node.children) open.push(child);
  }
  return false;
}
