import type { Pause } from '../archive.js';

/** Tags between two looks at the time. */
const A_TURN = 256;
const NAME = /[A-Za-z_:][\w:.\u00b7-\uffff-]*/y;
/** What may stand between the parts of a tag, up to the next character that means something there. */
const PLAIN = /[^"'<>]*/y;
const PLAIN_DOCTYPE = /[^"'<>[\]]*/y;

interface Token {
  /** Behind the token. */
  end: number;
  /** Of an element's tag. */
  name?: string;
  isClosing?: boolean;
}

/**
 * Why a text is no well-formed XML (tags that do not match, stray "<"), or undefined. Reads each character a bounded number of times,
 * holds the names of the open elements only, and ends at the first thing that is wrong.
 */
export async function wellFormedness(text: string, pause: Pause): Promise<string | undefined> {
  const open: string[] = [];
  let roots = 0;
  let tokens = 0;
  let end: number;
  for (let at = text.indexOf('<'); at >= 0; at = text.indexOf('<', end)) {
    if (++tokens % A_TURN === 0) await pause();
    const token = tokenAt(text, at);
    if (!token) return `a "<" at character ${at} begins nothing`;
    end = token.end;
    const { name, isClosing } = token;
    if (name === undefined) continue;
    if (isClosing) {
      const expected = open.pop();
      if (expected !== name)
        return `</${name}> at character ${at} closes ${expected === undefined ? 'nothing' : `<${expected}>`}`;
    } else {
      if (open.length === 0) roots++;
      if (text[end - 2] !== '/') open.push(name);
      // Deeper than anything that is read further; the reader says so.
      if (open.length > MOST_OPEN) return 'it is nested too deeply';
    }
  }
  if (open.length > 0) return `<${open.at(-1)}> is not closed`;
  return roots === 1 ? undefined : `${roots} root elements`;
}

const MOST_OPEN = 1000;
const MOST_QUOTED = 1000;

function tokenAt(text: string, at: number): Token | undefined {
  if (text.startsWith('<!--', at)) return upTo(text, '-->', at + 4);
  if (text.startsWith('<![CDATA[', at)) return upTo(text, ']]>', at + 9);
  if (text.startsWith('<?', at)) return upTo(text, '?>', at + 2);
  if (text.startsWith('<!', at)) return doctypeAt(text, at + 2);
  const isClosing = text[at + 1] === '/';
  NAME.lastIndex = at + (isClosing ? 2 : 1);
  const name = NAME.exec(text)?.[0];
  if (name === undefined) return undefined;
  const end = tagEnd(text, NAME.lastIndex);
  return end === undefined ? undefined : { end, name, isClosing };
}

function upTo(text: string, mark: string, from: number): Token | undefined {
  const at = text.indexOf(mark, from);
  return at < 0 ? undefined : { end: at + mark.length };
}

/** Behind the ">" of a tag; values of attributes may hold one, but no "<". */
function tagEnd(text: string, from: number): number | undefined {
  let quoted = 0;
  for (let at = skip(PLAIN, text, from); at < text.length; at = skip(PLAIN, text, at)) {
    const character = text[at];
    if (character === '>') return at + 1;
    // More attributes than any reader takes; the rest is not looked at.
    if (character === '<' || ++quoted > MOST_QUOTED) return undefined;
    const close = text.indexOf(character ?? '"', at + 1);
    if (close < 0 || text.slice(at, close).includes('<')) return undefined;
    at = close + 1;
  }
  return undefined;
}

/** Behind the ">" of a document type, with what it says in brackets. */
function doctypeAt(text: string, from: number): Token | undefined {
  let quoted = 0;
  for (let at = skip(PLAIN_DOCTYPE, text, from); at < text.length; at = skip(PLAIN_DOCTYPE, text, at)) {
    const character = text[at] ?? '';
    if (character === '>') return { end: at + 1 };
    if (character !== '"' && character !== "'" && character !== '[') return undefined;
    if (++quoted > MOST_QUOTED) return undefined;
    const close = text.indexOf(character === '[' ? ']' : character, at + 1);
    if (close < 0) return undefined;
    at = close + 1;
  }
  return undefined;
}

function skip(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  pattern.exec(text);
  return pattern.lastIndex;
}
