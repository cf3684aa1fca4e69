import type { MarkdownIt, StateBlock, StateInline } from 'markdown-it';

/**
 * Teaches Markdown to leave formulas alone: what stands in `\(…\)`, `\[…\]`, `$…$` and `$$…$$` comes out as it was written, delimiters
 * and backslashes too, for the reader's page to set. A dollar opens a formula only before something that is no blank, and closes it
 * only behind such and not before a digit, so that "$5 and $10" is no formula (the rule of Pandoc's tex_math_dollars). A formula that
 * begins a line with `\[` or `$$` may go over several, up to an empty one.
 */
export function leaveMathAlone(markdown: MarkdownIt): void {
  markdown.inline.ruler.before('escape', 'math', (state, silent) => {
    const end = endOfMath(state);
    if (end === undefined) return false;
    if (!silent) state.push('text', '', 0).content = state.src.slice(state.pos, end);
    state.pos = end;
    return true;
  });
  const alt = ['paragraph', 'reference', 'blockquote', 'list'];
  markdown.block.ruler.before(
    'fence',
    'math',
    (state, first, last, silent) => {
      const end = lastLineOfMath((line) => lineOf(state, line), first, last);
      if (end === undefined) return false;
      if (silent) return true;
      state.push('paragraph_open', 'p', 1);
      state.push('text', '', 0).content = state.getLines(first, end + 1, state.blkIndent, false).trim();
      state.push('paragraph_close', 'p', -1);
      state.line = end + 1;
      return true;
    },
    { alt },
  );
}

/** Where each delimiter that closes a formula stands next, for every text that is being read: each is looked for once. */
const closers = new WeakMap<StateInline, Map<string, number>>();

function endOfMath(state: StateInline): number | undefined {
  const { src, pos } = state;
  if (src[pos] === '\\') {
    if (src[pos + 1] === '(') return closed(state, '\\)');
    return src[pos + 1] === '[' ? closed(state, '\\]') : undefined;
  }
  if (src[pos] !== '$') return undefined;
  return src[pos + 1] === '$' ? closed(state, '$$') : endOfDollar(state);
}

/** Behind the delimiter that closes a formula; undefined when there is none, or nothing between. */
function closed(state: StateInline, close: string): number | undefined {
  const from = state.pos + 2;
  const known = closers.get(state) ?? new Map<string, number>();
  closers.set(state, known);
  let at = known.get(close) ?? from - 1;
  if (at < from) {
    const found = state.src.indexOf(close, from);
    at = found < 0 ? Infinity : found;
    known.set(close, at);
  }
  return at === from || at + close.length > state.posMax ? undefined : at + close.length;
}

/** A dollar is looked for up to the next one only, so that a text is read once. */
function endOfDollar({ src, pos, posMax }: StateInline): number | undefined {
  if (/\s/.test(src[pos + 1] ?? ' ')) return undefined;
  for (let at = pos + 1; at < posMax; at++) {
    if (src[at] === '\\') at++;
    else if (src[at] === '$')
      return at > pos + 1 && !/\s/.test(src[at - 1] ?? ' ') && !/\d/.test(src[at + 1] ?? '') ? at + 1 : undefined;
  }
  return undefined;
}

function lineOf(state: StateBlock, line: number): string {
  return state.src.slice((state.bMarks[line] ?? 0) + (state.tShift[line] ?? 0), state.eMarks[line]);
}

/** The line that ends a formula which begins a line and goes over several. */
function lastLineOfMath(lineAt: (line: number) => string, first: number, last: number): number | undefined {
  const begin = lineAt(first);
  const close = begin.startsWith('$$') ? '$$' : begin.startsWith('\\[') ? '\\]' : undefined;
  if (close === undefined || begin.includes(close, 2)) return undefined;
  for (let line = first + 1; line < last; line++) {
    const text = lineAt(line).trimEnd();
    if (text === '') return undefined;
    if (text.endsWith(close)) return line;
  }
  return undefined;
}
