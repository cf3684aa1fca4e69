import { Parser } from 'htmlparser2';
import { escapeHtml, escapeText } from './escape.js';
import { HidingRules, namesOf } from './hiding-rules.js';
import { Pieces, type Piece } from './render-pieces.js';
import { RENAMED_TAGS } from './shown-tags.js';
import { shortText } from './text.js';

/** HTML that is ready for the sanitiser, and what it costs. */
export interface Prepared {
  pieces: Pieces;
  /** Elements and attributes. */
  count: number;
}

/** What HTML may have at most. */
export interface PrepareLimits {
  elements: number;
  nesting: number;
}

/** Thrown for HTML beyond the limits, as soon as that is seen. */
export class Beyond extends Error {}

const VOID = new Set('area base br col embed hr img input link meta param source track wbr'.split(' '));
/** Of the elements that get another name those that may stand in a paragraph. */
const INLINE = new Set(['label', 'font', 'button', 'textarea', 'acronym']);
const EMBEDS = new Set(['embed', 'object', 'applet']);
/** Left out with all that they hold: what is said beside them (notations, fallbacks), what nobody sees, and what becomes a link or a note. */
const SKIPPED = new Set([
  ...['annotation', 'annotation-xml', 'template', 'title', 'noembed', 'noframes'],
  ...['iframe', 'svg'],
]);
/** Their text is nothing to be read. */
const SILENT = new Set(['script', 'style']);
/** Elements that a parser puts elsewhere than they are written: their page goes through the sanitiser as one text. */
const ODD = new Set(['applet', 'canvas', 'legend', 'object', 'optgroup', 'option', 'plaintext', 'select']);
const CELLS = new Set(['td', 'th']);
const ROWS = new Set(['tr', 'tbody', 'thead', 'tfoot']);
const LANGUAGES = new Set(
  (
    'bash c cpp csharp css diff go haskell html java javascript json julia kotlin latex lua makefile matlab ocaml octave perl php python r ruby ' +
    'rust scala scheme sh shell sql swift text typescript xml yaml'
  ).split(' '),
);

type Attributes = Record<string, string>;

interface Open {
  name: string;
  /** What ends it. */
  close: readonly Piece[];
  /** Cells below it are hidden. */
  hidesCells: boolean;
  /** Its classes and its id, as selectors name them. */
  names: readonly string[];
}

/**
 * Brings what the sanitiser would take away without a trace into a form that it lets through: embeds become a link with their name,
 * drawings a note, what is hidden until it is clicked stands behind `<details>`, sections and labels keep their place, MathML loses
 * its prefix, code keeps its language. Makes nothing safe. Throws Beyond for what is over the limits; each character is read once.
 */
export function prepareHtml(html: string, limits: PrepareLimits): Prepared {
  const out = new Pieces();
  const open: Open[] = [];
  const isIn = (name: string): boolean => open.some((one) => one.name === name);
  const hiding = HidingRules.of(html);
  let count = 0;
  let depth = 0;
  let skipping = 0;
  let drawing: string | undefined;
  /** What a drawing calls itself, while that is read. */
  let drawingTitle: string | undefined;
  const look = (): void => {
    if (depth > limits.nesting) throw new Beyond(`elements are nested deeper than ${limits.nesting} levels`);
    if (++count > limits.elements)
      throw new Beyond(`the text has more than ${limits.elements} elements and attributes`);
  };
  const start = (raw: string, attributes: Attributes): void => {
    const name = plainName(raw);
    if (SILENT.has(open.at(-1)?.name ?? '')) out.mustBeParsed();
    if (drawing !== undefined && name === 'title') drawingTitle = '';
    if (skipping > 0 || SKIPPED.has(name)) {
      if (skipping++ === 0 && name === 'iframe') {
        if (isIn('a')) out.mustBeParsed();
        out.push(...embedded(out, attributes, isIn('p')));
      }
      if (skipping === 1 && name === 'svg') drawing = attributes['aria-label'] ?? '';
      return;
    }
    const isHidden = isHiddenBy(hiding, name, attributes) || (CELLS.has(name) && open.some((one) => one.hidesCells));
    const isMoved = isHidden || (RENAMED_TAGS.has(name) && !INLINE.has(name)) || ODD.has(name);
    const isWithin = (isMoved || EMBEDS.has(name)) && isIn('p');
    if (ODD.has(name) || (isMoved && isWithin) || (EMBEDS.has(name) && isIn('a'))) out.mustBeParsed();
    const parts = partsOf(out, { name, attributes, isHidden, isWithin });
    out.push(...parts.start);
    if (VOID.has(name)) return;
    const names = namesOf(attributes);
    hiding.open(names);
    open.push({ name: raw, close: parts.close, hidesCells: isHidden && ROWS.has(name), names });
  };
  const end = (raw: string): void => {
    const name = plainName(raw);
    if (drawing !== undefined && name === 'title' && drawingTitle !== undefined) {
      drawing = drawing || drawingTitle.trim();
      drawingTitle = undefined;
    }
    if (skipping > 0) {
      if (--skipping === 0 && drawing !== undefined) {
        out.push(noteOf('Drawing', drawing));
        drawing = undefined;
      }
      return;
    }
    if (open.at(-1)?.name !== raw) return;
    const { close, names } = open.pop()!;
    hiding.close(names);
    out.push(...close);
  };
  const parser = new Parser(
    {
      onopentagname() {
        depth++;
        look();
      },
      onattribute: look,
      onopentag: start,
      onclosetag(name) {
        depth--;
        end(name);
      },
      ontext(data) {
        if (drawingTitle !== undefined) drawingTitle += data;
        else if (skipping === 0 && !SILENT.has(open.at(-1)?.name ?? '')) out.push(escapeText(data));
      },
    },
    { decodeEntities: true },
  );
  parser.end(html);
  return { pieces: out, count };
}

/** MathML may come with the prefix that its namespace has in XML. */
function plainName(name: string): string {
  return name.startsWith('m:') || name.startsWith('mml:') ? name.slice(name.indexOf(':') + 1) : name;
}

interface Start {
  readonly name: string;
  readonly attributes: Attributes;
  readonly isHidden: boolean;
  /** Whether it stands in a paragraph. */
  readonly isWithin: boolean;
}

/** How an element begins and ends. */
function partsOf(
  out: Pieces,
  { name: raw, attributes, isHidden, isWithin }: Start,
): { start: Piece[]; close: Piece[] } {
  const name = RENAMED_TAGS.get(raw) ?? raw;
  if (EMBEDS.has(name)) return { start: embedded(out, attributes, isWithin), close: [] };
  if (name === 'canvas') return { start: [noteOf('Drawing', attributes['aria-label'] ?? '')], close: [] };
  const isVoid = VOID.has(name);
  // What a field would send is not the number of a line in a list.
  const { value: _value, ...others } = attributes;
  const said = attributesOf(name, raw === 'option' ? others : attributes);
  const element = out.element(`<${name}${written(said)}>`, isVoid ? '' : name);
  const start = element.open;
  const close = isVoid ? [] : [element.close];
  if (!isHidden || ROWS.has(name) || isVoid) return { start: [start], close };
  const summary = `<details><summary>${escapeText(shortText(attributes['title'] ?? 'Show', 200))}</summary>`;
  // Where only certain elements may stand, the element stays and what it holds is hidden.
  if (CELLS.has(name) || name === 'li' || name === 'dd' || name === 'dt')
    return { start: [start, summary], close: ['</details>', ...close] };
  return { start: [summary, start], close: [...close, '</details>'] };
}

function attributesOf(name: string, attributes: Attributes): Attributes {
  const { style: _style, ...plain } = attributes;
  const language = name === 'code' || name === 'pre' ? languageOf(plain['class'] ?? '') : undefined;
  if (plain['class'] !== undefined) delete plain['class'];
  if (language !== undefined) plain['class'] = `language-${language}`;
  const { 'xml:lang': lang, name: anchor, ...others } = plain;
  if (lang !== undefined) others['lang'] ??= lang;
  if (name === 'a' && anchor !== undefined) others['id'] ??= anchor;
  return others;
}

/** `language-python`, `lang-python`, `brush: python`, `sourceCode python`, `python`. */
function languageOf(classes: string): string | undefined {
  const named = /(?:^|\s)(?:language|lang)-([\w+-]{1,40})/.exec(classes) ?? /brush:\s*([\w+-]{1,40})/.exec(classes);
  return named?.[1] ?? classes.split(/\s+/, 20).find((name) => LANGUAGES.has(name));
}

function isHiddenBy(rules: HidingRules, name: string, attributes: Attributes): boolean {
  if (name === 'script' || name === 'style' || name === 'input') return false;
  const { hidden } = attributes;
  if (hidden !== undefined && hidden.toLowerCase() !== 'false') return true;
  // Neither is seen before a script opens it.
  if ((name === 'dialog' && attributes['open'] === undefined) || attributes['popover'] !== undefined) return true;
  return rules.hides(name, attributes);
}

/** A page or object of elsewhere as a link by its name, or a note when it says not where it is. */
function embedded(out: Pieces, attributes: Attributes, isWithin: boolean): Piece[] {
  const url = attributes['src'] ?? attributes['data'] ?? '';
  const name = attributes['title'] || attributes['aria-label'] || attributes['name'] || '';
  if (url === '') return [noteOf('Embedded content', name)];
  const shown = name === '' ? url : `${name}: ${url}`;
  const { open, close } = out.element(`<a href="${escapeHtml(url)}">`, 'a');
  const link = [open, escapeText(shortText(shown, 300)), close];
  return isWithin ? link : ['<p>', ...link, '</p>'];
}

function noteOf(what: string, name: string): string {
  const said = name.trim() === '' ? what : `${what}: ${shortText(name.trim(), 300)}`;
  return `<em>[${escapeText(said)}]</em>`;
}

function written(attributes: Attributes): string {
  return Object.entries(attributes)
    .map(([name, value]) => (/^[A-Za-z][\w:.-]{0,60}$/.test(name) ? ` ${name}="${escapeHtml(value)}"` : ''))
    .join('');
}
