import { describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import { createSpool } from '../src/store/spool.js';
import { caseBytes, fieldCase, fromCase, fromFiles, nodeAt, said, seen, withBlocks } from './field-support.js';
import { readAll, streamOf } from './support.js';

const V1 = 'vertical/v1';

/** Every line of a report, as one text each. */
function lines({ report }: Awaited<ReturnType<typeof fromCase>>): string[] {
  return report.losses.map(({ source, what, kept }) => `${source}: ${what} [${kept ? 'kept' : 'lost'}]`);
}

describe('a part that is too large', () => {
  fieldCase('keeps its text; only its picture becomes a file (big-html)', async () => {
    const read = await fromCase('big-html');
    const html = seen(read, V1);
    expect(html['html/h1']).toBe('<p>Intro</p>');
    expect(html['html/h2']).toMatch(/<img .*src="\/api\/assets\/[\w-]{43}"/);
    expect(Object.keys(html)).toEqual(['html/h1', 'html/h2', 'problem/p1']);
    const [what] = said(read, 'html/h2');
    const hash = /\(([\w-]{43}), \d+ bytes\)/.exec(what ?? '')?.[1] ?? '';
    expect(read.files.get(hash)?.length).toBeGreaterThan(800_000);
    expect(read.kept).toContainEqual(expect.objectContaining({ kind: 'file', source: 'html/h2' }));
  });

  it('keeps the beginning of a text that is too long, and the whole as a file', async () => {
    const words = 'palabra '.repeat(200_000);
    const read = await withBlocks(
      '<html url_name="h" display_name="Long" filename="h"/><html url_name="i">after</html>',
      {
        'html/h.html': `<h2>Start</h2><p>${words}</p>`,
      },
    );
    const html = seen(read);
    expect(html['html/h']).toMatch(/^<p>Start<br \/>palabra palabra/);
    expect(html['html/h']).toMatch(/<a href="\/api\/assets\/[\w-]{43}" .*>The whole text as a file<\/a>/);
    expect(html['html/i']).toBe('after');
    expect(nodeAt(read, 'vertical/l').content?.materials?.[0]).toMatchObject({ title: 'Long' });
    expect([...read.files.values()].map((bytes) => bytes.toString()).join()).toContain(words);
    expect(lines(read)).toEqual([expect.stringMatching(/^html\/h: 1600021 bytes of text do not fit .*\[kept\]$/)]);
  });

  it('of a problem is its source, never what learners get', async () => {
    const secret = `<solution><p>${'SECRET '.repeat(180_000)}</p></solution>`;
    const read = await withBlocks(
      `<problem url_name="p" display_name="P"><p>What is it?</p><stringresponse answer="x"><textline/></stringresponse>${secret}</problem>`,
    );
    expect(seen(read)['problem/p']).toContain('What is it?');
    expect(lines(read)).toEqual([
      expect.stringMatching(/^problem\/p: its source of \d+ bytes does not fit .*\[kept\]$/),
    ]);
    const { answers } = nodeAt(read, 'vertical/l').content?.exercises?.[0] as { answers: { source: string } };
    const hash = answers.source.replace('asset:', '');
    expect(Buffer.from(read.files.get(hash) ?? []).toString()).toContain('SECRET');
  });

  it('is not a text in another script: 400,000 characters of Chinese fit', async () => {
    const read = await withBlocks(`<problem url_name="p"><p>${'课'.repeat(150_000)}</p></problem>`);
    expect(seen(read)['problem/p']).toContain('课课课');
    expect(read.report).toMatchObject({ mapped: 5, kept: 0, lossCount: 0 });
    const { answers } = nodeAt(read, 'vertical/l').content?.exercises?.[0] as { answers: { source: string } };
    expect(answers.source).toContain('课课课');
  });

  it('takes the largest out first, until the others have room', async () => {
    const text = (n: number): string => `<html url_name="h${n}"><p>${`word${n} `.repeat(70_000)}</p></html>`;
    const read = await withBlocks([1, 2, 3].map(text).join('') + '<html url_name="small">y</html>');
    expect(Object.keys(seen(read))).toEqual(['html/h1', 'html/h2', 'html/h3', 'html/small']);
    expect(read.report.lossCount).toBe(1);
  });
});

describe('what has no place', () => {
  fieldCase('comes in for authors when it was not published, or is kept and named (drafts)', async () => {
    const read = await fromCase('drafts');
    const draft = nodeAt(read, 'drafts/vertical/d1');
    expect(draft).toMatchObject({ kind: 'lesson', fields: { title: 'Draft page', audience: 'author' } });
    expect(draft.content?.materials).toMatchObject([{ content: '<p>Draft text</p>', audience: 'author' }]);
    expect(read.nodes.map((node) => node.source.key).slice(-2)).toEqual(['vertical/v1', 'drafts/vertical/d1']);
    expect(said(read, 'drafts/vertical/d1')).toContain('was not published in its source; kept for authors');
    for (const path of ['about/overview.html', 'tabs/syllabus.html', 'info/updates.items.json', 'static/a.png'])
      expect(read.kept).toContainEqual(expect.objectContaining({ kind: 'file', source: path }));
    const policy = read.kept.find((part) => part.kind === 'attributes' && part.source === 'course/r1');
    expect(policy).toMatchObject({ value: { lti_passports: '["a:b:c"]', tabs: expect.stringContaining('Syllabus') } });
    expect(read.report.losses.filter((loss) => !loss.kept)).toEqual([]);
  });

  it('puts a draft beside the page that it was made of, and one without a place into a unit of its own', async () => {
    const read = await fromFiles({
      'course.xml':
        '<course url_name="c"><chapter url_name="u"><sequential url_name="s"><vertical url_name="a"/><vertical url_name="b"/></sequential></chapter></course>',
      'drafts/vertical/a.xml':
        '<vertical display_name="A, newer" parent_sequential_url="i4x://O/C/sequential/s" index_in_children_list="0"/>',
      'drafts/vertical/x.xml':
        '<vertical parent_url="block-v1:O+C+r+type@sequential+block@s" index_in_children_list="0"/>',
      'drafts/vertical/lost.xml': '<vertical display_name="Lost"><html url_name="h"/></vertical>',
      'html/h.html': 'Lost text',
    });
    expect(read.nodes.map((node) => [node.kind, node.source.key])).toEqual([
      ['course', 'course/c'],
      ['unit', 'chapter/u'],
      ['module', 'sequential/s'],
      ['lesson', 'drafts/vertical/x'],
      ['lesson', 'vertical/a'],
      ['lesson', 'drafts/vertical/a'],
      ['lesson', 'vertical/b'],
      ['unit', 'drafts#unit'],
      ['module', 'drafts#module'],
      ['lesson', 'drafts/vertical/lost'],
    ]);
    expect(read.nodes.filter((node) => node.fields['audience'] === 'author')).toHaveLength(5);
    expect(nodeAt(read, 'drafts/vertical/lost').content?.materials).toMatchObject([{ content: 'Lost text' }]);
  });

  fieldCase('is kept with its values when it is an attribute (node-attr-values)', async () => {
    const read = await fromCase('node-attr-values');
    const kept = read.kept.filter((part) => part.kind === 'attributes');
    expect(kept.length).toBeGreaterThan(0);
    for (const { source, value } of kept as { source: string; value: Record<string, string> }[])
      for (const [name, text] of Object.entries(value))
        expect(said(read, source).join()).toContain(`${name}="${text}"`);
  });

  it('is kept whole however long its value is', async () => {
    const long = 'x'.repeat(30_000);
    const read = await withBlocks('', {}, `xqa_key="${long}" showanswer="never"`);
    const file = read.kept.find((part) => part.source === 'vertical/l');
    const hash = file?.kind === 'file' ? file.file.hash : '';
    const value: unknown = JSON.parse(Buffer.from(read.files.get(hash) ?? []).toString());
    expect(Object.entries(value as object)).toEqual([
      ['xqa_key', long],
      ['showanswer', 'never'],
    ]);
  });

  fieldCase('is listed to the last line (lots-of-losses)', async () => {
    const read = await fromCase('lots-of-losses');
    expect(read.report.lossCount).toBeGreaterThan(1000);
    expect(read.report.losses).toHaveLength(1000);
    expect(read.kept).toHaveLength(read.report.lossCount);
  });

  fieldCase('is for authors when it is text between blocks (loose-text)', async () => {
    const read = await fromCase('loose-text');
    expect(Object.keys(seen(read, V1))).toEqual(['html/h1']);
    expect(nodeAt(read, V1).content?.materials?.map(({ content, audience }) => [content, audience])).toEqual([
      ['<p>Read this first!</p>', 'author'],
      ['<p>x</p>', 'learner'],
      ['<p>and this after</p>', 'author'],
      ['<b>bold</b>', 'author'],
    ]);
    expect(lines(read).filter((line) => line.includes('text between blocks'))).toHaveLength(2);
  });

  it('is kept beside the course when it is text between its parts', async () => {
    const read = await fromFiles({
      'course.xml':
        '<course url_name="c">Hello<chapter url_name="u"><![CDATA[ there ]]></chapter><wiki slug="w"/></course>',
    });
    expect(read.kept).toEqual([
      { kind: 'text', source: 'course/c/text[0]', value: 'Hello' },
      { kind: 'text', source: 'chapter/u/text[0]', value: 'there' },
      { kind: 'element', source: 'course/c/wiki', value: '<wiki slug="w"/>' },
    ]);
    expect(read.report.losses.every((loss) => loss.kept)).toBe(true);
  });
});

describe('titles and descriptions', () => {
  fieldCase('that are too long are cut, said and kept whole (long-title)', async () => {
    const read = await fromCase('long-title');
    expect(nodeAt(read, 'chapter/c1').fields['title']).toBe('T'.repeat(500));
    expect(said(read, 'chapter/c1')).toEqual(['has a title of 603 characters; the first 500 are its title here']);
    expect(read.kept).toContainEqual({
      kind: 'attributes',
      source: 'chapter/c1',
      value: { display_name: expect.stringMatching(/^T{600}/) },
    });
    const [item] = nodeAt(read, V1).content?.materials ?? [];
    expect(item).toMatchObject({
      title: 'L'.repeat(500),
      metadata: { olx: { display_name: expect.stringMatching(/^L{600}/) } },
    });
  });

  it('are counted in characters, not in halves of them', async () => {
    const read = await withBlocks('<html url_name="h" display_name="" />', {}, `display_name="${'🎓'.repeat(500)}"`);
    expect(nodeAt(read, 'vertical/l').fields['title']).toBe('🎓'.repeat(500));
    expect(read.report.lossCount).toBe(0);
  });

  fieldCase('are the text of their HTML (short-desc-entities)', async () => {
    const read = await fromCase('short-desc-entities');
    expect(nodeAt(read, 'course/r1').fields['description']).toBe('Learn more — it’s fun & easy\nNow');
  });

  fieldCase('of a course may be long, and no word of it is lost (short-desc-long)', async () => {
    const read = await fromCase('short-desc-long');
    const description = String(nodeAt(read, 'course/r1').fields['description']);
    expect(description.length).toBeGreaterThan(2000);
    expect(read.report.lossCount).toBe(0);
  });

  it('beyond what a course can have, and a second one, are kept as a file', async () => {
    for (const attributes of ['', 'coursewright_description="Another"']) {
      const read = await fromFiles({
        'course.xml': `<course url_name="c" display_name="C" ${attributes}/>`,
        'about/short_description.html': `<p>${'word '.repeat(3000)}</p>`,
      });
      expect(String(nodeAt(read, 'course/c').fields['description']).length).toBe(attributes === '' ? 10_000 : 7);
      expect(lines(read)).toEqual([expect.stringMatching(/^about\/short_description.html: .*\[kept\]$/)]);
    }
  });
});

describe('old and odd courses', () => {
  fieldCase('are read with name=, slug= and filename= (old-attributes)', async () => {
    const read = await fromCase('old-attributes');
    expect(read.nodes.map((node) => [node.source.key, node.fields['title']])).toEqual([
      ['course/r1', 'Old course'],
      ['chapter/w1', 'Week One'],
      ['sequential/s1', 'Part One'],
      ['vertical/v1', 'Page One'],
    ]);
    const html = seen(read, V1);
    expect(html['html/h1']).toBe('<p>Hello from the file.</p>');
    expect(html['problem/q1'] ?? html['problem/p1']).toContain('What is the question?');
    expect(read.report.lossCount).toBe(0);
  });

  it('take what stands at the element over what its file says', async () => {
    const read = await withBlocks(
      '<problem slug="p" filename="deep:q" name="Mine"/><problem url_name="gone" filename="nowhere"/>',
      {
        'problem/deep/q.xml': '<problem display_name="Theirs" weight="2"><p>?</p></problem>',
      },
    );
    expect(nodeAt(read, 'vertical/l').content?.exercises).toMatchObject([{ title: 'Mine' }]);
    expect(said(read, 'problem/gone')).toEqual(['points at problem/nowhere.xml, which is not in the archive']);
  });

  fieldCase('are read in the encoding that they declare (latin1-xml, utf16-xml)', async () => {
    const latin = await fromCase('latin1-xml');
    expect(nodeAt(latin, V1).content?.exercises).toMatchObject([{ title: 'Français' }]);
    expect(seen(latin, V1)['problem/p1']).toContain('Où est l&#39;école ?'.replace('&#39;', "'"));
    const wide = await fromCase('utf16-xml');
    expect(seen(wide, V1)['problem/p1']).toContain('Frage');
    expect([latin.report.lossCount, wide.report.lossCount]).toEqual([0, 0]);
  });

  it.each([
    ['windows-1251', Buffer.from([0xcf, 0xf0, 0xe8, 0xe2, 0xe5, 0xf2]), 'Привет'],
    ['Shift_JIS', Buffer.from([0x93, 0xfa, 0x96, 0x7b]), '日本'],
    ['gb2312', Buffer.from([0xc9, 0xcf, 0xba, 0xa3]), '上海'],
  ])('are read in %s', async (encoding, bytes, text) => {
    const file = (before: string, after: string): Buffer =>
      Buffer.concat([Buffer.from(before), bytes, Buffer.from(after)]);
    const read = await withBlocks('<problem url_name="p"/><html url_name="h" filename="h"/>', {
      'problem/p.xml': file(`<?xml version="1.0" encoding="${encoding}"?><problem><p>`, '</p></problem>'),
      'html/h.html': file(`<meta charset="${encoding}"><p>`, '</p>'),
    });
    expect(Object.values(seen(read))).toEqual([expect.stringContaining(text), expect.stringContaining(text)]);
  });

  it('say so when they name an encoding that nobody knows', async () => {
    const read = await withBlocks('<problem url_name="p"/>', {
      'problem/p.xml': '<?xml version="1.0" encoding="x-klingon"?><problem><p>é</p></problem>',
    });
    expect(seen(read)['problem/p']).toContain('é');
    expect(lines(read)).toEqual([
      expect.stringMatching(/^problem\/p.xml: names an encoding that nobody knows .*\[kept\]$/),
    ]);
  });

  fieldCase('have named entities, with and without a document type (named-entities)', async () => {
    const html = seen(await fromCase('named-entities'), V1);
    expect(html['problem/p1']).toContain('A\u00a0B — C &amp; D');
    expect(html['html/h1']).toContain('A\u00a0B — C &amp; D &lt;x&gt; ’');
  });

  it('keep an entity in a CDATA section for the HTML that stands in it, and one that nobody knows', async () => {
    const read = await withBlocks(
      '<html url_name="h"><![CDATA[<p>a&nbsp;b &copy;</p>]]></html><problem url_name="p" display_name="A &eacute; B"><p>&unheard; &hellip;</p></problem>',
    );
    const html = seen(read);
    expect(html['html/h']).toBe('<p>a\u00a0b ©</p>');
    expect(html['problem/p']).toContain('&amp;unheard; …');
    expect(nodeAt(read, 'vertical/l').content?.exercises).toMatchObject([{ title: 'A é B' }]);
  });

  it('find files by names that are composed otherwise', async () => {
    const [composed, apart] = ['Übung', 'Übung'].map((name, i) => name.normalize(i === 0 ? 'NFC' : 'NFD')) as [
      string,
      string,
    ];
    const read = await withBlocks(
      `<problem url_name="${apart}"/><html url_name="h"><img src="/static/${apart}.png"/></html>`,
      {
        [`problem/${composed}.xml`]: '<problem><p>found</p></problem>',
        [`static/${composed}.png`]: 'png',
      },
    );
    const html = seen(read);
    expect(html[`problem/${composed}`]).toContain('found');
    expect(html['html/h']).toContain('/api/assets/');
    expect(read.report.lossCount).toBe(0);
  });

  fieldCase('that hold a name which no system has are unpacked without it (icon-cr)', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cw-icon-'));
    const spool = createSpool(folder);
    const id = newId();
    await spool.write(id, streamOf(caseBytes('icon-cr')), 1e9);
    const limits = { entries: 100, names: 10_000, fileBytes: 1e6, totalBytes: 1e7, ratio: 100 };
    const archive = await spool.open({ id, token: 1 }, 'application/gzip', limits);
    expect([...archive.skipped].map(({ source, kept }) => [source, kept])).toEqual([['"static/Icon\\r"', false]]);
    expect(Object.keys(seen(await readAll(archive, id), V1))).toEqual(['html/h1']);
    await archive.close();
    await rm(folder, { recursive: true });
  });

  it('that hold what a computer left are taken without it', async () => {
    const read = await fromFiles({
      'course.xml': '<course url_name="c" display_name="C"/>',
      'static/.DS_Store': '',
      '__MACOSX/static/._a.png': '',
      'static/._a.png': '',
      'static/a.png': 'x',
    });
    expect(lines(read).filter((line) => line.endsWith('[lost]'))).toHaveLength(3);
    expect(read.report.assets).toBe(1);
  });

  it('are named as libraries when they are', async () => {
    const refused = await fromFiles({ 'library/library.xml': '<library display_name="L"/>' }).catch(
      (error: unknown) => error,
    );
    expect(refused).toBeInstanceOf(AppError);
    expect(refused).toMatchObject({ reason: 'OLX_LIBRARY', message: expect.stringContaining('a library of problems') });
  });
});

describe('what a report says of parts that choose', () => {
  fieldCase('is what learners will see (split-test-wording)', async () => {
    const read = await fromCase('split-test-wording');
    const html = seen(read, V1);
    expect(Object.keys(html)).toEqual(['problem/pq1', 'problem/pq2']);
    expect(said(read, 'split_test/st')).toEqual([expect.stringMatching(/one group only; here they are for authors/)]);
    expect(said(read, 'library_content/lc')).toEqual([expect.stringMatching(/drawn at random; here learners see all/)]);
    expect(nodeAt(read, V1).content?.materials?.find((item) => item.source?.key === 'html/h7')?.audience).toBe(
      'author',
    );
  });

  it.each([
    [
      '<conditional url_name="x"><html url_name="h">a</html></conditional>',
      'conditional/x',
      /condition is met; here they are for authors/,
      [],
    ],
    [
      '<randomize url_name="x"><html url_name="h">a</html></randomize>',
      'randomize/x',
      /one of its children; here they are for authors/,
      [],
    ],
    ['<wrapper url_name="x"><html url_name="h">a</html></wrapper>', 'wrapper/x', /are seen by learners/, ['html/h']],
    ['<poll_question url_name="x"><answer/></poll_question>', 'poll_question/x', /learners see nothing of it/, []],
  ])('%s', async (blocks, key, what, shown) => {
    const read = await withBlocks(blocks);
    expect(said(read, key)).toEqual([expect.stringMatching(what)]);
    expect(Object.keys(seen(read))).toEqual(shown);
  });
});

describe('questions that nobody can answer here', () => {
  fieldCase('have a line each, and show their pictures (iframe-only)', async () => {
    const read = await fromCase('iframe-only');
    const html = seen(read, V1);
    const texts = Object.values(html);
    expect(texts.join()).toContain('<a href="https://example.org/sim"');
    expect(texts.join()).toMatch(/<img [^>]*src="(?:\/api\/assets\/[\w-]{43}|\/static\/cell\.png)"/);
    expect(texts.join()).not.toContain('(1,1)-(2,2)');
    expect(lines(read).filter((line) => line.includes('cannot be answered here'))).toEqual([
      expect.stringContaining('<imageresponse>'),
      expect.stringContaining('<customresponse>'),
    ]);
    expect(read.report.kept).toBe(2);
  });

  it('are counted one by one, also inside of a table', async () => {
    const read = await withBlocks(
      '<problem url_name="p"><table><tr><td><customresponse><textline/></customresponse></td></tr></table><jsmeresponse/><stringresponse answer="1"><textline/></stringresponse></problem>',
    );
    expect(said(read, 'problem/p')).toHaveLength(2);
    expect(read.report).toMatchObject({ read: 5, mapped: 4, kept: 1 });
    expect(seen(read)['problem/p']).toContain('<td><span data-field="1">[1] ______</span></td>');
  });

  it('are not told of where all can be answered', async () => {
    const read = await withBlocks(
      '<problem url_name="p"><optionresponse><optioninput options="(a,b)" correct="a"/></optionresponse></problem>',
    );
    expect(read.report).toMatchObject({ mapped: 5, kept: 0, lossCount: 0 });
  });
});
