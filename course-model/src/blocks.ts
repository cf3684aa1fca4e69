/** A piece of a text that people think of as one thing. The texts of all blocks, joined, are the text itself. */
export interface Block {
  kind: 'heading' | 'paragraph' | 'item' | 'code' | 'fence' | 'table' | 'element' | 'text';
  text: string;
}

/**
 * Splits a text into blocks: Markdown by headings, paragraphs, list items, code fences, div fences and tables; HTML by
 * block elements. White space after a block belongs to it, so `joinBlocks(splitBlocks(x)) === x` for every x. Any type but
 * `text/html` is taken for Markdown. Blocks have no stored ids: merge, blame and threads align them by this one function.
 */
export function splitBlocks(text: string, type: string): Block[] {
  return type === 'text/html' ? splitHtml(text) : splitMarkdown(text);
}

/** The text whose blocks these are. */
export function joinBlocks(blocks: readonly Block[]): string {
  return blocks.map((block) => block.text).join('');
}

/** The lines of a text, each with its line end; the last may have none. */
export function linesOf(text: string): string[] {
  return text === '' ? [] : (text.match(/[^\n]*\n|[^\n]+$/g) ?? []);
}

const BLANK = /^[ \t]*\n?$/;
const CODE_FENCE = /^ {0,3}(`{3,}|~{3,})/;
const DIV_FENCE = /^ {0,3}:{3,}/;
const HEADING = /^ {0,3}#{1,6}(?:[ \t]|\n|$)/;
const ITEM = /^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:[ \t]|\n|$)/;
const TABLE_ROW = /^ {0,3}\|/;

function splitMarkdown(text: string): Block[] {
  const blocks: Block[] = [];
  let fence = '';
  let afterBlank = true;
  for (const line of linesOf(text)) {
    const last = blocks.at(-1);
    if (fence !== '' && last) {
      last.text += line;
      if (closes(line, fence)) fence = '';
      afterBlank = false;
      continue;
    }
    if (BLANK.test(line) && last) {
      last.text += line;
      afterBlank = true;
      continue;
    }
    const kind = markdownKind(line);
    fence = kind === 'code' ? (CODE_FENCE.exec(line)?.[1] ?? '') : '';
    if (last && continues(last.kind, kind, { line, afterBlank })) last.text += line;
    else blocks.push({ kind, text: line });
    afterBlank = false;
  }
  return blocks;
}

function closes(line: string, fence: string): boolean {
  const run = /^ {0,3}(`{3,}|~{3,})[ \t]*\n?$/.exec(line)?.[1];
  return run !== undefined && run[0] === fence[0] && run.length >= fence.length;
}

function markdownKind(line: string): Block['kind'] {
  if (CODE_FENCE.test(line)) return 'code';
  if (DIV_FENCE.test(line)) return 'fence';
  if (HEADING.test(line)) return 'heading';
  if (ITEM.test(line)) return 'item';
  return TABLE_ROW.test(line) ? 'table' : 'paragraph';
}

function continues(before: Block['kind'], now: Block['kind'], at: { line: string; afterBlank: boolean }): boolean {
  if (now === 'table') return before === 'table' && !at.afterBlank;
  if (now !== 'paragraph') return false;
  // An indented paragraph after a blank line still belongs to its list item; other text is lazy continuation until a blank line.
  if (before === 'item') return !at.afterBlank || /^(?: {2,}|\t)/.test(at.line);
  return before === 'paragraph' && !at.afterBlank;
}

const BLOCK_ELEMENTS =
  'address|article|aside|blockquote|body|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|head|header|hr|html|iframe|li|main|nav|object|ol|p|pre|script|section|style|summary|svg|table|tbody|td|tfoot|th|thead|tr|ul|video|audio';
const TAG = new RegExp(
  `<(?:(?<comment>!--)|(?<raw>pre|script|style|svg)\\b|/(?:${BLOCK_ELEMENTS})\\s*>|(?<open>${BLOCK_ELEMENTS})(?=[\\s/>]))`,
  'gi',
);

/** Where a comment, or an element whose inside is no markup or whose white space counts, ends; -1 when it never does. */
function endOfWhole(lower: string, start: number, name: string): number {
  if (name === '!--') {
    const end = lower.indexOf('-->', start + 4);
    return end < 0 ? -1 : end + 3;
  }
  const close = lower.indexOf(`</${name}`, start);
  const end = close < 0 ? -1 : lower.indexOf('>', close);
  return end < 0 ? -1 : end + 1;
}

function splitHtml(text: string): Block[] {
  const lower = text.toLowerCase().length === text.length ? text.toLowerCase() : text;
  const cuts = new Set<number>();
  // What is not closed once is closed nowhere further on: without this memory hostile input would be searched to its end each time.
  const unclosed = new Set<string>();
  TAG.lastIndex = 0;
  for (let match = TAG.exec(text); match; match = TAG.exec(text)) {
    const whole = (match.groups?.comment ?? match.groups?.raw)?.toLowerCase();
    let end = match.index + match[0].length;
    if (whole !== undefined || match.groups?.open !== undefined) cuts.add(match.index);
    if (match.groups?.open !== undefined) continue;
    if (whole !== undefined) {
      const close = unclosed.has(whole) ? -1 : endOfWhole(lower, match.index, whole);
      if (close < 0) {
        unclosed.add(whole);
        continue;
      }
      end = close;
    }
    end += /^\s{0,200}/.exec(text.slice(end, end + 200))?.[0].length ?? 0;
    cuts.add(end);
    TAG.lastIndex = end;
  }
  const ends = [...cuts].filter((cut) => cut > 0 && cut < text.length).sort((a, b) => a - b);
  const blocks: Block[] = [];
  let start = 0;
  for (const end of [...ends, text.length]) {
    if (end === start) continue;
    const piece = text.slice(start, end);
    blocks.push({ kind: htmlKind(piece), text: piece });
    start = end;
  }
  return blocks;
}

function htmlKind(piece: string): Block['kind'] {
  const name = /^\s*<([a-z][a-z0-9]*)/i.exec(piece)?.[1]?.toLowerCase();
  if (name === undefined) return 'text';
  if (/^h[1-6]$/.test(name)) return 'heading';
  if (name === 'p') return 'paragraph';
  if (name === 'li') return 'item';
  return name === 'pre' ? 'code' : 'element';
}
