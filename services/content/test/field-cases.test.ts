import { describe, expect, it } from '@jest/globals';
import { fieldCase, fromCase, nodeAt, said, seen, withBlocks } from './field-support.js';

const THERE = ['vertical/v1'] as const;

describe('values of attributes are typed', () => {
  fieldCase('quoted times are times, and null is nothing (quoted-dates)', async () => {
    const read = await fromCase('quoted-dates');
    expect(nodeAt(read, 'sequential/s1').fields).toEqual({
      title: 'Part 1',
      start: '2030-01-01T00:00:00+00:00',
      due: '2030-02-01T00:00:00+00:00',
      graded: true,
    });
    expect(said(read, 'sequential/s1')).toEqual([]);
  });

  it.each([
    ['start="&quot;2030-01-01&quot;"', { start: '2030-01-01' }],
    ['start="1893456000000"', { start: '2030-01-01T00:00:00.000Z' }],
    ['start="null" due="" format="&quot;&quot;"', {}],
    ['format="&quot;Quiz &amp; more&quot;"', { format: 'Quiz & more' }],
    ['format="12"', { format: '12' }],
    ['graded="TRUE"', { graded: true }],
    ['graded="&quot;False&quot;"', { graded: false }],
    ['coursewright_duration_minutes="&quot;15&quot;"', {}],
    ['coursewright_duration_minutes="15"', { durationMinutes: 15 }],
    ['coursewright_levels="[1, &quot;b&quot;, true]"', { levels: [1, 'b', true] }],
    ['coursewright_tags="[&quot;a, b&quot;, &quot;c&quot;]"', { tags: ['a, b', 'c'] }],
    ['coursewright_topic="null"', {}],
  ])('reads %s', async (attributes, fields) => {
    const read = await withBlocks('', {}, `display_name="L" ${attributes}`);
    expect(nodeAt(read, 'vertical/l').fields).toEqual({ title: 'L', ...fields });
  });

  it('reads policy.json by the same types', async () => {
    const policy = {
      'chapter/u': { start: '"2031-01-01"', graded: 'True', display_name: null },
      'vertical/l': { display_name: '"Quoted"', start: null, graded: true, coursewright_levels: ['x'] },
    };
    const read = await withBlocks('', { 'policies/c/policy.json': JSON.stringify(policy) });
    expect(nodeAt(read, 'chapter/u').fields).toEqual({ title: 'u', start: '2031-01-01', graded: true });
    expect(nodeAt(read, 'vertical/l').fields).toEqual({ title: 'Quoted', graded: true, levels: ['x'] });
  });

  fieldCase('graded="True" makes an assessment, and nothing is listed (graded-True)', async () => {
    const read = await fromCase('graded-True');
    expect(nodeAt(read, 'vertical/v1').content?.assessments).toHaveLength(1);
    expect(read.report).toMatchObject({ lossCount: 0 });
  });

  it('counts what is graded by itself, in any spelling', async () => {
    const blocks =
      '<problem url_name="a" graded="TRUE"><p>?</p></problem><problem url_name="b" graded="no"><p>?</p></problem>';
    const { content } = nodeAt(await withBlocks(blocks), 'vertical/l');
    expect(content?.assessments?.map((item) => item.source?.key)).toEqual(['problem/a']);
    expect(content?.exercises?.map((item) => item.source?.key)).toEqual(['problem/b']);
  });

  it('reads what a graded problem counts, quoted or not', async () => {
    const blocks =
      '<problem url_name="a" graded="true" weight="&quot;2.5&quot;" max_attempts="3" showanswer="null"><p>?</p></problem>';
    const { content } = nodeAt(await withBlocks(blocks), 'vertical/l');
    expect(content?.assessments?.[0]).toMatchObject({ scoring: { weight: 2.5, maxAttempts: 3 } });
    expect(content?.assessments?.[0]?.scoring).not.toHaveProperty('showAnswer');
  });
});

describe('whom a part is for', () => {
  fieldCase('is the authors when a policy limits it to groups (policy-group-access)', async () => {
    const read = await fromCase('policy-group-access');
    expect(nodeAt(read, 'vertical/v1').fields).toMatchObject({ audience: 'author' });
    expect(said(read, 'vertical/v1')).toContainEqual('is for some groups of learners only; kept for authors');
    expect(read.kept).toContainEqual({
      kind: 'attributes',
      source: 'vertical/v1',
      value: { group_access: '{"50":[1]}' },
    });
  });

  fieldCase('is read from policies in their old place too (policy-old-place)', async () => {
    const read = await fromCase('policy-old-place');
    expect(nodeAt(read, 'course/r1').fields).toMatchObject({ title: 'From policy' });
    expect(nodeAt(read, 'chapter/c1').fields).toEqual({ title: 'Chapter from policy' });
    expect(nodeAt(read, 'vertical/v1').fields).toMatchObject({ audience: 'author' });
  });

  it.each(['True', 'TRUE', 'true', '&quot;true&quot;', '1', 'yes', 'perhaps', '[]'])(
    'is the authors for visible_to_staff_only="%s", and that is said',
    async (value) => {
      const read = await withBlocks('<html url_name="h">x</html>', {}, `visible_to_staff_only="${value}"`);
      expect(nodeAt(read, 'vertical/l').fields).toMatchObject({ audience: 'author' });
      expect(said(read, 'vertical/l').join()).toMatch(/staff only|does not say clearly/);
    },
  );

  it.each(['False', 'false', 'null', '&quot;false&quot;', '0', ''])(
    'is every learner for visible_to_staff_only="%s"',
    async (value) => {
      const read = await withBlocks('<html url_name="h">x</html>', {}, `visible_to_staff_only="${value}"`);
      expect(nodeAt(read, 'vertical/l').fields).not.toHaveProperty('audience');
      expect(read.report.lossCount).toBe(0);
    },
  );

  it('is the authors for a block of a lesson, by its own attributes or its policy', async () => {
    const blocks =
      '<html url_name="a" group_access="{&quot;1&quot;: [2]}">one</html><html url_name="b">two</html><html url_name="c">three</html>';
    const policy = { 'html/b': { visible_to_staff_only: 'True' }, 'html/c': { group_access: { 1: [] } } };
    const read = await withBlocks(blocks, { 'policies/c/policy.json': JSON.stringify(policy) });
    expect(seen(read)).toEqual({ 'html/c': 'three' });
  });
});

describe('text is what its source says it is', () => {
  fieldCase('choices, stems and formulas are shown as they are written (choice-markdown)', async () => {
    const html = Object.values(seen(await fromCase('choice-markdown'), ...THERE)).join('\n');
    for (const text of ['__init__', 'a*b*c', '1. April', '# comment', '\\(x^2\\)', 'C:\\temp\\_x', '&lt;b&gt; tag'])
      expect(html).toContain(`<li>${text}</li>`);
    expect(html).toContain('Solve \\(a_1 + b_1 = c_1\\) and \\[\\frac{1}{2}\\]');
    expect(html).not.toMatch(/<pre|<ol|<em|<strong|<h1/);
  });

  it('text without a single tag is no Markdown either, before or behind a question', async () => {
    const blocks =
      '<problem url_name="p">*Is* __this__ bold? <stringresponse answer="1"><label>1. Say `it`</label><textline/></stringresponse>    - and _this_?</problem>';
    const html = seen(await withBlocks(blocks))['problem/p'] ?? '';
    expect(html).toContain('*Is* __this__ bold?');
    expect(html).toContain('<p>1. Say `it`</p>');
    expect(html).toContain('- and _this_?');
  });

  it('text of an html block is HTML, whatever it begins with', async () => {
    const html = seen(
      await withBlocks('<html url_name="h"># Not a *title*\n\n    not code &lt;b&gt;bold&lt;/b&gt;</html>'),
    );
    expect(html['html/h']).toBe('# Not a *title*\n\n    not code &lt;b&gt;bold&lt;/b&gt;');
  });

  fieldCase('the list of a dropdown is read as Python would (option-apostrophe)', async () => {
    const read = await fromCase('option-apostrophe');
    const html = Object.values(seen(read, ...THERE));
    expect(html[0]).toContain("<li>I don't know</li><li>It doesn't</li><li>Yes</li>");
    expect(html[1]).toContain('<li>A</li><li>B</li><li>C</li>');
  });
});
