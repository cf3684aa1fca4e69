import { isCDATA, isTag, isText, type AnyNode, type Element } from 'domhandler';
import { escapeHtml, escapeText } from '../escape.js';
import { RENAMED_TAGS, SHOWN_TAGS } from '../shown-tags.js';
import { textOf } from './xml.js';

/** Elements that may be shown with all their attributes; nothing else is, so no new way to write an answer leaks one. */
export const SHOWN: ReadonlySet<string> = new Set([
  ...SHOWN_TAGS,
  // Choices are collected from where a question has them.
  ...[...RENAMED_TAGS.keys()].filter((name) => name !== 'option' && name !== 'select'),
  ...'mathjax mathjaxinline maction text form hgroup noscript picture search'.split(' '),
  // Embeds become a link or a note when the page is rendered.
  ...'iframe object embed svg canvas'.split(' '),
]);

/** OLX elements of which only the text inside is shown. */
export const TEXT_ONLY: ReadonlySet<string> = new Set(
  'label description clarification tag_prompt comment_prompt comment annotationinput title text'.split(' '),
);

/** Elements into which learners put an answer, where they stand in a text. */
export const INPUTS: ReadonlySet<string> = new Set(
  (
    'textline textbox formulaequationinput formulainput numericalinput optioninput chemicalequationinput codeinput matlabinput ' +
    'numtolerance_input jsinput javascriptinput schematic filesubmission drag_and_drop_input choicegroup radiogroup checkboxgroup ' +
    'radiotextgroup checkboxtextgroup'
  ).split(' '),
);

/** Plain attributes that carry what is right, wherever they stand. */
const TELLTALE = new Set(['correct', 'answer', 'expect', 'points', 'rectangle', 'regions', 'correct_answer']);

/** How a text is shown: as HTML, with marks where answers go. */
export interface Showing {
  /** Number of the question that inputs belong to; undefined outside of questions. */
  readonly field?: number;
  /** Inside of an element that is shown, so that the place of an input matters. */
  readonly isInside?: boolean;
  /** What stands in the place of an element instead of what would; undefined for an element that is shown as usual. */
  readonly instead?: (element: Element, showing: Showing) => string | undefined;
}

/**
 * What learners may see of a node as HTML, by an allow-list. Solutions, hints, answers, scripts, comments and unknown elements are left
 * out. An input inside of a sentence or a table leaves a mark with the number of its question.
 */
export function shown(node: AnyNode, showing: Showing = {}): string {
  if (isText(node)) return escapeText(node.data);
  if (isCDATA(node)) return escapeText(textOf(node));
  if (!isTag(node)) return '';
  const instead = showing.instead?.(node, showing);
  if (instead !== undefined) return instead;
  const name = node.name.toLowerCase().replace(/^(?:m|mml):/, '');
  const below = showing.isInside === true ? showing : { ...showing, isInside: true };
  if (TEXT_ONLY.has(name)) {
    const inner = shownAll(node.children, below).trim();
    return inner === '' ? '' : `<p>${inner}</p>`;
  }
  if (name === 'imageinput') return imageOf(node);
  if (INPUTS.has(name)) return fieldOf(node, showing);
  if (!SHOWN.has(name)) return '';
  const attributes = Object.fromEntries(
    Object.entries(node.attribs).filter(([attribute]) => !TELLTALE.has(attribute.toLowerCase())),
  );
  const start = `<${name}${Object.entries(attributes).map(written).join('')}>`;
  return VOID.has(name) ? start : `${start}${shownAll(node.children, below)}</${name}>`;
}

const VOID = new Set('br col embed hr img source wbr'.split(' '));

function written([name, value]: [string, string]): string {
  return ` ${name}="${escapeHtml(value)}"`;
}

/** The same of several nodes. */
export function shownAll(nodes: readonly AnyNode[], showing: Showing = {}): string {
  return nodes.map((node) => shown(node, showing)).join('');
}

/** What stands in the place of an input: its mark where that matters, or where its unit (`trailing_text`) stands behind it. */
function fieldOf({ attribs }: Element, { field, isInside = false }: Showing): string {
  if (field === undefined) return '';
  const unit = (attribs['trailing_text'] ?? '').trim();
  if (unit === '') return isInside ? fieldMark(field) : '';
  const marked = `${fieldMark(field)} ${escapeText(unit)}`;
  return isInside ? marked : `<p>${marked}</p>`;
}

/** The place of an answer in a text. */
export function fieldMark(field: number): string {
  return `<span data-field="${field}">[${field}] ______</span>`;
}

/** The picture of a question, without the places in it that are right. */
function imageOf({ attribs }: Element): string {
  const source = attribs['src'] ?? attribs['img'];
  if (source === undefined || source === '') return '';
  return `<img${written(['src', source])}${written(['alt', attribs['alt'] ?? ''])}>`;
}
