import { isCDATA, isTag, isText, type AnyNode, type Element } from 'domhandler';
import serialize from 'dom-serializer';
import { cutText } from '../text.js';
import { elementLike, elementsOf, textOf } from './xml.js';

/** A part of a problem as learners may see it: text, or a question with its choices, never what is right. */
export interface ProblemPart {
  type: string;
  /** HTML, as it came: sanitised when it is rendered. */
  html: string;
  options?: { html: string }[];
}

/** The response elements of OLX and what they are called here; others keep their own name behind "olx-". */
const QUESTION_TYPES = new Map([
  ['multiplechoiceresponse', 'choice'],
  ['truefalseresponse', 'choice'],
  ['choiceresponse', 'multiple-choice'],
  ['optionresponse', 'dropdown'],
  ['stringresponse', 'short-text'],
  ['numericalresponse', 'number'],
  ['formularesponse', 'formula'],
]);

/** Elements that may be shown with all their attributes; nothing else is, so no new way to write an answer leaks one. */
const SHOWN = new Set(
  (
    'a abbr address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del details dfn div dl dt em ' +
    'fieldset figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd legend li main mark math mathjax mathjaxinline nav ' +
    'ol p pre q s samp section small source span strike strong style sub summary sup table tbody td text tfoot th thead time tr tt u ul ' +
    'var video audio wbr'
  ).split(' '),
);
/** OLX elements of which only the text inside is shown. */
const TEXT_ONLY = new Set([
  'label',
  'description',
  'clarification',
  'tag_prompt',
  'comment_prompt',
  'comment',
  'annotationinput',
  'title',
  'text',
]);
/** Elements that hold the choices of a question. */
const CHOICES = new Set(['choice', 'option']);
const GROUPS = new Set(['choicegroup', 'checkboxgroup', 'radiogroup', 'optioninput', 'options', 'problem']);
/** Plain attributes that carry what is right, wherever they stand. */
const TELLTALE = new Set(['correct', 'answer', 'expect', 'points', 'rectangle', 'regions', 'correct_answer']);

/**
 * What learners may see of a problem, by an allow-list: text and its markup, questions, the choices in their order. Solutions,
 * hints, answers, scripts, comments and unknown elements are left out; they stay in the problem's source, which only authors get.
 */
export function learnersParts(problem: Element): ProblemPart[] {
  const parts: ProblemPart[] = [];
  let text = '';
  const flush = () => {
    if (text.trim() !== '') parts.push({ type: 'text', html: text.trim() });
    text = '';
  };
  const holders = new Set<AnyNode>();
  markHolders(problem, holders);
  const walk = (nodes: readonly AnyNode[]) => {
    for (const node of nodes) {
      if (isTag(node) && isResponse(node)) {
        flush();
        parts.push(questionOf(node));
      } else if (isTag(node) && SHOWN.has(node.name.toLowerCase()) && holders.has(node)) walk(node.children);
      else text += shown(node);
    }
  };
  walk(problem.children);
  flush();
  return parts;
}

/** The type of a problem by its questions: theirs when they are alike, `mixed` when not, `problem` when there are none. */
export function problemType(parts: readonly ProblemPart[]): string {
  const types = [...new Set(parts.map((part) => part.type).filter((type) => type !== 'text'))];
  return types.length > 1 ? 'mixed' : (types[0] ?? 'problem');
}

function isResponse(element: Element): boolean {
  return element.name.toLowerCase().endsWith('response');
}

/** Finds the elements below one that hold a question somewhere, each of them looked at once. */
function markHolders(element: Element, holders: Set<AnyNode>): boolean {
  let holds = false;
  for (const child of elementsOf(element)) {
    const below = markHolders(child, holders);
    if (isResponse(child) || below) holds = true;
  }
  if (holds) holders.add(element);
  return holds;
}

function questionOf(response: Element): ProblemPart {
  const name = response.name.toLowerCase();
  const options: { html: string }[] = [];
  collectOptions(response, options);
  const html = response.children
    .map((child) => shown(child))
    .join('')
    .trim();
  const type = QUESTION_TYPES.get(name) ?? `olx-${name.replace(/[^a-z0-9]/g, '')}`.slice(0, 80);
  return { type, html, ...(options.length > 0 ? { options } : {}) };
}

function collectOptions(element: Element, into: { html: string }[]): void {
  if (element.name === 'optioninput' && element.attribs['options'] !== undefined) {
    for (const text of optionNames(element.attribs['options'])) into.push({ html: escapeHtml(text) });
  }
  for (const child of elementsOf(element)) {
    if (CHOICES.has(child.name))
      into.push({
        html: child.children
          .map((part) => shown(part))
          .join('')
          .trim(),
      });
    else if (GROUPS.has(child.name) || TEXT_ONLY.has(child.name) || SHOWN.has(child.name)) collectOptions(child, into);
  }
}

/** The names in an option list as OLX writes it: `('a','b\'s')`. One that is not closed ends the list. */
function optionNames(text: string): string[] {
  const list = cutText(text, MAX_OPTIONS);
  const names: string[] = [];
  for (let at = nextQuote(list, 0); at >= 0; at = nextQuote(list, at)) {
    const quote = list[at];
    let name = '';
    for (at++; at < list.length && list[at] !== quote; at++) {
      if (list[at] === '\\') at++;
      name += list[at] ?? '';
    }
    if (at >= list.length) break;
    names.push(name);
    at++;
  }
  return names;
}

function nextQuote(text: string, from: number): number {
  QUOTE.lastIndex = from;
  return QUOTE.exec(text)?.index ?? -1;
}

const QUOTE = /['"]/g;
/** Characters of an option list that are looked at; the whole list stays in the source. */
const MAX_OPTIONS = 20_000;

function shown(node: AnyNode): string {
  if (isText(node)) return escapeHtml(node.data);
  if (isCDATA(node)) return escapeHtml(textOf(node));
  if (!isTag(node)) return '';
  const name = node.name.toLowerCase();
  if (TEXT_ONLY.has(name)) {
    const inner = node.children.map(shown).join('').trim();
    return inner === '' ? '' : `<p>${inner}</p>`;
  }
  if (!SHOWN.has(name)) return '';
  const attributes = Object.fromEntries(
    Object.entries(node.attribs).filter(([attribute]) => !TELLTALE.has(attribute.toLowerCase())),
  );
  const inner = node.children.map(shown).join('');
  const shell = serialize(elementLike(node, attributes, []), { encodeEntities: 'utf8' });
  return shell.endsWith(`></${node.name}>`)
    ? shell.slice(0, -`</${node.name}>`.length) + inner + `</${node.name}>`
    : shell;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
