import { Parser } from 'htmlparser2';
import MarkdownIt from 'markdown-it';
import type { Attributes, IOptions } from 'sanitize-html';

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

const markdown = new MarkdownIt({ html: true, linkify: false, typographer: false });

const OPTIONS: IOptions = {
  allowedTags: (
    'a abbr b bdi bdo big blockquote br caption center cite code col colgroup dd del details dfn div dl dt em figcaption figure h1 h2 h3 ' +
    'h4 h5 h6 hr i img ins kbd li mark ol p pre q rp rt ruby s samp section small span strike strong sub summary sup table tbody td tfoot ' +
    'th thead time tr tt u ul var wbr audio video source'
  ).split(' '),
  // No id and no name (they would shadow the page's own), no style (it can draw over the page), no event handler ever.
  allowedAttributes: {
    '*': ['title', 'lang', 'dir'],
    a: ['href', 'rel'],
    img: ['src', 'alt', 'width', 'height', 'loading'],
    audio: ['src', 'controls'],
    video: ['src', 'controls', 'width', 'height'],
    source: ['src', 'type'],
    code: ['class'],
    ol: ['start', 'type'],
    td: ['colspan', 'rowspan'],
    th: ['colspan', 'rowspan', 'scope'],
    time: ['datetime'],
    details: ['open'],
  },
  allowedClasses: { code: [/^language-[\w+-]{1,40}$/] },
  allowedSchemes: ['http', 'https', 'mailto'],
  allowedSchemesByTag: { img: ['http', 'https', 'data'] },
  allowProtocolRelative: false,
  nestingLimit: 100,
  transformTags: {
    a: (tagName, attribs) => ({ tagName, attribs: { ...attribs, rel: 'noopener noreferrer nofollow' } }),
    img: (tagName, attribs) => ({ tagName, attribs: safeImage(attribs) }),
  },
};

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
  const elements = countElements(html);
  if (typeof elements === 'string') return note(budget.isForAuthors, elements);
  spend(budget, { markup: TEXT_COST + elements });
  return sanitize(html);
}

/** Markdown as HTML that may be shown, or a note in its place when it is beyond the limits. */
export function safeMarkdown(text: string, budget: RenderBudget, form: 'blocks' | 'inline' = 'blocks'): string {
  const marks = countMarks(text);
  if (marks > RENDER_LIMITS.textMarks)
    return note(budget.isForAuthors, `the text has more than ${RENDER_LIMITS.textMarks} lines and marks of markup`);
  spend(budget, { markup: marks });
  return safeHtml(form === 'blocks' ? markdown.render(text) : markdown.renderInline(text), budget);
}

/** A text as safe HTML: what begins with a tag is taken for HTML, anything else for Markdown. */
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

/** How many elements and attributes HTML has, or what is wrong with it; stops at the first limit, so it is linear. */
function countElements(html: string): number | string {
  let count = 0;
  let depth = 0;
  const look = (): void => {
    if (depth > RENDER_LIMITS.nesting)
      throw new Beyond(`elements are nested deeper than ${RENDER_LIMITS.nesting} levels`);
    if (++count > RENDER_LIMITS.textElements)
      throw new Beyond(`the text has more than ${RENDER_LIMITS.textElements} elements and attributes`);
  };
  const parser = new Parser({
    onopentagname() {
      depth++;
      look();
    },
    onattribute: look,
    onclosetag: () => void depth--,
  });
  try {
    parser.end(html);
    return count;
  } catch (error) {
    if (error instanceof Beyond) return error.message;
    throw error;
  }
}

class Beyond extends Error {}

/** Text as it may stand between tags and in attributes. */
export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
