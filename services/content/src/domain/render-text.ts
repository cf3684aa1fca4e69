import MarkdownIt from 'markdown-it';
import type { Attributes, IOptions } from 'sanitize-html';
import { leaveMathAlone } from './markdown-math.js';
import { escapeHtml } from './escape.js';
import { Beyond, prepareHtml, type Prepared } from './render-prepare.js';
import { MATH_TAGS, SHOWN_TAGS } from './shown-tags.js';

/**
 * What may still be spent on a page. Markup is counted before it is parsed, for some of it costs far more than its length: nesting
 * its square, a heading of two characters three objects.
 */
export interface RenderBudget {
  /** Notes say what is wrong to those who can mend it, and nothing but that it is missing to others. */
  readonly isForAuthors: boolean;
  /** Marks of markup, and ten for each text. */
  markup: number;
  /** Bytes of HTML. */
  bytes: number;
}

/** Marks of one text, elements of it, its deepest nesting; what a page may cost altogether. */
export const RENDER_LIMITS = {
  textMarks: 60_000,
  textElements: 50_000,
  nesting: 100,
  pageMarkup: 150_000,
  pageBytes: 3 * 1024 * 1024,
};

/** A page's whole budget. */
export function renderBudget(isForAuthors: boolean): RenderBudget {
  return { isForAuthors, markup: RENDER_LIMITS.pageMarkup, bytes: RENDER_LIMITS.pageBytes };
}

/** Thrown when a page's budget has no room for a part, which is then replaced by a note. */
export class BudgetUsedUp extends Error {
  override readonly name = 'BudgetUsedUp';
}

/** What a text costs before its first mark. */
export const TEXT_COST = 10;

/** Takes from the budget; what it does not have is not taken, so that smaller parts still find room. Throws BudgetUsedUp. */
export function spend(budget: RenderBudget, cost: { markup?: number; bytes?: number }): void {
  const markup = budget.markup - (cost.markup ?? 0);
  const bytes = budget.bytes - (cost.bytes ?? 0);
  if (markup < 0 || bytes < 0) throw new BudgetUsedUp();
  Object.assign(budget, { markup, bytes });
}

/** What stands in the place of something that is not shown. */
export function note(isForAuthors: boolean, why: string): string {
  return isForAuthors ? `<p><em>Not shown: ${escapeHtml(why)}.</em></p>` : '<p><em>This part cannot be shown.</em></p>';
}

// CommonJS that requires the ES module which the OLX reader imports: loaded after that is linked, or the two wait for each other.
const { default: sanitizeHtml } = await import('sanitize-html');

const markdown = new MarkdownIt({ html: true, linkify: false, typographer: false }).use(leaveMathAlone);
const LANGUAGE_CLASS = /^language-[\w+-]{1,40}$/;

const MATH_ATTRIBUTES = (
  'accent accentunder align columnalign columnlines columnspacing columnspan depth dir display displaystyle fence frame height ' +
  'linethickness lspace mathsize mathvariant maxsize minsize movablelimits notation rowalign rowlines rowspacing rowspan rspace ' +
  'scriptlevel separator separators open close stretchy subscriptshift superscriptshift symmetric voffset width'
).split(' ');

const OPTIONS: IOptions = {
  allowedTags: [...SHOWN_TAGS],
  // No style (it can draw over the page), no event handler ever; ids with a prefix of their own, or they would shadow the page's.
  allowedAttributes: {
    '*': ['title', 'lang', 'dir', 'id'],
    a: ['href', 'rel'],
    img: ['src', 'alt', 'width', 'height', 'loading'],
    audio: ['src', 'controls'],
    video: ['src', 'controls', 'width', 'height', 'poster'],
    source: ['src', 'type'],
    track: ['src', 'kind', 'srclang', 'label'],
    code: ['class'],
    pre: ['class'],
    span: ['data-field'],
    ol: ['start', 'type', 'reversed'],
    li: ['value'],
    td: ['colspan', 'rowspan'],
    th: ['colspan', 'rowspan', 'scope', 'abbr'],
    time: ['datetime'],
    details: ['open'],
    q: ['cite'],
    blockquote: ['cite'],
    ...Object.fromEntries(MATH_TAGS.map((name) => [name, MATH_ATTRIBUTES])),
  },
  allowedClasses: { code: [LANGUAGE_CLASS], pre: [LANGUAGE_CLASS] },
  allowedSchemes: ['http', 'https', 'mailto', 'tel'],
  allowedSchemesByTag: { img: ['http', 'https', 'data'] },
  allowProtocolRelative: true,
  nestingLimit: 100,
  transformTags: {
    a: (tagName, attribs) => ({ tagName, attribs: { ...attribs, rel: 'noopener noreferrer nofollow' } }),
    img: (tagName, attribs) => ({ tagName, attribs: safeImage(attribs) }),
    '*': (tagName, attribs) => ({ tagName, attribs: ownAddresses(attribs) }),
  },
};

/** Where files of courses are read. */
const ASSETS = '/api/assets/';
const ASSET = /^asset:([A-Za-z0-9_-]{43})(?=$|#)/;
/** What ids of a text begin with, so that none is an id of the page that shows it. */
const ID_PREFIX = 'part-';

/** Links to files lead to where they are read, and links inside of a text to its own ids; marks of answer fields are numbers. */
function ownAddresses(attribs: Attributes): Attributes {
  for (const name of ['href', 'src', 'poster'] as const) {
    const url = attribs[name];
    if (url === undefined) continue;
    if (name === 'href' && /^#[^#\s]+$/.test(url)) attribs[name] = `#${ID_PREFIX}${url.slice(1)}`;
    else attribs[name] = url.replace(ASSET, `${ASSETS}$1`);
  }
  if (attribs['id'] !== undefined) attribs['id'] = ID_PREFIX + attribs['id'];
  if (attribs['data-field'] !== undefined && !/^\d{1,4}$/.test(attribs['data-field'])) delete attribs['data-field'];
  return attribs;
}

/** Pictures inside of a text may be pixels only: an SVG is a document that can hold script. */
function safeImage(attribs: Attributes): Attributes {
  const { src, ...others } = attribs;
  const inline = /^\s*data:/i.test(src ?? '');
  if (inline && !/^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*$/.test(src ?? ''))
    return { ...others, loading: 'lazy' };
  return { ...attribs, loading: 'lazy' };
}

/** HTML that holds nothing but harmless markup: no script, no style, no frame, no form, no event handler, no odd URL. */
export function sanitize(html: string): string {
  return sanitizeHtml(html, OPTIONS);
}

/** HTML as it may be shown, or a note in its place when it is beyond the limits. */
export function safeHtml(html: string, budget: RenderBudget): string {
  const prepared = prepare(html);
  if (typeof prepared === 'string') return note(budget.isForAuthors, prepared);
  spend(budget, { markup: TEXT_COST + prepared.count });
  return prepared.pieces.sanitized(sanitize);
}

/** Markdown as HTML that may be shown, or a note in its place when it is beyond the limits. */
export function safeMarkdown(text: string, budget: RenderBudget, form: 'blocks' | 'inline' = 'blocks'): string {
  const marks = countMarks(text);
  if (marks > RENDER_LIMITS.textMarks)
    return note(budget.isForAuthors, `the text has more than ${RENDER_LIMITS.textMarks} lines and marks of markup`);
  spend(budget, { markup: marks });
  return safeHtml(form === 'blocks' ? markdown.render(text) : markdown.renderInline(text), budget);
}

/** A text that an author wrote here as safe HTML: what begins with a tag is taken for HTML, anything else for Markdown. */
export function renderText(text: string, budget: RenderBudget = renderBudget(true)): string {
  return /^\s*<[a-z!/]/i.test(text) ? safeHtml(text, budget) : safeMarkdown(text, budget);
}

/** Lines and characters that may mean something in Markdown. */
function countMarks(text: string): number {
  let marks = 0;
  for (let i = 0; i < text.length; i++) if (MARKS.has(text.charCodeAt(i))) marks++;
  return marks;
}

const MARKS: ReadonlySet<number> = new Set([...'\n*_`[]!<&\\|~>'].map((mark) => mark.charCodeAt(0)));

/** HTML ready for the sanitiser, or what is wrong with it. */
function prepare(html: string): Prepared | string {
  try {
    return prepareHtml(html, { elements: RENDER_LIMITS.textElements, nesting: RENDER_LIMITS.nesting });
  } catch (error) {
    if (error instanceof Beyond) return error.message;
    throw error;
  }
}
