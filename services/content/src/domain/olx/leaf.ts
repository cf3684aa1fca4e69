import type { Audience, LessonInput } from '@coursewright/course-model/lesson';
import { codePoints, firstPoints, isAtMost } from '@coursewright/course-model/text-length';
import type { Element } from 'domhandler';
import { MAX_TITLE, titleOf } from './attributes.js';
import { shortText } from '../text.js';
import { htmlRemarks } from './html-remarks.js';
import { learnersParts, problemType, unanswerable, unseenIn, type ProblemPart } from './problem.js';
import { numberValue, textValue } from './values.js';
import { videoContent } from './video.js';
import { elementLike, elementsOf, xmlOf } from './xml.js';

/** A leaf block with everything that belongs to it, read from wherever it stands. */
export interface Leaf {
  id: string;
  /** `type/url_name`. */
  key: string;
  element: Element;
  /** The HTML of an html block; undefined when its file is missing. */
  html?: string;
  /** Text that is kept instead of the element, when the element could not be read as XML. */
  raw?: string;
  audience: Audience;
  /** Whether it counts towards a grade. */
  graded: boolean;
}

type ListName = 'materials' | 'exercises' | 'assessments';
type ItemOf<L extends ListName> = NonNullable<LessonInput[L]>[number];

/** An item in the list that it belongs to. */
export type ListedItem =
  | { list: 'materials'; item: ItemOf<'materials'> }
  | { list: 'exercises'; item: ItemOf<'exercises'> }
  | { list: 'assessments'; item: ItemOf<'assessments'> };

/** The item that a leaf block becomes, and what is to be said of it. */
export type LeafItem = ListedItem & {
  /** Learners do not get it, or not so that they could use it: it is there for authors. */
  kept: boolean;
  /** What does not reach learners as it was; the source holds it all. */
  remarks: readonly string[];
};

/**
 * Turns a leaf block into an item. `html` → material text/html, as it came; `video` → material video; `problem` → assessment
 * when it counts towards a grade, else exercise, with the OLX itself among the answers, which never reach learners. Every
 * other kind is kept whole as a material `vendor/olx-<kind>` for authors.
 */
export function itemOfLeaf(leaf: Leaf): LeafItem {
  if (leaf.raw === undefined) {
    if (leaf.element.name === 'html' && leaf.html !== undefined) return htmlItem(leaf, leaf.html);
    if (leaf.element.name === 'video') return videoItem(leaf);
    if (leaf.element.name === 'problem') return problemItem(leaf) ?? vendorItem(leaf);
  }
  return vendorItem(leaf);
}

/** A text that stands between blocks, for authors: Open edX shows it to nobody. */
export function looseText(of: { id: string; key: string; html: string }): ListedItem {
  const { id, key, html } = of;
  const source = { format: 'olx', key };
  return { list: 'materials', item: { id, audience: 'author', source, type: 'text/html', content: html } };
}

function common(leaf: Leaf) {
  const title = titleOf(leaf.element.attribs);
  return {
    id: leaf.id,
    audience: leaf.audience,
    source: { format: 'olx', key: leaf.key },
    ...(title === undefined ? {} : { title: firstPoints(title, MAX_TITLE) }),
  };
}

/** A title that is longer than titles may be stays among the attributes that are kept. */
function titleRemarks({ element }: Leaf): string[] {
  const title = titleOf(element.attribs);
  if (title === undefined || isAtMost(title, MAX_TITLE)) return [];
  return [`has a title of ${codePoints(title)} characters; the first ${MAX_TITLE} are its title here`];
}

/** The attributes that have no place of their own, kept for authors and for an export. */
function metadataOf(leaf: Leaf) {
  const { element } = leaf;
  const isTitleCut = titleRemarks(leaf).length > 0;
  const used = ['url_name', 'filename', 'slug', 'name', ...(isTitleCut ? [] : ['display_name'])];
  const left = Object.entries(element.attribs).filter(([name]) => !used.includes(name));
  if (left.length === 0) return {};
  // Names that no document may use as keys can still be kept, inside of the element's own text.
  const plain = left.every(([name]) => /^[A-Za-z][\w:.-]*$/.test(name));
  return {
    metadata: { olx: plain ? Object.fromEntries(left) : { source: xmlOf(elementLike(element, element.attribs, [])) } },
  };
}

function htmlItem(leaf: Leaf, html: string): LeafItem {
  return {
    list: 'materials',
    item: { ...common(leaf), type: 'text/html', content: html, ...metadataOf(leaf) },
    kept: false,
    remarks: [...titleRemarks(leaf), ...htmlRemarks(html)],
  };
}

function videoItem(leaf: Leaf): LeafItem {
  const content = videoContent(leaf.element);
  const isPlayable = content['youtube'] !== undefined || content['sources'] !== undefined;
  const lacks = 'names no video that can be played here; learners see what else it names, authors its source';
  return {
    list: 'materials',
    item: { ...common(leaf), type: 'video', content, metadata: { olx: { source: xmlOf(leaf.element) } } },
    kept: !isPlayable,
    remarks: isPlayable ? titleRemarks(leaf) : [...titleRemarks(leaf), lacks],
  };
}

/** Texts and questions of one problem that a document may have. */
const MOST_PARTS = 2000;

/** The item of a problem; undefined for one of more parts than a document may have. */
function problemItem(leaf: Leaf): LeafItem | undefined {
  const parts = learnersParts(leaf.element);
  if (parts.length > MOST_PARTS) return undefined;
  const answers = { format: 'olx', source: xmlOf(leaf.element) };
  const type = problemType(parts);
  const unanswered = unanswerable(parts);
  const said = {
    kept: unanswered.length > 0,
    remarks: [
      ...titleRemarks(leaf),
      ...unanswered.map(cannotBeAnswered),
      ...scriptRemarks(leaf.element),
      ...unseenRemarks(leaf.element),
      ...htmlRemarks(htmlOf(parts)),
    ],
  };
  if (!leaf.graded) {
    const [first, ...others] = parts;
    const isText = first?.type === 'text';
    const instructions = isText ? { html: first.html } : '';
    const content = { questions: isText ? others : parts };
    return { list: 'exercises', item: { ...common(leaf), type, instructions, content, answers }, ...said };
  }
  const { attribs } = leaf.element;
  const attempts = numberValue(attribs['max_attempts']);
  const showAnswer = textValue(attribs['showanswer']);
  const scoring = {
    weight: numberValue(attribs['weight']) ?? 1,
    ...(attempts !== undefined && Number.isSafeInteger(attempts) && attempts >= 0 ? { maxAttempts: attempts } : {}),
    ...(showAnswer === undefined ? {} : { showAnswer }),
  };
  return { list: 'assessments', item: { ...common(leaf), type, questions: parts, answers, scoring }, ...said };
}

function cannotBeAnswered(type: string, index: number): string {
  const element = type.slice('olx-'.length);
  return `question ${index + 1} of those that cannot be answered here: <${element}> has no counterpart; learners see its text, authors its source`;
}

/** All that learners see of a problem. */
function htmlOf(parts: readonly ProblemPart[]): string {
  return parts.flatMap(({ html, options = [] }) => [html, ...options.map((option) => option.html)]).join('\n');
}

function unseenRemarks(problem: Element): string[] {
  const names = unseenIn(problem);
  if (names.length === 0) return [];
  const some = names.slice(0, 20).map((name) => `<${shortText(name, 50)}>`);
  return [`what stands in ${some.join(', ')} has no counterpart and is not shown to learners; its source is kept`];
}

/** Scripts set the variables of a problem and judge its answers; nothing of that happens here. */
function scriptRemarks(problem: Element): string[] {
  return hasScript(problem) ? ['has a script, which does not run here; learners see its variables by their names'] : [];
}

function hasScript(element: Element): boolean {
  return elementsOf(element).some((child) => /^script$/i.test(child.name) || hasScript(child));
}

function vendorItem(leaf: Leaf): LeafItem {
  const kind = leaf.element.name.replace(/[^A-Za-z0-9._+-]/g, '-').slice(0, 80);
  return {
    list: 'materials',
    item: {
      ...common(leaf),
      audience: leaf.audience === 'grader' ? 'grader' : 'author',
      type: `vendor/olx-${kind}`,
      content: leaf.raw ?? xmlOf(leaf.element),
    },
    kept: true,
    remarks: titleRemarks(leaf),
  };
}
