import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { joinBlocks, linesOf, splitBlocks } from '../src/blocks.js';
import { canonicalJson } from '../src/canonical.js';
import { diffLessons } from '../src/lesson-diff.js';
import type { LessonDocument } from '../src/lesson.js';
import { normalizeLesson } from '../src/normalize-lesson.js';
import { matchSequences, movedIds } from '../src/sequence-diff.js';
import { diffText, diffWords, type Hunk } from '../src/text-diff.js';
import { countingIds, lessonInput } from './arbitraries.js';

const markup = fc
  .array(
    fc.constantFrom(
      '# H\n',
      'para\n',
      '\n',
      '- item\n',
      '  more\n',
      '```\n',
      '~~~~ js\n',
      '::::: challenge\n',
      '<p>',
      '</p>',
      '<ul><li>',
      '</li>',
      '<!-- x',
      '-->',
      '<pre>',
      '</pre>',
      '|a|b|\n',
      '<div class="a>b">',
      ' ',
      'é',
      '\r',
    ),
    { maxLength: 40 },
  )
  .map((parts) => parts.join(''));

describe('blocks', () => {
  it('join to the text that was split, for Markdown and HTML alike', () => {
    fc.assert(
      fc.property(fc.oneof(markup, fc.string()), fc.constantFrom('text/markdown', 'text/html'), (text, type) => {
        const blocks = splitBlocks(text, type);
        expect(joinBlocks(blocks)).toBe(text);
        expect(blocks.every((block) => block.text !== '')).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('splits Markdown as people see it', () => {
    const text =
      '# Title\n\nOne\ntwo\n\n- a\n  more\n\n  still a\n- b\n\nafter\n\n```js\n# no heading\n\n```\n::::: challenge\nDo\n:::::\n| a |\n| b |\n';
    expect(splitBlocks(text, 'text/markdown').map(({ kind, text: part }) => [kind, part])).toEqual([
      ['heading', '# Title\n\n'],
      ['paragraph', 'One\ntwo\n\n'],
      ['item', '- a\n  more\n\n  still a\n'],
      ['item', '- b\n\n'],
      ['paragraph', 'after\n\n'],
      ['code', '```js\n# no heading\n\n```\n'],
      ['fence', '::::: challenge\n'],
      ['paragraph', 'Do\n'],
      ['fence', ':::::\n'],
      ['table', '| a |\n| b |\n'],
    ]);
  });

  it('splits HTML at block elements and keeps code and scripts whole', () => {
    const text =
      '<h2>T</h2>\n<p>a <b>b</b></p><ul>\n<li>x</li><li>y</li>\n</ul><pre>  <p>no</p>\n</pre>tail<script>if (a<b) "<p>"</script>';
    expect(splitBlocks(text, 'text/html').map((block) => block.text)).toEqual([
      '<h2>T</h2>\n',
      '<p>a <b>b</b></p>',
      '<ul>\n',
      '<li>x</li>',
      '<li>y</li>\n',
      '</ul>',
      '<pre>  <p>no</p>\n</pre>',
      'tail',
      '<script>if (a<b) "<p>"</script>',
    ]);
  });

  it('stays quick on hostile markup', () => {
    const started = process.hrtime.bigint();
    for (const evil of [
      '<div '.repeat(50_000),
      '<pre>'.repeat(50_000),
      '<!--'.repeat(50_000),
      '<p "'.repeat(50_000),
      '```\n'.repeat(50_000),
    ]) {
      for (const type of ['text/html', 'text/markdown']) expect(joinBlocks(splitBlocks(evil, type))).toBe(evil);
    }
    // Quadratic behaviour takes minutes here; the bound is far from both.
    expect(Number(process.hrtime.bigint() - started) / 1e9).toBeLessThan(20);
  });
});

/** Applies hunks to the text that they were made from, as `patch` would. */
function apply(from: string, hunks: readonly Hunk[]): string {
  const lines = linesOf(from);
  const out: string[] = [];
  let at = 0;
  for (const hunk of hunks) {
    const start = hunk.from.start - 1;
    out.push(...lines.slice(at, start));
    hunk.lines.forEach((line, i) => {
      if (line.startsWith('\\') || line.startsWith('-')) return;
      out.push(line.slice(1) + (hunk.lines[i + 1]?.startsWith('\\') ? '' : '\n'));
    });
    at = start + hunk.from.lines;
  }
  return [...out, ...lines.slice(at)].join('');
}

const lineText = fc
  .tuple(fc.array(fc.constantFrom('a', 'b', 'c', '', 'long line'), { maxLength: 40 }), fc.boolean())
  .map(([lines, end]) => lines.join('\n') + (end ? '\n' : ''));

describe('text diff', () => {
  it('applied to the first text gives the second, and is empty for equal texts', () => {
    fc.assert(
      fc.property(lineText, lineText, (from, to) => {
        const hunks = diffText(from, to);
        expect(apply(from, hunks)).toBe(to);
        if (from === to) expect(hunks).toEqual([]);
        for (const hunk of hunks) {
          const count = (marks: string) => hunk.lines.filter((line) => marks.includes(line[0] ?? '')).length;
          expect(count(' -')).toBe(hunk.from.lines);
          expect(count(' +')).toBe(hunk.to.lines);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('finds a longest common subsequence', () => {
    const lcs = (a: string[], b: string[]): number => {
      const row = new Array<number>(b.length + 1).fill(0);
      for (const x of a) {
        let diagonal = 0;
        for (let j = 1; j <= b.length; j++) {
          const above = row[j] ?? 0;
          row[j] = x === b[j - 1] ? diagonal + 1 : Math.max(above, row[j - 1] ?? 0);
          diagonal = above;
        }
      }
      return row[b.length] ?? 0;
    };
    const sequence = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 30 });
    fc.assert(
      fc.property(sequence, sequence, (a, b) => {
        const matches = matchSequences(a, b);
        for (const m of matches)
          expect(a.slice(m.aStart, m.aStart + m.length)).toEqual(b.slice(m.bStart, m.bStart + m.length));
        expect(matches.reduce((sum, m) => sum + m.length, 0)).toBe(lcs(a, b));
      }),
      { numRuns: 500 },
    );
  });

  it('shows one changed line with three lines round it', () => {
    const lines = Array.from({ length: 20 }, (_, i) => `line ${i + 1}`);
    const from = lines.join('\n') + '\n';
    const [hunk, ...others] = diffText(from, from.replace('line 10\n', 'line ten\n'));
    expect(others).toEqual([]);
    expect(hunk).toEqual({
      from: { start: 7, lines: 7 },
      to: { start: 7, lines: 7 },
      lines: [' line 7', ' line 8', ' line 9', '-line 10', '+line ten', ' line 11', ' line 12', ' line 13'],
    });
  });

  it('stays bounded when two large texts share every line in another order', () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `line ${i}`);
    const from = lines.join('\n');
    const to = [...lines].reverse().join('\n');
    expect(apply(from, diffText(from, to))).toBe(to);
  });

  it('compares coarsely what is left when its budget is used up, and is right all the same', () => {
    const a = Array.from({ length: 3000 }, (_, i) => `${(i * 7919) % 3000}\n`).join('');
    const b = Array.from({ length: 3000 }, (_, i) => `${(i * 104729) % 3000}\n`).join('');
    const budget = { steps: 1000 };
    expect(apply(a, diffText(a, b, 3, budget))).toBe(b);
    expect(budget.steps).toBeLessThanOrEqual(0);
    expect(budget.steps).toBeGreaterThan(-2000);
  });

  it('diffs words within a line', () => {
    expect(diffWords('the old house', 'the new house')).toEqual([
      { change: 'same', text: 'the ' },
      { change: 'removed', text: 'old' },
      { change: 'added', text: 'new' },
      { change: 'same', text: ' house' },
    ]);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (a, b) => {
        const runs = diffWords(a, b);
        const side = (gone: string) =>
          runs
            .filter((run) => run.change !== gone)
            .map((run) => run.text)
            .join('');
        expect([side('added'), side('removed')]).toEqual([a, b]);
      }),
    );
  });
});

function stored(input: unknown, present: LessonDocument | null, newId: () => string): LessonDocument {
  const result = normalizeLesson(input, present, newId);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.body.doc;
}

describe('lesson diff', () => {
  it('is empty exactly when two documents are equal', () => {
    fc.assert(
      fc.property(lessonInput, lessonInput, fc.boolean(), (before, after, same) => {
        const newId = countingIds();
        const from = stored(before, null, newId);
        const to = stored(same ? before : after, from, newId);
        expect(diffLessons(from, to).length === 0).toBe(canonicalJson(from) === canonicalJson(to));
      }),
    );
  });

  it('names every item that one side has alone, and no other, as added or removed', () => {
    fc.assert(
      fc.property(lessonInput, lessonInput, (before, after) => {
        const newId = countingIds();
        const from = stored(before, null, newId);
        const to = stored(after, from, newId);
        const ids = (doc: LessonDocument) =>
          (['objectives', 'materials', 'exercises', 'assessments'] as const).flatMap((list) =>
            doc[list].map((item) => `/${list}/${item.id}`),
          );
        const changes = diffLessons(from, to).filter((change) => change.pointer.split('/').length === 3);
        const named = (kind: string) => changes.filter(({ change }) => change === kind).map(({ pointer }) => pointer);
        expect(named('added').sort()).toEqual(
          ids(to)
            .filter((id) => !ids(from).includes(id))
            .sort(),
        );
        expect(named('removed').sort()).toEqual(
          ids(from)
            .filter((id) => !ids(to).includes(id))
            .sort(),
        );
      }),
    );
  });

  it('shows an edited text by hunks, a field of JSON by its pointer, and a move by its places', () => {
    const newId = countingIds();
    const from = stored(
      {
        materials: [{ type: 'text/markdown', content: 'a\nb\n' }],
        exercises: [{ type: 'x', content: { q: 'Q', n: 1 } }, { type: 'y' }],
      },
      null,
      newId,
    );
    const [m, x, y] = from.order;
    const to = structuredClone(from);
    if (to.materials[0]) to.materials[0].content = 'a\nc\n';
    if (to.exercises[0]) to.exercises[0].content = { q: 'Q', n: 2 };
    to.order = [y, m, x].map(String);
    expect(diffLessons(from, to)).toEqual([
      {
        pointer: `/materials/${m}/content`,
        change: 'edited',
        hunks: [{ from: { start: 1, lines: 2 }, to: { start: 1, lines: 2 }, lines: [' a', '-b', '+c'] }],
      },
      { pointer: `/exercises/${x}/content/n`, change: 'edited', from: 1, to: 2 },
      { pointer: `/exercises/${y}`, change: 'moved', from: 2, to: 0 },
    ]);
  });

  it('shows fields that are called like what every object inherits as any other', () => {
    const from = stored({ exercises: [{ type: 'x', content: { q: 'Q' } }] }, null, countingIds());
    const to = structuredClone(from);
    const [x] = from.order;
    if (to.exercises[0])
      to.exercises[0].content = JSON.parse('{"q": "Q", "toString": 1, "constructor": {"valueOf": 2}}');
    const added = [
      { pointer: `/exercises/${x}/content/constructor`, change: 'added', to: { valueOf: 2 } },
      { pointer: `/exercises/${x}/content/toString`, change: 'added', to: 1 },
    ];
    expect(diffLessons(from, to)).toEqual(added);
    expect(diffLessons(to, from)).toEqual(
      added.map(({ pointer, to: value }) => ({ pointer, change: 'removed', from: value })),
    );
  });

  it('counts as moved the fewest ids that explain a new order', () => {
    expect(movedIds(['a', 'b', 'c', 'd'], ['d', 'a', 'b', 'c'])).toEqual(['d']);
    expect(movedIds(['a', 'b', 'x'], ['y', 'a', 'b'])).toEqual([]);
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { maxLength: 12 }), fc.infiniteStream(fc.nat()), (ids, keys) => {
        const turned = ids
          .map((id) => [keys.next().value as number, id] as const)
          .sort((p, q) => p[0] - q[0])
          .map(([, id]) => id);
        const moved = new Set(movedIds(ids, turned));
        expect(ids.filter((id) => !moved.has(id))).toEqual(turned.filter((id) => !moved.has(id)));
      }),
    );
  });
});
