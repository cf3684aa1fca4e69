import type { ProjectedLesson } from '@coursewright/course-model/project-lesson';
import MarkdownIt from 'markdown-it';
import type { Attributes, IOptions } from 'sanitize-html';

/** Raised whenever the same document would be rendered to other HTML; part of every cache key and of learners' hashes. */
export const RENDER_VERSION = 1;

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

/** A text as safe HTML: what begins with a tag is taken for HTML, anything else for Markdown. */
export function renderText(text: string): string {
  return sanitize(/^\s*<[a-z!/]/i.test(text) ? text : markdown.render(text));
}

/** Renders what an audience may see of a lesson, i.e. its projection. Pure: the same projection gives the same HTML. */
export function renderLesson(lesson: ProjectedLesson): RenderedPage {
  const items = new Map<string, RenderedItem>();
  for (const { id, type, title = '', audience, content } of lesson.materials) {
    items.set(id, { id, kind: 'material', type, title, audience, html: renderMaterial(type, content) });
  }
  for (const { id, type, title = '', audience, ...parts } of lesson.exercises) {
    const html = renderParts(parts.instructions) + renderParts(parts.content) + forAuthors('Answers', parts.answers);
    items.set(id, { id, kind: 'exercise', type, title, audience, html });
  }
  for (const { id, type, title = '', audience, ...parts } of lesson.assessments) {
    const html =
      renderParts(parts.questions) + forAuthors('Answers', parts.answers) + forAuthors('Scoring', parts.scoring);
    items.set(id, { id, kind: 'assessment', type, title, audience, html });
  }
  return {
    objectives: lesson.objectives.map(({ id, text }) => ({ id, html: sanitize(markdown.renderInline(text)) })),
    items: lesson.order.flatMap((id) => items.get(id) ?? []),
  };
}

function renderMaterial(type: string, content: unknown): string {
  if (typeof content === 'string' && type === 'text/html') return sanitize(content);
  if (typeof content === 'string' && type === 'text/markdown') return sanitize(markdown.render(content));
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
  switch (type) {
    case 'image':
      return sanitize(urls.map((url) => `<img src="${escapeHtml(url)}" alt="${name}">`).join(''));
    case 'audio':
      return sanitize(urls.map((url) => `<audio controls src="${escapeHtml(url)}"></audio>`).join(''));
    case 'video':
      return sanitize(renderVideo(place, urls));
    case 'file':
    case 'link':
      return sanitize(urls.map((url) => `<p><a href="${escapeHtml(url)}">${name}</a></p>`).join(''));
    default:
      return code(content);
  }
}

function renderVideo(place: Record<string, unknown>, urls: readonly string[]): string {
  const youtube = place['youtube'];
  const linked =
    typeof youtube === 'string' && /^[\w-]{1,64}$/.test(youtube)
      ? `<p><a href="https://www.youtube.com/watch?v=${youtube}">https://www.youtube.com/watch?v=${youtube}</a></p>`
      : '';
  return linked + urls.map((url) => `<video controls src="${escapeHtml(url)}"></video>`).join('');
}

/** A text, a list of parts, or an object that has some of `html`, `text`, `prompt`, `questions` and `options`; else its JSON. */
function renderParts(value: unknown, depth = 0): string {
  if (value === '' || value === null || value === undefined || depth > 8) return '';
  if (typeof value === 'string') return renderText(value);
  if (Array.isArray(value)) return value.map((part: unknown) => renderParts(part, depth + 1)).join('');
  if (!isRecord(value)) return code(value);
  const texts = ['html', 'text', 'prompt', 'question']
    .map((name) => value[name])
    .filter((text) => typeof text === 'string');
  const { questions, options } = value;
  if (texts.length === 0 && !Array.isArray(questions) && !Array.isArray(options)) return code(value);
  const choices = Array.isArray(options)
    ? `<ul>${options.map((option: unknown) => `<li>${renderParts(option, depth + 1)}</li>`).join('')}</ul>`
    : '';
  return texts.map((text) => `<div>${renderText(text)}</div>`).join('') + renderParts(questions, depth + 1) + choices;
}

/** What only authors get: the projection of learners has none of it. */
function forAuthors(title: string, value: unknown): string {
  return value === undefined || value === null || value === ''
    ? ''
    : `<details><summary>${title}</summary>${code(value)}</details>`;
}

function code(value: unknown): string {
  return `<pre><code>${escapeHtml(typeof value === 'string' ? value : JSON.stringify(value, null, 2))}</code></pre>`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isUrl(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
