import serialize from 'dom-serializer';
import { Element, hasChildren, isTag, isText, isCDATA, type AnyNode, type ParentNode } from 'domhandler';

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
