import { describe, expect, it } from '@jest/globals';
import { normalizeLesson } from '@coursewright/course-model/normalize-lesson';
import { projectLesson } from '@coursewright/course-model/project-lesson';
import type { Audience } from '@coursewright/course-model/lesson';
import fc from 'fast-check';
import { parseFragment } from 'parse5';
import { prepareHtml } from '../src/domain/render-prepare.js';
import { renderLesson, type RenderedPage } from '../src/domain/render.js';
import { renderText, sanitize } from '../src/domain/render-text.js';

function render(input: unknown, audience: Audience = 'learner'): RenderedPage {
  let n = 0;
  const stored = normalizeLesson(input, null, () => `0190a000-0000-7000-8000-${(++n).toString(16).padStart(12, '0')}`);
  if (!stored.ok) throw new Error(JSON.stringify(stored.problems));
  return renderLesson(projectLesson(stored.body.doc, audience), { isForAuthors: audience !== 'learner' });
}

interface Parsed {
  tagName?: string;
  attrs?: { name: string; value: string }[];
  childNodes?: Parsed[];
}

/** Everything in rendered HTML that could run, frame, submit or style, as a browser would read it (HTML Standard, by parse5). */
function dangers(html: string): string[] {
  const found: string[] = [];
  const walk = (nodes: readonly Parsed[]): void => {
    for (const { tagName: name, attrs = [], childNodes = [] } of nodes) {
      if (
        name &&
        /^(script|style|iframe|frame|object|embed|form|input|button|textarea|link|meta|base|svg|mglyph|annotation-xml|template)$/.test(
          name,
        )
      )
        found.push(name);
      for (const { name: key, value } of attrs) {
        if (/^on|^style$|^name$|^srcdoc$|^formaction$|^xlink/.test(key)) found.push(key);
        if (key === 'id' && !value.startsWith('part-')) found.push(`id=${value}`);
        if (
          /^(href|src|action)$/.test(key) &&
          /^[\s\u0000-\u0020]*(javascript|vbscript|data:(?!image\/(png|jpeg|gif|webp);))/i.test(value)
        )
          found.push(value);
      }
      walk(childNodes);
    }
  };
  walk((parseFragment(html) as Parsed).childNodes ?? []);
  return found;
}

describe('sanitising', () => {
  it.each([
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '<svg><script>alert(1)</script></svg>',
    '<a href="javascript:alert(1)">x</a>',
    '<a href=" java\nscript:alert(1)">x</a>',
    '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    '<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    '<p style="position:fixed" id="x" onclick="a()">x</p>',
    '<form action="https://evil"><input name=a><button>go</button></form>',
    '<img src="data:image/svg+xml,<svg onload=alert(1)>">',
    '<base href="https://evil"><link rel=stylesheet href=x><meta http-equiv=refresh content="0;url=x">',
    '<scr<script>ipt>alert(1)</scr</script>ipt>',
    '[x](javascript:alert(1)) ![y](javascript:alert(1))',
    '<!--><img src=x onerror=alert(1)>-->',
    '<template><script>1</script></template>',
  ])('makes %j harmless', (evil) => {
    expect(dangers(renderText(evil))).toEqual([]);
    expect(dangers(sanitize(evil))).toEqual([]);
  });

  it('leaves nothing dangerous of generated tag soup', () => {
    const piece = fc.constantFrom(
      '<script',
      '>',
      '<img src=x ',
      'onerror=',
      'alert(1)',
      '"',
      "'",
      '<svg',
      '/>',
      '</',
      '<a href=',
      'javascript:',
      '<style>',
      '<!--',
      '-->',
      '<![CDATA[',
      ' ',
      '&#x6a;',
      '`',
      '<p ',
      'style=',
      '</p>',
      '\n\n',
      '<textarea>',
      '</textarea>',
      '<noscript>',
      '<math>',
      '</math>',
      '<mtext>',
      '<mglyph>',
      '<annotation-xml encoding="text/html">',
      '<table>',
      '<iframe src=',
      '<embed src=',
      '<div hidden id=x>',
      'href="#x" ',
      '<title>',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 25 }), (pieces) => {
        expect(dangers(sanitize(pieces.join('')))).toEqual([]);
        expect(dangers(renderText(pieces.join('')))).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  it('shows of elements that were sanitised each for itself what it shows of the whole text', () => {
    const names = (
      'p p p div span a img br li ul ol td tr table tbody h2 b em math mi mrow mtext m:mi svg title style script textarea noscript form label ' +
      'fieldset font button legend menu listing xmp object embed iframe canvas option select plaintext foo annotation hr dt dd dl details summary'
    ).split(' ');
    const attributes = fc.constantFrom(
      ...[
        '',
        ' href="javascript:a"',
        ' href="#a"',
        ' href="/x?a=1&b=<2>"',
        ' onclick=a',
        ' title="a\n> <b"',
        ' style="display:none"',
      ],
      ...[
        ' hidden',
        ' id="x"',
        ' class="language-js hidden"',
        ' src="asset:a"',
        ' src="data:text/html,x"',
        ' name=n',
        ' start=2',
        ' / ',
      ],
    );
    const piece = fc.oneof(
      fc.tuple(fc.constantFrom(...names), attributes, attributes).map(([name, a, b]) => `<${name}${a}${b}>`),
      fc.constantFrom(...names).map((name) => `</${name}>`),
      fc.constantFrom(
        'text ',
        '&amp;',
        '&lt;i&gt;',
        '"',
        "'",
        '<tt>|</tt>',
        '<!-- x -->',
        '<',
        '</',
        '\0',
        '&#0;',
        '<![CDATA[x]]>',
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (soup) => {
        const { pieces } = prepareHtml(soup.join(''), { elements: 1000, nesting: 100 });
        expect(pieces.sanitized(sanitize)).toBe(sanitize(pieces.raw()));
        expect(dangers(pieces.sanitized(sanitize))).toEqual([]);
      }),
      { numRuns: 5000 },
    );
  });

  it('keeps ordinary markup, and makes links safe to follow', () => {
    expect(sanitize('<h2>T</h2><table><tr><td colspan="2">a</td></tr></table>')).toBe(
      '<h2>T</h2><table><tr><td colspan="2">a</td></tr></table>',
    );
    expect(sanitize('<a href="/lessons/1" target="_blank">x</a>')).toBe(
      '<a href="/lessons/1" rel="noopener noreferrer nofollow">x</a>',
    );
    expect(renderText('# Hola\n\n- **uno**\n\n```js\nlet a\n```')).toBe(
      '<h1>Hola</h1>\n<ul>\n<li><strong>uno</strong></li>\n</ul>\n<pre><code class="language-js">let a\n</code></pre>\n',
    );
  });
});

describe('a rendered lesson', () => {
  const lesson = {
    objectives: ['Say **hello**', { text: 'For authors', audience: 'author' }],
    materials: [
      { type: 'text/markdown', content: 'Uno' },
      { type: 'video', content: { youtube: 'abc' } },
      { type: 'image', content: { url: 'https://x/y.png', alt: '"><script>' } },
      { type: 'link', content: 'javascript:alert(1)' },
      { type: 'vendor/olx-poll', content: '<poll onload="x"/>', audience: 'author' },
    ],
    exercises: [
      {
        type: 'choice',
        instructions: 'Pick',
        content: { questions: [{ html: 'Q', options: [{ html: 'A' }, 'B'] }] },
        answers: 'SECRET',
      },
    ],
    assessments: [
      { type: 'quiz', questions: ['Why?', { odd: 1 }], answers: { a: 'SECRET' }, scoring: { s: 'SECRET' } },
    ],
  };

  it('shows learners their items in the order of the page, and no answer', () => {
    const page = render(lesson);
    expect(page.objectives.map(({ html }) => html)).toEqual(['Say <strong>hello</strong>']);
    expect(page.items.map(({ kind, type }) => `${kind} ${type}`)).toEqual([
      'material text/markdown',
      'material video',
      'material image',
      'material link',
      'exercise choice',
      'assessment quiz',
    ]);
    expect(page.items[4]?.html).toBe('<p>Pick</p>\n<div>Q</div><ul><li>A</li><li><p>B</p>\n</li></ul>');
    expect(JSON.stringify(page)).not.toContain('SECRET');
    for (const { html } of page.items) expect(dangers(html)).toEqual([]);
  });

  it('shows authors what was kept as text, and the answers', () => {
    const page = render(lesson, 'grader');
    expect(page.items[4]?.html).toBe('<pre><code>&lt;poll onload=&quot;x&quot;/&gt;</code></pre>');
    expect(page.items.filter(({ html }) => html.includes('SECRET'))).toHaveLength(2);
    for (const { html } of page.items) expect(dangers(html)).toEqual([]);
  });

  it('follows an order across lists', () => {
    const id = (n: number) => `0190a000-0000-7000-8000-00000000000${n}`;
    const page = render({
      materials: [{ id: id(1), type: 'link', content: 'a' }],
      exercises: [{ id: id(2), type: 'x' }],
      order: [id(2), id(1)],
    });
    expect(page.items.map((item) => item.id)).toEqual([id(2), id(1)]);
  });
});
