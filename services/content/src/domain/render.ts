import type { ProjectedLesson } from '@coursewright/course-model/project-lesson';
import {
  BudgetUsedUp,
  note,
  renderBudget,
  renderText,
  safeHtml,
  safeMarkdown,
  spend,
  TEXT_COST,
  type RenderBudget,
} from './render-text.js';
import { escapeHtml } from './escape.js';
import { shortText } from './text.js';

/** Raised whenever the same document would be rendered to other HTML; part of every cache key and of learners' hashes. */
export const RENDER_VERSION = 4;

/** One item of a page as safe HTML. */
export interface RenderedItem {
  id: string;
  kind: 'material' | 'exercise' | 'assessment';
  type: string;
  title: string;
  html: string;
  audience: string;
}

/** A lesson as safe HTML, items in the order of the page. */
export interface RenderedPage {
  objectives: { id: string; html: string }[];
  items: RenderedItem[];
}

/** How a page is rendered. */
export interface RenderOptions {
  readonly isForAuthors: boolean;
  /** Whether the part at a place (objectives, then items) was too costly before: it becomes a note. */
  readonly isCostly?: (place: number) => boolean;
  /** Told the place of each part before it is rendered. */
  readonly onPart?: (place: number) => void;
}

/**
 * Renders what a reader may see of a lesson, i.e. its projection. Pure: the same projection gives the same HTML. What is beyond the
 * limits is replaced by a note, the other parts stay as they are; nothing is left out in silence.
 */
export function renderLesson(lesson: ProjectedLesson, options: RenderOptions = { isForAuthors: false }): RenderedPage {
  const { isForAuthors } = options;
  const budget = renderBudget(isForAuthors);
  let place = 0;
  const part = (render: () => string): string => {
    const here = place++;
    if (options.isCostly?.(here)) return note(isForAuthors, 'it takes too long to render');
    options.onPart?.(here);
    try {
      const html = render();
      spend(budget, { bytes: Buffer.byteLength(html) });
      return html;
    } catch (error) {
      if (error instanceof BudgetUsedUp)
        return note(isForAuthors, 'the lesson as a whole is too large or too complex to render');
      throw error;
    }
  };
  const objectives = lesson.objectives.map(({ id, text }) => ({
    id,
    html: part(() => safeMarkdown(text, budget, 'inline')),
  }));
  const byId = new Map<string, () => RenderedItem>();
  for (const { id, type, title = '', audience, content } of lesson.materials) {
    const shown = { id, kind: 'material' as const, type, title, audience };
    byId.set(id, () => ({ ...shown, html: part(() => renderMaterial(type, content, budget)) }));
  }
  for (const { id, type, title = '', audience, ...parts } of lesson.exercises) {
    const shown = { id, kind: 'exercise' as const, type, title, audience };
    const render = () =>
      renderParts(parts.instructions, budget) +
      renderParts(parts.content, budget) +
      forAuthors('Answers', parts.answers, budget);
    byId.set(id, () => ({ ...shown, html: part(render) }));
  }
  for (const { id, type, title = '', audience, ...parts } of lesson.assessments) {
    const shown = { id, kind: 'assessment' as const, type, title, audience };
    const render = () =>
      renderParts(parts.questions, budget) +
      forAuthors('Answers', parts.answers, budget) +
      forAuthors('Scoring', parts.scoring, budget);
    byId.set(id, () => ({ ...shown, html: part(render) }));
  }
  return { objectives, items: lesson.order.flatMap((id) => byId.get(id)?.() ?? []) };
}

/** Characters that a name may come to when it is written beside each file. */
const LONGEST_REPEATED = 1_000_000;

function renderMaterial(type: string, content: unknown, budget: RenderBudget): string {
  if (typeof content === 'string' && type === 'text/html') return safeHtml(content, budget);
  if (typeof content === 'string' && type === 'text/markdown') return safeMarkdown(content, budget);
  const place = isRecord(content) ? content : { url: content };
  const urls = [
    place['url'],
    place['src'],
    place['href'],
    ...(Array.isArray(place['sources']) ? (place['sources'] as unknown[]) : []),
  ].filter(isUrl);
  const name = escapeHtml(
    [place['alt'], place['name'], place['text'], urls[0]].find((text) => typeof text === 'string') ?? '',
  );
  if (urls.length * name.length > LONGEST_REPEATED)
    return note(budget.isForAuthors, 'it names too many files for so long a text');
  switch (type) {
    case 'image':
      return safeHtml(urls.map((url) => `<img src="${escapeHtml(url)}" alt="${name}">`).join(''), budget);
    case 'audio':
      return safeHtml(urls.map((url) => `<audio controls src="${escapeHtml(url)}"></audio>`).join(''), budget);
    case 'video':
      return safeHtml(renderVideo(place, urls), budget);
    case 'file':
    case 'link':
      return safeHtml(urls.map((url) => `<p><a href="${escapeHtml(url)}">${name}</a></p>`).join(''), budget);
    default:
      return code(content, budget);
  }
}

function renderVideo(place: Record<string, unknown>, urls: readonly string[]): string {
  const youtube = place['youtube'];
  const linked =
    typeof youtube === 'string' && /^[\w-]{1,64}$/.test(youtube)
      ? `<p><a href="https://www.youtube.com/watch?v=${youtube}">https://www.youtube.com/watch?v=${youtube}</a></p>`
      : '';
  const videos = urls.map((url) => `<video controls src="${escapeHtml(url)}"></video>`).join('');
  return linked + videos + playedPart(place) + transcriptLinks(place['transcripts']) + handoutLink(place['handout']);
}

/** Which part of a video is meant, where that is not all of it. */
function playedPart({ start, end }: Record<string, unknown>): string {
  const [from, to] = [start, end].map((time) => {
    const text = typeof time === 'string' || typeof time === 'number' ? String(time).trim() : '';
    return /^[0:.]*(?:0s)?$/.test(text) ? undefined : shortText(text, 100);
  });
  if (from === undefined && to === undefined) return '';
  const part = [from === undefined ? '' : ` from ${from}`, to === undefined ? '' : ` to ${to}`].join('');
  return `<p>Watch it${escapeHtml(part)}.</p>`;
}

function transcriptLinks(transcripts: unknown): string {
  if (!Array.isArray(transcripts)) return '';
  return transcripts
    .filter(isRecord)
    .map(({ src, language }) => {
      const name = typeof language === 'string' && language !== '' ? `Transcript (${language})` : 'Transcript';
      return isUrl(src) ? `<p><a href="${escapeHtml(src)}">${escapeHtml(name)}</a></p>` : '';
    })
    .join('');
}

function handoutLink(handout: unknown): string {
  return isUrl(handout) ? `<p><a href="${escapeHtml(handout)}">Handout</a></p>` : '';
}

/** A text, a list of parts, or an object that has some of `html`, `text`, `prompt`, `questions` and `options`; else its JSON. */
function renderParts(value: unknown, budget: RenderBudget, depth = 0): string {
  if (value === '' || value === null || value === undefined) return '';
  if (depth > 8) return code(value, budget);
  if (typeof value === 'string') return renderText(value, budget);
  if (Array.isArray(value)) return value.map((part: unknown) => renderParts(part, budget, depth + 1)).join('');
  if (!isRecord(value)) return code(value, budget);
  const texts = (['html', 'text', 'prompt', 'question'] as const).flatMap((name) => {
    const text = value[name];
    // What is called HTML is HTML, be it without a single tag.
    if (typeof text !== 'string') return [];
    return [name === 'html' ? safeHtml(text, budget) : renderText(text, budget)];
  });
  const { questions, options } = value;
  if (texts.length === 0 && !Array.isArray(questions) && !Array.isArray(options)) return code(value, budget);
  const choices = Array.isArray(options)
    ? `<ul>${options.map((option: unknown) => `<li>${renderOption(option, budget, depth + 1)}</li>`).join('')}</ul>`
    : '';
  return (
    texts.map((html) => (html === '' ? '' : `<div>${html}</div>`)).join('') +
    renderParts(questions, budget, depth + 1) +
    choices
  );
}

/** A choice: one that is HTML and nothing else is no block of its own. */
function renderOption(option: unknown, budget: RenderBudget, depth: number): string {
  const isPlain = isRecord(option) && Object.keys(option).length === 1 && typeof option['html'] === 'string';
  return isPlain ? safeHtml(option['html'] as string, budget) : renderParts(option, budget, depth);
}

/** What only authors get: the projection of learners has none of it. */
function forAuthors(title: string, value: unknown, budget: RenderBudget): string {
  return value === undefined || value === null || value === ''
    ? ''
    : `<details><summary>${title}</summary>${code(value, budget)}</details>`;
}

/** Longer JSON is shown as it is: indentation could make it thirty times as long. */
const LONGEST_INDENTED = 100_000;

function code(value: unknown, budget: RenderBudget): string {
  spend(budget, { markup: TEXT_COST });
  let text = typeof value === 'string' ? value : JSON.stringify(value);
  if (typeof value !== 'string' && text.length <= LONGEST_INDENTED) text = JSON.stringify(value, null, 2);
  return `<pre><code>${escapeHtml(text)}</code></pre>`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isUrl(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
