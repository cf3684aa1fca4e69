import { isWellFormed } from '@coursewright/course-model/canonical';
import type { Audience, LessonInput } from '@coursewright/course-model/lesson';
import type { Element } from 'domhandler';
import { cutText } from '../text.js';
import { learnersParts, problemType } from './problem.js';
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

/** The item that a leaf block becomes, with the list that it belongs to. */
export type LeafItem =
  | { list: 'materials'; item: ItemOf<'materials'>; kept: boolean }
  | { list: 'exercises'; item: ItemOf<'exercises'>; kept: boolean }
  | { list: 'assessments'; item: ItemOf<'assessments'>; kept: boolean };

/**
 * Turns a leaf block into an item. `html` → material text/html, as it came; `video` → material video; `problem` → assessment
 * when it counts towards a grade, else exercise, with the OLX itself among the answers, which never reach learners. Every
 * other kind is kept whole as a material `vendor/olx-<kind>` for authors.
 */
export function itemOfLeaf(leaf: Leaf): LeafItem {
  if (leaf.raw === undefined) {
    if (leaf.element.name === 'html' && leaf.html !== undefined) return htmlItem(leaf, leaf.html);
    if (leaf.element.name === 'video') return videoItem(leaf);
    if (leaf.element.name === 'problem') return problemItem(leaf);
  }
  return vendorItem(leaf);
}

function common(leaf: Leaf) {
  const title = cutText(leaf.element.attribs['display_name']?.trim() ?? '', 500);
  return {
    id: leaf.id,
    audience: leaf.audience,
    source: { format: 'olx', key: cutText(leaf.key, 500) },
    ...(title ? { title } : {}),
  };
}

/** The attributes that have no place of their own, kept for authors and for an export. */
function metadataOf(element: Element, ...used: string[]) {
  const left = Object.entries(element.attribs).filter(
    ([name]) => !['url_name', 'display_name', 'filename', ...used].includes(name),
  );
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
    item: { ...common(leaf), type: 'text/html', content: html, ...metadataOf(leaf.element) },
    kept: false,
  };
}

function videoItem(leaf: Leaf): LeafItem {
  const { attribs } = leaf.element;
  const youtube = attribs['youtube_id_1_0'] || /(?:^|,)1\.0+:([\w-]+)/.exec(attribs['youtube'] ?? '')?.[1];
  const sources = [
    ...listOfUrls(attribs['html5_sources']),
    ...elementsOf(leaf.element).flatMap((child) =>
      child.name === 'source' && child.attribs['src'] ? [child.attribs['src']] : [],
    ),
  ];
  const transcripts = elementsOf(leaf.element).flatMap((child) =>
    child.name === 'transcript' && child.attribs['src'] !== undefined
      ? [{ language: child.attribs['language'] ?? '', src: staticPath(child.attribs['src']) }]
      : [],
  );
  const content = {
    ...(youtube ? { youtube } : {}),
    ...(sources.length > 0 ? { sources: [...new Set(sources)] } : {}),
    ...(attribs['start_time'] ? { start: attribs['start_time'] } : {}),
    ...(attribs['end_time'] ? { end: attribs['end_time'] } : {}),
    ...(transcripts.length > 0 ? { transcripts } : {}),
    ...(attribs['handout'] ? { handout: attribs['handout'] } : {}),
  };
  return {
    list: 'materials',
    item: { ...common(leaf), type: 'video', content, metadata: { olx: { source: xmlOf(leaf.element) } } },
    kept: false,
  };
}

function listOfUrls(json: string | undefined): string[] {
  try {
    const list: unknown = JSON.parse(json ?? '[]');
    return Array.isArray(list)
      ? list.filter((url): url is string => typeof url === 'string' && isWellFormed(url) && !url.includes('\0'))
      : [];
  } catch {
    // Not a list that could be read; the whole element stays in the item's metadata.
    return [];
  }
}

function staticPath(src: string): string {
  return src.includes('/') ? src : `/static/${src}`;
}

function problemItem(leaf: Leaf): LeafItem {
  const parts = learnersParts(leaf.element);
  const answers = { format: 'olx', source: xmlOf(leaf.element) };
  const type = problemType(parts);
  if (!leaf.graded) {
    const [first, ...others] = parts;
    const instructions = first?.type === 'text' ? first.html : '';
    const questions = first?.type === 'text' ? others : parts;
    return {
      list: 'exercises',
      item: { ...common(leaf), type, instructions, content: { questions }, answers },
      kept: false,
    };
  }
  const { attribs } = leaf.element;
  const scoring = {
    weight: Number.isFinite(Number(attribs['weight'] ?? 1)) ? Number(attribs['weight'] ?? 1) : 1,
    ...(/^\d{1,6}$/.test(attribs['max_attempts'] ?? '') ? { maxAttempts: Number(attribs['max_attempts']) } : {}),
    ...(attribs['showanswer'] ? { showAnswer: attribs['showanswer'] } : {}),
  };
  return { list: 'assessments', item: { ...common(leaf), type, questions: parts, answers, scoring }, kept: false };
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
  };
}
