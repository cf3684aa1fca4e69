import { decodeHTMLStrict } from 'entities/decode';
import type { Pause } from '../archive.js';
import { escapeHtml } from '../escape.js';
import { tooLarge } from './limits.js';

/** Entities between two looks at the time. */
const A_TURN = 1000;
/** Characters that its entities may add to a text: a document type can make a lot of a little. */
const MAX_TEXT = 8 * 1024 * 1024;
const MAX_DOCTYPE = 64 * 1024;
const NAME = /&([A-Za-z][\w.-]{0,63});/y;
const OF_XML = new Set(['amp', 'lt', 'gt', 'quot', 'apos']);

/**
 * The text of an XML file with named entities as characters: those of HTML (`&nbsp;`, `&mdash;`), which courses use without saying so,
 * and plain ones that its document type declares. The five of XML stay, and so does what stands in comments and CDATA sections. An
 * entity that holds markup or other entities is not expanded, and nothing is fetched.
 *
 * @throws AppError unprocessable OLX_TOO_LARGE
 */
export async function withEntities(text: string, pause: Pause): Promise<string> {
  const own = declaredEntities(text);
  const parts: string[] = [];
  let done = 0;
  let length = text.length;
  let n = 0;
  for (let at = nextPlace(text, 0); at >= 0; at = nextPlace(text, at)) {
    if (++n % A_TURN === 0) await pause();
    const skipped = text[at] === '<' ? endOfOpaque(text, at) : undefined;
    if (skipped !== undefined) {
      at = skipped;
      continue;
    }
    NAME.lastIndex = at;
    const name = text[at] === '&' ? NAME.exec(text)?.[1] : undefined;
    const value = name === undefined || OF_XML.has(name) ? undefined : (own.get(name) ?? ofHtml(name));
    if (value === undefined || name === undefined) {
      at++;
      continue;
    }
    parts.push(text.slice(done, at), escapeHtml(value));
    at += name.length + 2;
    done = at;
    length += value.length;
    if (length > MAX_TEXT + text.length) throw tooLarge('characters that its entities add', MAX_TEXT);
  }
  return parts.length === 0 ? text : parts.join('') + text.slice(done);
}

const PLACE = /&[A-Za-z]|<!/g;

function nextPlace(text: string, from: number): number {
  PLACE.lastIndex = from;
  return PLACE.exec(text)?.index ?? -1;
}

/** Behind a comment or a CDATA section; the end of the text for one that is not closed. Undefined for anything else. */
function endOfOpaque(text: string, at: number): number | undefined {
  for (const [open, close] of [
    ['<!--', '-->'],
    ['<![CDATA[', ']]>'],
  ] as const) {
    if (!text.startsWith(open, at)) continue;
    const end = text.indexOf(close, at + open.length);
    return end < 0 ? text.length : end + close.length;
  }
  return undefined;
}

function ofHtml(name: string): string | undefined {
  const entity = `&${name};`;
  const value = decodeHTMLStrict(entity);
  return value === entity ? undefined : value;
}

const DECLARATION = /<!ENTITY\s+([A-Za-z][\w.-]{0,63})\s+(?:"([^"<%]{0,1000})"|'([^'<%]{0,1000})')\s*>/g;

/** The plain entities of a document type: those whose value is text and references to characters. */
function declaredEntities(text: string): ReadonlyMap<string, string> {
  const start = text.indexOf('<!DOCTYPE');
  if (start < 0 || start > MAX_DOCTYPE) return new Map();
  const found = new Map<string, string>();
  for (const [, name = '', double, single] of text.slice(start, start + MAX_DOCTYPE).matchAll(DECLARATION)) {
    const value = decodeHTMLStrict(double ?? single ?? '');
    // The first declaration counts. A value with another entity of the document in it is not plain.
    if (!found.has(name) && !/&[A-Za-z]/.test(value)) found.set(name, value);
  }
  return found;
}
