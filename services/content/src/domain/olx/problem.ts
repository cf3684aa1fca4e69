import { isTag, type AnyNode, type Element } from 'domhandler';
import { dropdownChoices } from './dropdown.js';
import { escapeText } from '../escape.js';
import { fieldMark, INPUTS, SHOWN, shown, shownAll, TEXT_ONLY, type Showing } from './problem-text.js';
import { elementsOf, textOf } from './xml.js';

/** A part of a problem as learners may see it: text, or a question with its choices, never what is right. */
export interface ProblemPart {
  type: string;
  /** HTML, as it came: sanitised when it is rendered. */
  html: string;
  options?: { html: string }[];
  /** The number of a question whose place is marked in a text before it: `<span data-field="1">`. */
  field?: number;
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

/** Elements that only group others; a question may stand in them without losing anything when it is taken out. */
const WRAPPERS = new Set('div section article main fieldset center header footer aside nav'.split(' '));
/** Elements that hold the choices of a question. */
const CHOICES = new Set(['choice', 'option']);
const GROUPS = new Set(
  'choicegroup checkboxgroup radiogroup radiotextgroup checkboxtextgroup optioninput options problem'.split(' '),
);

/**
 * What learners may see of a problem, by an allow-list: text and its markup, questions, the choices in their order. Solutions,
 * hints, answers, scripts, comments and unknown elements are left out; they stay in the problem's source, which only authors get.
 *
 * A question that stands in a sentence, a list or a table leaves a mark there and follows the text:
 * `<p>Paris is in <stringresponse…/>.</p>` → text `<p>Paris is in <span data-field="1">[1] ______</span>.</p>`, question with `field: 1`.
 */
export function learnersParts(problem: Element): ProblemPart[] {
  const parts: ProblemPart[] = [];
  let text = '';
  let fields = 0;
  const holders = new Set<AnyNode>();
  markHolders(problem, holders);
  const flush = (): void => {
    if (text.trim() !== '') parts.push({ type: 'text', html: text.trim() });
    text = '';
  };
  const inText = (element: Element): void => {
    const questions: ProblemPart[] = [];
    const instead = (inner: Element, showing: Showing): string | undefined => {
      if (!isResponse(inner)) return undefined;
      const field = ++fields;
      const { type, options } = questionOf(inner, field);
      questions.push(options ? { type, html: `<p>[${field}]</p>`, options, field } : { type, html: '', field });
      const own = shownAll(inner.children, { ...showing, field, isInside: true }).trim();
      return own.includes('data-field=') ? own : `${own}${own === '' ? '' : ' '}${fieldMark(field)}`;
    };
    text += shown(element, { instead });
    flush();
    parts.push(...questions);
  };
  const walk = (nodes: readonly AnyNode[]): void => {
    for (const node of nodes) {
      if (isTag(node) && isResponse(node)) {
        flush();
        parts.push(questionOf(node, ++fields));
      } else if (isTag(node) && holders.has(node) && WRAPPERS.has(node.name.toLowerCase())) walk(node.children);
      else if (isTag(node) && holders.has(node) && SHOWN.has(node.name.toLowerCase())) inText(node);
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

/** The questions that nobody can answer here: kinds that a script or a program of their own asks and judges. */
export function unanswerable(parts: readonly ProblemPart[]): string[] {
  return parts.map((part) => part.type).filter((type) => type.startsWith('olx-'));
}

/** What is for authors by what it is: what is right, why, how it is judged, and what runs. */
const FOR_AUTHORS =
  /hint|solution|answer|param|grading|rubric|annotation|^(?:script|style|template|head|init|correct|payload|plugin|tests?)$/;

/** Names of the elements of a problem whose text no learner sees though nothing says that it is for authors only. */
export function unseenIn(problem: Element): string[] {
  const unseen = new Set<string>();
  const look = (element: Element): void => {
    for (const child of elementsOf(element)) {
      const name = child.name.toLowerCase().replace(/^(?:m|mml):/, '');
      if (FOR_AUTHORS.test(name)) continue;
      const isKnown = SHOWN.has(name) || TEXT_ONLY.has(name) || CHOICES.has(name) || GROUPS.has(name);
      if (isKnown || isResponse(child)) look(child);
      else if (!INPUTS.has(name) && name !== 'imageinput' && textOf(child).trim() !== '') unseen.add(name);
    }
  };
  look(problem);
  return [...unseen];
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

function questionOf(response: Element, field: number): ProblemPart {
  const name = response.name.toLowerCase();
  const options: { html: string }[] = [];
  collectOptions(response, options);
  const shownHere = shownAll(response.children, { field }).trim();
  const isMarked = options.length > 0 || shownHere.includes('data-field=');
  const html = isMarked ? shownHere : `${shownHere}<p>${fieldMark(field)}</p>`;
  const type = QUESTION_TYPES.get(name) ?? `olx-${name.replace(/[^a-z0-9]/g, '')}`.slice(0, 80);
  return { type, html, ...(options.length > 0 ? { options } : {}) };
}

function collectOptions(element: Element, into: { html: string }[]): void {
  if (element.name === 'optioninput' && element.attribs['options'] !== undefined) {
    for (const text of dropdownChoices(element.attribs['options'])) into.push({ html: escapeText(text) });
  }
  for (const child of elementsOf(element)) {
    if (CHOICES.has(child.name)) into.push({ html: shownAll(child.children).trim() });
    else if (GROUPS.has(child.name) || TEXT_ONLY.has(child.name) || SHOWN.has(child.name)) collectOptions(child, into);
  }
}
