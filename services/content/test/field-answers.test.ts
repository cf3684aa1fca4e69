import { describe, expect, it } from '@jest/globals';
import { emptyLesson, type LessonDocument, type LessonInput } from '@coursewright/course-model/lesson';
import { withPresentIds } from '../src/domain/import-ops.js';
import { fromFiles, nodeAt, said, seen, withBlocks } from './field-support.js';

const long = (mark: string, length: number): string => `a${mark.repeat(length)}`;

describe('what a problem says', () => {
  it.each([
    ['<p><ruby>漢字<rt>かんじ</rt></ruby></p>', '<p><ruby>漢字<rt>かんじ</rt></ruby></p>'],
    ['<form><p>x</p></form>', '<div><p>x</p></div>'],
    ['<p><acronym>x</acronym></p>', '<p><abbr>x</abbr></p>'],
    ['<menu><li>x</li></menu>', '<ul><li>x</li></ul>'],
    ['<picture><img src="https://example.org/a.png" alt="x"/></picture>', 'alt="x"'],
  ])('is shown as a page shows it: %s', async (text, shown) => {
    const read = await withBlocks(`<problem url_name="p">${text}</problem>`);
    expect(seen(read)['problem/p']).toContain(shown);
    expect(said(read, 'problem/p')).toEqual([]);
  });

  it('and has no counterpart here is listed, but for what is right and why', async () => {
    const read = await withBlocks(
      '<problem url_name="p"><p>Q</p><marquee>moves</marquee><div><blink>b</blink></div><stringresponse answer="x"><additional_answer answer="y"/>' +
        '<textline/><stringequalhint answer="z">no</stringequalhint></stringresponse><solution>why</solution><demandhint><hint>h</hint></demandhint></problem>',
    );
    expect(said(read, 'problem/p')).toEqual([
      'what stands in <marquee>, <blink> has no counterpart and is not shown to learners; its source is kept',
    ]);
  });

  it('is listed like that of a page where it embeds something, draws, or runs a script further down', async () => {
    const read = await withBlocks(
      '<problem url_name="p"><iframe src="https://example.org/x"/><svg><title>d</title></svg><div><script>x=1</script><a href="/jump_to_id/y">z</a></div></problem>',
    );
    expect(said(read, 'problem/p').map((what) => what.split(' (')[0])).toEqual([
      'has a script, which does not run here; learners see its variables by their names',
      'pages or objects of elsewhere',
      'drawings',
      'links',
    ]);
  });
});

describe('a video', () => {
  it.each([
    ['youtube="0.75:slow, 1.00:abc, 1.25:fast"', '', 'watch?v=abc'],
    [
      'edx_video_id="e1"',
      '<video_asset><encoded_video profile="desktop_mp4" url="https://example.org/v.mp4"/></video_asset>',
      'src="https://example.org/v.mp4"',
    ],
    ['', '<video_asset><encoded_video profile="youtube" url="abc"/></video_asset>', 'watch?v=abc'],
    ['youtube="1.0:abc" start_time="00:01:05" end_time="00:02:00"', '', 'Watch it from 00:01:05 to 00:02:00.'],
  ])('is played from wherever it is: %s %s', async (attributes, children, shown) => {
    const read = await withBlocks(`<video url_name="v" ${attributes}>${children}</video>`);
    expect(seen(read)['video/v']).toContain(shown);
    expect(said(read, 'video/v')).toEqual([]);
    expect(read.report).toMatchObject({ read: 5, mapped: 5, kept: 0 });
  });

  it('has the transcripts of the store that it came from', async () => {
    const asset =
      '<video_asset><encoded_video profile="hls" url="https://example.org/v.m3u8"/><transcripts><transcript language_code="de" file_format="srt"/></transcripts></video_asset>';
    const read = await withBlocks(`<video url_name="v" edx_video_id="e1">${asset}</video>`, {
      'static/e1-de.srt': '1',
    });
    expect(seen(read)['video/v']).toMatch(/<a href="\/api\/assets\/[\w-]{43}"[^>]*>Transcript \(de\)/);
  });

  it('is counted as kept, and listed, when nothing of it can be played', async () => {
    const read = await withBlocks('<video url_name="v" start_time="00:00:00" edx_video_id="e1"/>');
    expect(seen(read)['video/v']).toBe('');
    expect(read.report).toMatchObject({ read: 5, mapped: 4, kept: 1 });
    expect(said(read, 'video/v')).toEqual([
      'names no video that can be played here; learners see what else it names, authors its source',
    ]);
  });
});

describe('objectives', () => {
  it('are a JSON list, lines, or parted by a bar', async () => {
    for (const written of ['[&quot;one&quot;, &quot;two&quot;]', 'one|two', 'one&#10;two']) {
      const read = await withBlocks('', {}, `coursewright_objectives="${written}"`);
      expect(nodeAt(read, 'vertical/l').content?.objectives).toMatchObject([{ text: 'one' }, { text: 'two' }]);
    }
  });

  it('that stand where none can be, or are too many, are kept and listed', async () => {
    const read = await fromFiles({
      'course.xml':
        '<course url_name="c" coursewright_objectives="a"><chapter url_name="u" coursewright_objectives="b"><sequential url_name="m">' +
        `<vertical url_name="l" coursewright_objectives="${Array.from({ length: 201 }, (_, n) => n).join('|')}"/></sequential></chapter></course>`,
    });
    const kept = 'attributes without a counterpart, kept beside the course: coursewright_objectives=';
    expect(said(read, 'course/c')).toEqual([`${kept}"a"`]);
    expect(said(read, 'chapter/u')).toEqual([`${kept}"b"`]);
    expect(said(read, 'vertical/l')).toEqual(['has 201 objectives; the first 200 are those of the lesson here']);
    expect(nodeAt(read, 'vertical/l').content?.objectives).toHaveLength(200);
  });
});

describe('a part of a course', () => {
  it('that has no place in its lesson is counted as kept, not as something that learners get', async () => {
    const blocks = Array.from({ length: 2001 }, (_, n) => `<html url_name="h${n}">x</html>`).join('');
    const { report } = await withBlocks(blocks);
    expect(report).toMatchObject({ read: 2005, mapped: 2004, kept: 1, items: 2000 });
  });

  it('names its file from the folder of the file that says so', async () => {
    const read = await withBlocks('<html url_name="deep:toy"/><html url_name="flat:toy"/>', {
      'html/deep/toy.xml': '<html filename="lab"/>',
      'html/deep/lab.html': 'from its folder',
      'html/flat/toy.xml': '<html filename="top"/>',
      'html/top.html': 'from the top',
    });
    expect(Object.values(seen(read))).toEqual(['from its folder', 'from the top']);
  });

  it('that is used twice is two, also when another one is called like the second', async () => {
    const block = (name: string) => `<html url_name="${name}">x</html>`;
    const read = await withBlocks([block('x#2'), block('x'), block('x'), block('x')].join(''));
    const keys = nodeAt(read, 'vertical/l').content?.materials?.map(({ source }) => source?.key);
    expect(keys).toEqual(['html/x#2', 'html/x', 'html/x#3', 'html/x#4']);
  });

  it('that is a description is listed when it is more than a text', async () => {
    const about = 'about/short_description.html';
    const read = await withBlocks('<html url_name="h"><p><map name="m"><area href="/x"/></map>y</p></html>', {
      [about]: '<p>See <a href="https://example.org">there</a>.</p>',
    });
    expect(nodeAt(read, 'course/c').fields['description']).toBe('See there.');
    expect(said(read, about)).toEqual([expect.stringMatching(/^has links or pictures/)]);
    expect(said(read, 'html/h')).toEqual([expect.stringMatching(/^links \(1\) from areas/)]);
  });

  it('without a name is known by its place beside the others', async () => {
    const read = await fromFiles({
      'course.xml':
        '<course url_name="c"><chapter url_name="u"><sequential url_name="s"><html>one</html><html>two</html></sequential></chapter></course>',
    });
    const items = read.nodes.flatMap(({ content }) => content?.materials ?? []);
    expect(items.map(({ source }) => source?.key)).toEqual(['sequential/s/html[0]', 'sequential/s/html[1]']);
    expect(read.report.losses.filter(({ what }) => what.startsWith('is used in'))).toEqual([]);
  });

  it('that is a draft is one of its own sequential only, and none of what a computer left', async () => {
    const read = await fromFiles({
      'course.xml':
        '<course url_name="c"><chapter url_name="u"><sequential><vertical url_name="l"/></sequential></chapter></course>',
      'drafts/vertical/lost.xml': '<vertical display_name="Lost"/>',
      'drafts/vertical/._lost.xml': 'litter',
    });
    const parentOf = (key: string): string | undefined => {
      const { parentId } = nodeAt(read, key);
      return read.nodes.find(({ id }) => id === parentId)?.source.key;
    };
    expect(parentOf('drafts/vertical/lost')).toBe('drafts#module');
    expect(read.nodes.map(({ source }) => source.key).filter((key) => key.includes('._'))).toEqual([]);
  });

  it('may have a name of which no normal form can be found in time', async () => {
    const name = long('\u0316\u0301', 100_000);
    const started = performance.now();
    const read = await withBlocks(`<html url_name="${name}">x</html>`, {
      'policies/c/policy.json': JSON.stringify({ [`html/${name}`]: { display_name: 'y' } }),
    });
    expect(read.report.mapped).toBe(5);
    expect(nodeAt(read, 'vertical/l').content?.materials).toMatchObject([{ title: 'y', content: 'x' }]);
    expect(performance.now() - started).toBeLessThan(3_000);
  });
});

describe('what no document may have', () => {
  const marks = long('\u0316', 40);

  it('keeps its item out of the lesson, as a file, and no other', async () => {
    const read = await withBlocks(`<html url_name="h">${marks}</html><html url_name="i">fine</html>`);
    expect(seen(read)).toEqual({ 'html/i': 'fine' });
    expect(said(read, 'html/h')).toEqual([
      expect.stringMatching(
        /^\/content holds more than 30 combining marks in a row, as no document may; it was left out and is kept as a file/,
      ),
    ]);
    expect(read.report).toMatchObject({ mapped: 5, kept: 1, items: 1 });
  });

  it('is no title', async () => {
    const read = await withBlocks(
      `<html url_name="h" display_name="&quot;\\ud83d&quot;">x</html>`,
      {},
      `display_name="${marks}" coursewright_note="${marks}"`,
    );
    expect(nodeAt(read, 'vertical/l').fields).toEqual({ title: 'l' });
    expect(said(read, 'vertical/l')).toEqual([
      'has a title with more than 30 combining marks in a row, which no text here may have',
      expect.stringContaining('coursewright_note='),
    ]);
    expect(nodeAt(read, 'vertical/l').content?.materials).toMatchObject([{ title: '"\\ud83d"' }]);
  });

  it('is a problem of more parts than it may have: it is for authors', async () => {
    const questions = '<p>q</p><stringresponse answer="a"><textline/></stringresponse>'.repeat(1_001);
    const read = await withBlocks(`<problem url_name="p" graded="true">${questions}</problem>`);
    expect(seen(read)).toEqual({});
    expect(nodeAt(read, 'vertical/l').content?.materials).toMatchObject([
      { type: 'vendor/olx-problem', audience: 'author' },
    ]);
    expect(said(read, 'problem/p')).toHaveLength(1);
  });

  it('is a course that is handed in, or more text in its fields than a node may have', async () => {
    const long3 = '\u4e0a'.repeat(9_000);
    const read = await fromFiles({
      'course.xml': `<course url_name="c" submittable="true" coursewright_topic2="${long3}" coursewright_topic3="${long3}"/>`,
      'about/short_description.html': '\u{1f600}'.repeat(10_000),
    });
    const { fields } = nodeAt(read, 'course/c');
    expect(Object.keys(fields)).toEqual(['title', 'topic2', 'description']);
    expect(Buffer.byteLength(JSON.stringify(fields))).toBeLessThan(64 * 1024);
    expect(said(read, 'course/c')).toEqual([expect.stringMatching(/coursewright_topic3=.*submittable="true"/)]);
    expect(said(read, 'about/short_description.html')).toHaveLength(1);
  });
});

describe('what counts towards a grade', () => {
  it.each([
    ['<sequential url_name="m" graded="true"><vertical url_name="l" graded="false">', '', 'exercises'],
    ['<sequential url_name="m" graded="true"><vertical url_name="l">', '', 'assessments'],
    ['<sequential url_name="m" graded="true"><vertical url_name="l">', 'graded="False"', 'exercises'],
    ['<sequential url_name="m"><vertical url_name="l">', 'graded="true"', 'assessments'],
    ['<sequential url_name="m" graded="true"><vertical url_name="l" graded="perhaps">', '', 'assessments'],
  ] as const)('is said by what stands nearest: %s %s', async (above, own, list) => {
    const read = await fromFiles({
      'course.xml': `<course url_name="c"><chapter url_name="u">${above}<problem url_name="p" ${own}><p>x</p></problem></vertical></sequential></chapter></course>`,
    });
    expect(nodeAt(read, 'vertical/l').content?.[list]).toHaveLength(1);
  });

  it('may be all of a course', async () => {
    const read = await fromFiles({
      'course.xml':
        '<course url_name="c" graded="true"><chapter url_name="u"><sequential url_name="m"><vertical url_name="l"><problem url_name="p"><p>x</p></problem></vertical></sequential></chapter></course>',
    });
    expect(nodeAt(read, 'vertical/l').content?.assessments).toHaveLength(1);
  });
});

describe('a policy', () => {
  it('is found for a part whose name is too long for a key', async () => {
    const name = 'n'.repeat(600);
    const read = await withBlocks(`<html url_name="${name}">x</html>`, {
      'policies/c/policy.json': JSON.stringify({ [`html/${name}`]: { visible_to_staff_only: 'True' } }),
    });
    expect(seen(read)).toEqual({});
    expect(read.report.kept).toBe(1);
  });
});

describe('a source that comes again', () => {
  const item = (id: string, key?: string, format = 'olx') => ({
    ...{ id, type: 'text/html', content: id },
    ...(key === undefined ? {} : { source: { format, key } }),
  });
  const present = (...items: ReturnType<typeof item>[]): LessonDocument => ({
    ...emptyLesson(),
    materials: items.map((one) => ({ ...one, audience: 'learner' as const })),
    order: items.map(({ id }) => id),
  });
  const planned = (...items: ReturnType<typeof item>[]): LessonInput => ({
    materials: items,
    order: items.map(({ id }) => id),
  });

  it('leaves what somebody wrote here where it stands, and what came from elsewhere', () => {
    const here = present(item('n0'), item('o1', '1'), item('n1'), item('q', '1', 'qti'), item('o2', '2'), item('n2'));
    const merged = withPresentIds(planned(item('p2', '2'), item('p3', '3'), item('p1', '1')), here, 'olx');
    expect(merged.order).toEqual(['n0', 'o2', 'n2', 'p3', 'o1', 'n1', 'q']);
    expect(merged.materials?.map(({ id }) => id).sort()).toEqual(['n0', 'n1', 'n2', 'o1', 'o2', 'p3', 'q']);
  });

  it('keeps a note in its place when what stood before it is gone from the source', () => {
    const merged = withPresentIds(
      planned(item('p2', '2')),
      present(item('o1', '1'), item('n'), item('o2', '2')),
      'olx',
    );
    expect(merged.order).toEqual(['n', 'o2']);
  });
});
