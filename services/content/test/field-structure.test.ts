import { describe, expect, it } from '@jest/globals';
import { renderText } from '../src/domain/render-text.js';
import { fieldCase, fromCase, nodeAt, said, seen, withBlocks } from './field-support.js';

const V1 = 'vertical/v1';
const ASSET = 'Q'.repeat(43);

describe('formulas', () => {
  it.each([
    ['\\(x_1 + y_1\\)', 'a \\(x_1 + y_1\\) b'],
    ['\\[ \\frac{a*b*c}{2} \\]', 'see \\[ \\frac{a*b*c}{2} \\] there'],
    ['$a_1$ and $b_1$', '$a_1$ and $b_1$ cost *much*'],
    ['$$\\begin{matrix} a \\\\ b \\end{matrix}$$', 'so $$\\begin{matrix} a \\\\ b \\end{matrix}$$ is'],
    ['$$\nx = 1\n- y_1_\n\\\\\n+ 2\n$$', 'text\n\n$$\nx = 1\n- y_1_\n\\\\\n+ 2\n$$\n\nmore'],
    ['\\[\n# x\n\\]', '\\[\n# x\n\\]'],
  ])('stay as they are written in Markdown: %s', (formula, text) => {
    expect(renderText(text)).toContain(formula);
  });

  it('are not seen where dollars are money, or escaped, or in code', () => {
    expect(renderText('It costs $5 and *now* $10.')).toBe('<p>It costs $5 and <em>now</em> $10.</p>\n');
    expect(renderText('\\$a *b* c$')).toBe('<p>$a <em>b</em> c$</p>\n');
    expect(renderText('`\\(x\\)` \\(open *only*')).toBe('<p><code>\\(x\\)</code> (open <em>only</em></p>\n');
  });

  it('keep what HTML would be escaped', () => {
    expect(renderText('\\(a < b & c\\) *x*')).toBe('<p>\\(a &lt; b &amp; c\\) <em>x</em></p>\n');
  });

  it('take time that grows with their length, however many open and none close', () => {
    const started = performance.now();
    for (const mark of ['\\(', '\\[ ', '$a ', '$$ ']) renderText(mark.repeat(15_000));
    expect(performance.now() - started).toBeLessThan(3_000);
  });

  it.each([
    ['½x²', '<math><mfrac><mn>1</mn><mn>2</mn></mfrac><msup><mi>x</mi><mn>2</mn></msup></math>'],
    ['a matrix', '<math display="block"><mtable><mtr><mtd columnalign="left"><mi>a</mi></mtd></mtr></mtable></math>'],
  ])('in MathML keep their structure: %s', (_, math) => {
    expect(renderText(math)).toBe(math);
    const prefixed = math.replace(/<(\/?)(\w)/g, '<$1m:$2');
    expect(renderText(prefixed)).toBe(math);
  });

  it('in MathML are said once, and hold nothing that runs', () => {
    const annotated =
      '<math><semantics><mi href="javascript:x" onclick="x" style="x">x</mi><annotation encoding="application/x-tex">x</annotation></semantics></math>';
    expect(renderText(annotated)).toBe('<math><semantics><mi>x</mi></semantics></math>');
    expect(renderText('<math><mtext><img src=x onerror=1></mtext><mspace width="1em"/><mi>y</mi></math>')).toBe(
      '<math><mtext><img src="x" loading="lazy" /></mtext><mspace width="1em"></mspace><mi>y</mi></math>',
    );
  });

  it('are shown in problems too, as MathML and as TeX', async () => {
    const read = await withBlocks(
      '<problem url_name="p"><p>Solve <math><msqrt><mi>x</mi></msqrt></math> and \\(y_1\\)</p><choiceresponse><checkboxgroup><choice correct="true"><math><mi>z</mi></math></choice></checkboxgroup></choiceresponse></problem>',
    );
    const html = seen(read)['problem/p'] ?? '';
    expect(html).toContain('<math><msqrt><mi>x</mi></msqrt></math> and \\(y_1\\)');
    expect(html).toContain('<li><math><mi>z</mi></math></li>');
  });
});

describe('answer fields', () => {
  fieldCase('keep the sentence and the table that they stand in (problem-in-p)', async () => {
    const read = await fromCase('problem-in-p');
    const html = Object.values(seen(read, V1)).join();
    expect(html).toContain(
      '<p>The capital of <b>France</b> is <span data-field="1">[1] ______</span> and of Spain <span data-field="2">[2] ______</span>.</p>',
    );
    expect(html).toMatch(/<table><tr><td>A<\/td><td><span data-field="3">\[3\] ______<\/span><\/td><\/tr><\/table>/);
    expect(html).not.toMatch(/SECRET|HINT|Paris|Madrid/);
    const { type, content } = nodeAt(read, V1).content?.exercises?.[0] as {
      type: string;
      content: { questions: object[] };
    };
    expect(type).toBe('mixed');
    expect(content.questions).toMatchObject([
      { type: 'short-text', field: 1 },
      { type: 'short-text', field: 2 },
      { type: 'text' },
      { type: 'number', field: 3 },
    ]);
  });

  it('keep a list and its dropdowns, with the choices behind it', async () => {
    const read = await withBlocks(
      `<problem url_name="p"><ul><li>Sky: <optionresponse><optioninput options="('blue','red')" correct="blue"/></optionresponse></li><li>Grass</li></ul></problem>`,
    );
    expect(seen(read)['problem/p']).toBe(
      '<div><ul><li>Sky: <span data-field="1">[1] ______</span></li><li>Grass</li></ul></div><div><p>[1]</p></div><ul><li>blue</li><li>red</li></ul>',
    );
  });

  it('keep what stands round one field of a question, units and labels', async () => {
    const read = await withBlocks(
      '<problem url_name="p"><numericalresponse answer="3"><label>How long?</label><p>It is <textline answer="3"/> cm.</p></numericalresponse></problem>',
    );
    expect(seen(read)['problem/p']).toBe(
      '<div><p>How long?</p><p>It is <span data-field="1">[1] ______</span> cm.</p></div>',
    );
  });

  it('are said of what stands behind them, and of several in one table the number', async () => {
    const read = await withBlocks(
      '<problem url_name="p"><customresponse><table><tr><td><textline trailing_text=" dx"/></td></tr></table></customresponse></problem>',
    );
    expect(seen(read)['problem/p']).toContain('<td><span data-field="1">[1] ______</span> dx</td>');
  });

  it('have their unit behind them where they stand by themselves', async () => {
    const read = await withBlocks(
      '<problem url_name="p"><numericalresponse><label>L</label><formulaequationinput trailing_text="\\(a &lt; b\\)"/></numericalresponse></problem>',
    );
    expect(seen(read)['problem/p']).toBe(
      '<div><p>L</p><p><span data-field="1">[1] ______</span> \\(a &lt; b\\)</p></div>',
    );
  });

  it('follow the text where they stand by themselves', async () => {
    const read = await withBlocks(
      '<problem url_name="p"><div class="x"><p>One?</p><stringresponse answer="a"><textline/></stringresponse></div></problem>',
    );
    expect(nodeAt(read, 'vertical/l').content?.exercises).toMatchObject([
      {
        instructions: { html: '<p>One?</p>' },
        content: { questions: [{ type: 'short-text', html: '<p><span data-field="1">[1] ______</span></p>' }] },
      },
    ]);
  });
});

describe('what is hidden until it is clicked', () => {
  fieldCase('stays behind a summary (hidden-until-clicked)', async () => {
    const html = seen(await fromCase('hidden-until-clicked'), V1)['html/h1'] ?? '';
    expect(html).toContain('<details><summary>Show</summary><div id="part-a"><p>The answer is 42.</p></div></details>');
    expect(html).not.toMatch(/javascript|<details open/);
  });

  it.each([
    ['<p hidden>x</p>', '<details><summary>Show</summary><p>x</p></details>'],
    [
      '<div class="answer hidden" title="Solution">x</div>',
      '<details><summary>Solution</summary><div title="Solution">x</div></details>',
    ],
    [
      '<span style="color:red; visibility : hidden">x</span>',
      '<details><summary>Show</summary><span>x</span></details>',
    ],
    [
      '<style>.tip, #t2 { color: red; display: none }</style><p class="tip">x</p><p id="t2">y</p>',
      '<details><summary>Show</summary><p>x</p></details><details><summary>Show</summary><p id="part-t2">y</p></details>',
    ],
    ['<div style="height: 0px;">x</div>', '<details><summary>Show</summary><div>x</div></details>'],
    [
      '<style>.b {overflow: hidden; max-height: 0}</style><p class="b">x</p>',
      '<details><summary>Show</summary><p>x</p></details>',
    ],
    ['<ul><li style="display:none">x</li></ul>', '<ul><li><details><summary>Show</summary>x</details></li></ul>'],
    [
      '<table><tr style="display:none"><td>x</td></tr></table>',
      '<table><tr><td><details><summary>Show</summary>x</details></td></tr></table>',
    ],
    ...[
      '/* solution */ .sol{display:none}',
      '.box .sol { display: none }',
      'div.box > p.sol:not(.open), .other { visibility: hidden }',
      '@media screen { .other { color: red } .sol { display: none } }',
      '@import url("x.css"); .sol { color: red; display: none; }',
      '.a { color: red } .sol.réponse { display:none }',
      '.box p { display: none }',
      '.b { color: red; } } .sol { display: none',
    ].map((rule) => [
      `<div class="box"><p class="sol réponse">x</p></div><style type="text/css">${rule}</style>`,
      '<div><details><summary>Show</summary><p>x</p></details></div>',
    ]),
    ['<dialog><p>x</p></dialog>', '<details><summary>Show</summary><div><p>x</p></div></details>'],
    ['<div popover>x</div>', '<details><summary>Show</summary><div>x</div></details>'],
  ])('however it is hidden: %s', (html, shown) => {
    expect(renderText(html)).toBe(shown);
  });

  it.each([
    '.sol::after { display: none }',
    '.sol:hover { display: none }',
    '@media print { .sol { display: none } }',
    '@keyframes k { from { visibility: hidden } .sol { display: none } }',
    '.sol.open { display: none }',
    '.far p { display: none }',
    '.sol + .next { display: none }',
    '[class="sol"] { display: none }',
  ])('is nothing that a style sheet hides sometimes, on paper, or of other elements: %s', (rule) => {
    expect(renderText(`<style>${rule}</style><div class="box"><p class="sol">x</p></div><p class="far">y</p>`)).toBe(
      '<div><p>x</p></div><p>y</p>',
    );
  });

  it('is no reason to leave out what stands beside it, or the title of a page that was put into a lesson', () => {
    expect(
      renderText('<html><head><title>Old name</title><style>.x{display:none}</style></head><body>y</body></html>'),
    ).toBe('y');
    expect(renderText('<dialog open>x</dialog>')).toBe('<div>x</div>');
  });

  it('is nothing that is shown', () => {
    expect(
      renderText('<p style="display:block; line-height: 0.9" class="hidden-gems">x</p><p style="height: 0.5em">y</p>'),
    ).toBe('<p>x</p><p>y</p>');
  });
});

describe('structure', () => {
  fieldCase('embeds are a link by their name, drawings a note, and that is said (iframe-only)', async () => {
    const read = await fromCase('iframe-only');
    const html = seen(read, V1);
    expect(html['html/h1']).toMatch(
      /<p><a href="https:\/\/example\.org\/sim" .*>https:\/\/example\.org\/sim<\/a><\/p>/,
    );
    expect(html['html/h2']).toMatch(/<a href="\/\/example\.org\/x" /);
    expect(html['html/h2']).toMatch(/<img src="\/\/example\.org\/y\.png"/);
    expect(html['html/h2']).toContain('<a href="https://example.org/a.pdf"');
    expect(html['html/h2']).toContain('<math><mi>x</mi></math><em>[Drawing]</em>');
    expect(said(read, 'html/h1').join()).toContain(
      'pages or objects of elsewhere (1) that it embeds are links for learners',
    );
    expect(said(read, 'html/h2').join()).toContain('drawings (1)');
  });

  it.each([
    ['<iframe src="https://e.org/a" title="A map"></iframe>', />A map: https:\/\/e\.org\/a<\/a>/],
    ['<iframe srcdoc="<p>x</p>"></iframe>', /^<em>\[Embedded content\]<\/em>$/],
    ['<object data="/static/a.swf"><p>No Flash</p></object>', />\/static\/a\.swf<\/a><\/p><p>No Flash<\/p>/],
    ['<embed src="https://e.org/a.swf">', />https:\/\/e\.org\/a\.swf</],
    ['<svg><title>A cell</title><circle/><text>nucleus</text></svg>', /^<em>\[Drawing: A cell\]<\/em>$/],
    ['<canvas aria-label="Graph"></canvas>', /^<em>\[Drawing: Graph\]<\/em>$/],
    ['<iframe src="javascript:alert(1)"></iframe>', /^<p><a rel="[^"]*">javascript:alert\(1\)<\/a><\/p>$/],
  ])('an embed leaves a trace: %s', (html, shown) => {
    expect(renderText(html)).toMatch(shown);
  });

  it.each([
    '<dl><dt>a</dt><dd>b</dd></dl>',
    '<section><h2>T</h2></section><article>x</article>',
    '<p lang="ar" dir="rtl">نص</p>',
    '<blockquote cite="https://e.org">q</blockquote>',
    '<ruby>漢<rt>kan</rt></ruby>',
    '<table><caption>c</caption><thead><tr><th scope="col" colspan="2">h</th></tr></thead></table>',
    '<details><summary>s</summary>t</details>',
  ])('%s stays', (html) => {
    expect(renderText(html)).toBe(html);
  });

  it.each([
    ['<a href="tel:+123">call</a>', 'href="tel:+123"'],
    ['<a href="mailto:a@b.org">write</a>', 'href="mailto:a@b.org"'],
    ['<a href="//e.org/x">x</a>', 'href="//e.org/x"'],
    ['<a href="#top">up</a>', 'href="#part-top"'],
    ['<a name="top">x</a>', 'id="part-top"'],
    ['<h2 id="top">x</h2>', 'id="part-top"'],
    ['<p xml:lang="fr">x</p>', 'lang="fr"'],
    [`<img src="asset:${ASSET}" alt="a">`, `src="/api/assets/${ASSET}"`],
    [`<a href="asset:${ASSET}#page=2">x</a>`, `href="/api/assets/${ASSET}#page=2"`],
  ])('links and places of %s', (html, attribute) => {
    expect(renderText(html)).toContain(attribute);
  });

  it.each([
    ['<pre class="brush: python; gutter: false">x</pre>', '<pre class="language-python">x</pre>'],
    ['<code class="lang-c++">x</code>', '<code class="language-c++">x</code>'],
    [
      '<pre class="sourceCode r"><code class="java">x</code></pre>',
      '<pre class="language-r"><code class="language-java">x</code></pre>',
    ],
    ['```js\nx\n```', '<pre><code class="language-js">x\n</code></pre>\n'],
    ['<pre class="wide">x</pre>', '<pre>x</pre>'],
  ])('code keeps its language: %s', (text, html) => {
    expect(renderText(text)).toBe(html);
  });

  it('labels, fields and fonts keep their text and their place', () => {
    expect(
      renderText('<fieldset><legend>L</legend><label>a <input name="x"></label><font color="red">b</font></fieldset>'),
    ).toBe('<div><p>L</p><span>a </span><span>b</span></div>');
  });

  it.each([
    ['<select><option value="0">Sine<option>Square wave</select>', '<ul><li>Sine</li><li>Square wave</li></ul>'],
    ['<select><optgroup label="x"><option>a</option></optgroup></select>b', '<ul><li>a</li></ul>b'],
    ['<p>Say: <textarea rows="2">I <b>am</b></textarea></p>', '<p>Say: <span>I &lt;b&gt;am&lt;/b&gt;</span></p>'],
  ])('what a field offers stays, without the field: %s', (html, shown) => {
    expect(renderText(html)).toBe(shown);
  });
});

describe('files of a course', () => {
  const files = {
    'static/a b.png': 'png',
    'static/images_c.png': 'c',
    'static/é.pdf': 'pdf',
    'static/subs_x.srt.sjson': '{}',
  };

  it.each([
    ['<img src="/static/a b.png"/>', 'static/a b.png'],
    ['<img src="/static/a%20b.png"/>', 'static/a b.png'],
    ["<img src='/static/images/c.png'/>", 'static/images_c.png'],
    ['<a href="/c4x/Org/C1/asset/images_c.png">x</a>', 'static/images_c.png'],
    ['<a href="/asset-v1:Org+C1+r1+type@asset+block@images_c.png">x</a>', 'static/images_c.png'],
    ['<a href="/static/e\u0301.pdf">x</a>', 'static/é.pdf'],
  ])('are where links lead that name them: %s', async (html, path) => {
    const read = await withBlocks(`<html url_name="h"><![CDATA[${html}]]></html>`, files);
    const part = read.kept.find((one) => one.source === path);
    const hash = part?.kind === 'file' ? part.file.hash : 'none';
    expect(seen(read)['html/h']).toContain(`"/api/assets/${hash}"`);
    expect(said(read, 'html/h')).toEqual([]);
  });

  it('are not taken for parts of other addresses', async () => {
    const urls = ['https://e.org/static/images_c.png', 'https://studio.edx.org/c4x/edX/DemoX/asset/images_c.png'];
    const read = await withBlocks(
      `<html url_name="h">${urls.map((url) => `<img src="${url}"/>`).join('')}</html>`,
      files,
    );
    for (const url of urls) expect(seen(read)['html/h']).toContain(`src="${url}"`);
  });

  it('are named when they are not there, and the link stays', async () => {
    const read = await withBlocks(
      '<html url_name="h"><img src="/static/gone.png"/><img src="/static/gone.png"/></html>',
    );
    expect(seen(read)['html/h']).toContain('/static/gone.png');
    expect(said(read, 'html/h')).toEqual(['names /static/gone.png, which is not in the archive']);
  });

  it('are the transcripts and handouts of videos, in all ways to name them', async () => {
    const read = await withBlocks(
      '<video url_name="v" youtube="1.00:abc" sub="x" transcripts="{&quot;fr&quot;: &quot;gone.srt&quot;}" handout="/static/é.pdf"><transcript language="de" src="a b.png"/></video>',
      files,
    );
    const html = seen(read)['video/v'] ?? '';
    expect(html.match(/\/api\/assets\//g)).toHaveLength(3);
    for (const text of ['Transcript (de)', 'Transcript (fr)', 'Transcript (en)', 'Handout', 'watch?v=abc'])
      expect(html).toContain(text);
    expect(said(read, 'video/v')).toEqual(['names /static/gone.srt, which is not in the archive']);
  });

  it('are pictures of questions and of choices, and in sources they stay as they were written', async () => {
    const read = await withBlocks(
      '<problem url_name="p"><imageresponse><imageinput src="/static/images/c.png" rectangle="(1,1)-(2,2)"/></imageresponse></problem>',
      files,
    );
    expect(seen(read)['problem/p']).toMatch(/<img src="\/api\/assets\/[\w-]{43}" alt="" loading="lazy" \/>/);
    const { answers } = nodeAt(read, 'vertical/l').content?.exercises?.[0] as { answers: { source: string } };
    expect(answers.source).toContain('src="/static/images/c.png"');
  });
});
