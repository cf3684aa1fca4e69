import { linesOf } from './blocks.js';
import { matchSequences, type DiffBudget, type Match } from './sequence-diff.js';

/** A stretch of two texts with its changes: `start` is the number of its first line, from 1; `lines` how many it covers. */
export interface Hunk {
  from: { start: number; lines: number };
  to: { start: number; lines: number };
  /** Each line behind a mark: " " in both, "-" only in the first, "+" only in the second; without its line end. */
  lines: string[];
}

/** A run of words: in both texts, only in the first, or only in the second. */
export interface WordRun {
  change: 'same' | 'removed' | 'added';
  text: string;
}

/** Marks, as in a unified diff, that the line before it ends without a line end. */
const NO_LINE_END = '\\ no line end';

const MAX_WORDS = 2000;

/**
 * The hunks in which two texts differ, line by line, each with up to `context` equal lines round it; none for equal texts.
 * A last line without a line end differs from the same line with one.
 */
export function diffText(from: string, to: string, context = 3, budget?: DiffBudget): Hunk[] {
  const a = linesOf(from);
  const b = linesOf(to);
  const gaps = gapsOf(matchSequences(a, b, budget), a.length, b.length);
  const hunks: Hunk[] = [];
  for (let i = 0; i < gaps.length;) {
    let end = i;
    while (end + 1 < gaps.length && (gaps[end + 1]?.aStart ?? 0) - (gaps[end]?.aEnd ?? 0) <= 2 * context) end++;
    hunks.push(hunkOf(gaps.slice(i, end + 1), { a, b, context }));
    i = end + 1;
  }
  return hunks;
}

interface Gap {
  aStart: number;
  aEnd: number;
  bStart: number;
  bEnd: number;
}

function gapsOf(matches: readonly Match[], aLength: number, bLength: number): Gap[] {
  const gaps: Gap[] = [];
  let a = 0;
  let b = 0;
  for (const match of [...matches, { aStart: aLength, bStart: bLength, length: 0 }]) {
    if (match.aStart > a || match.bStart > b)
      gaps.push({ aStart: a, aEnd: match.aStart, bStart: b, bEnd: match.bStart });
    a = match.aStart + match.length;
    b = match.bStart + match.length;
  }
  return gaps;
}

function hunkOf(gaps: readonly Gap[], text: { a: string[]; b: string[]; context: number }): Hunk {
  const first = gaps[0] ?? { aStart: 0, aEnd: 0, bStart: 0, bEnd: 0 };
  const last = gaps.at(-1) ?? first;
  const before = Math.min(text.context, first.aStart);
  const after = Math.min(text.context, text.a.length - last.aEnd);
  const lines: string[] = [];
  const put = (mark: string, line: string | undefined) => {
    if (line === undefined) return;
    lines.push(mark + (line.endsWith('\n') ? line.slice(0, -1) : line));
    if (!line.endsWith('\n')) lines.push(NO_LINE_END);
  };
  let at = first.aStart - before;
  for (const gap of gaps) {
    for (; at < gap.aStart; at++) put(' ', text.a[at]);
    for (; at < gap.aEnd; at++) put('-', text.a[at]);
    for (let j = gap.bStart; j < gap.bEnd; j++) put('+', text.b[j]);
  }
  for (; at < last.aEnd + after; at++) put(' ', text.a[at]);
  return {
    from: { start: first.aStart - before + 1, lines: last.aEnd + after - first.aStart + before },
    to: { start: first.bStart - before + 1, lines: last.bEnd + after - first.bStart + before },
    lines,
  };
}

/**
 * The words in which two pieces of text differ: letters and digits together, every space and mark by itself. Meant for the
 * removed and the added lines of one hunk; beyond 2,000 words a side everything counts as replaced.
 */
export function diffWords(from: string, to: string): WordRun[] {
  const a = wordsOf(from);
  const b = wordsOf(to);
  const matches = a.length > MAX_WORDS || b.length > MAX_WORDS ? [] : matchSequences(a, b);
  const runs: WordRun[] = [];
  const put = (change: WordRun['change'], words: readonly string[]) => {
    if (words.length > 0) runs.push({ change, text: words.join('') });
  };
  let i = 0;
  let j = 0;
  for (const match of [...matches, { aStart: a.length, bStart: b.length, length: 0 }]) {
    put('removed', a.slice(i, match.aStart));
    put('added', b.slice(j, match.bStart));
    put('same', a.slice(match.aStart, match.aStart + match.length));
    i = match.aStart + match.length;
    j = match.bStart + match.length;
  }
  return runs;
}

function wordsOf(text: string): string[] {
  return text.match(/[\p{L}\p{N}\p{M}_]+|[^\p{L}\p{N}\p{M}_]/gu) ?? [];
}
