import { describe, expect, it } from '@jest/globals';
import { normalizeLesson } from '@coursewright/course-model/normalize-lesson';
import { projectLesson } from '@coursewright/course-model/project-lesson';
import { AppError } from '@coursewright/platform/errors';
import fc from 'fast-check';
import { entryPath } from '../src/domain/archive.js';
import { decodeText } from '../src/domain/decode.js';
import type { PlannedNode } from '../src/domain/import-plan.js';
import type { ImportReport } from '../src/domain/import-report.js';
import { parseXml } from '../src/domain/olx/xml-parse.js';
import { xmlOf } from '../src/domain/olx/xml.js';
import { archiveFrom, readAll } from './support.js';

const IMPORT = '0190a000-0000-7000-8000-000000000001';
const LISTS = ['materials', 'exercises', 'assessments'] as const;

type Read = Promise<{ nodes: PlannedNode[]; report: ImportReport }>;

async function read(files: Record<string, string>): Read {
  return readAll(archiveFrom(new Map(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)]))), IMPORT);
}

/** An inline course whose one lesson holds the given blocks. */
async function lesson(blocks: string, files: Record<string, string> = {}, sequential = ''): Read {
  return read({
    'course.xml': `<course url_name="c" display_name="C"><chapter url_name="u"><sequential url_name="m" ${sequential}><vertical url_name="l" display_name="L">${blocks}</vertical></sequential></chapter></course>`,
    ...files,
  });
}

function keys(node: PlannedNode | undefined): string[] {
  const byId = new Map(
    LISTS.flatMap((list) => (node?.content?.[list] ?? []).map((item) => [item.id, item.source?.key ?? ''] as const)),
  );
  return (node?.content?.order ?? []).map((id) => byId.get(id) ?? '');
}

function learners(node: PlannedNode | undefined): string {
  const stored = normalizeLesson(node?.content, null, () => '');
  if (!stored.ok) throw new Error(JSON.stringify(stored.problems));
  return JSON.stringify(projectLesson(stored.body.doc, 'learner'));
}

async function reasonOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    return error instanceof AppError ? `${error.kind} ${error.reason}` : String(error);
  }
  return 'nothing thrown';
}

describe('ordinary courses', () => {
  it('reads a course that stands inline in one file', async () => {
    const { nodes, report } = await lesson(
      '<html url_name="h"><p>Hola &amp; adiós</p></html><video url_name="v" youtube="1.00:abc"/><problem url_name="p"><p>?</p></problem>',
    );
    expect(nodes.map((node) => [node.kind, node.source.key, node.fields['title']])).toEqual([
      ['course', 'course/c', 'C'],
      ['unit', 'chapter/u', 'u'],
      ['module', 'sequential/m', 'm'],
      ['lesson', 'vertical/l', 'L'],
    ]);
    expect(nodes[3]?.content?.materials).toMatchObject([
      { type: 'text/html', content: '<p>Hola &amp; adiós</p>' },
      { type: 'video', content: { youtube: 'abc' } },
    ]);
    expect(keys(nodes[3])).toEqual(['html/h', 'video/v', 'problem/p']);
    expect(report).toMatchObject({ read: 7, mapped: 7, kept: 0, lossCount: 0, items: 3 });
  });

  it('reads pointer files in any folder, below the shallowest course.xml', async () => {
    const { nodes } = await read({
      'export/course.xml': '<course url_name="run" org="o" course="c"/>',
      'export/course/run.xml':
        '<course display_name="Español" language="es" coursewright_topic="Spanish" coursewright_cefr_level="A1" coursewright_tags="a, b"><chapter url_name="x"/></course>',
      'export/chapter/x.xml': '<chapter display_name="Uno"/>',
      'export/about/short_description.html': 'Un <b>curso</b>\n',
      'export/nested/course.xml': '<course/>',
    });
    expect(nodes.map((node) => node.fields)).toEqual([
      {
        title: 'Español',
        language: 'es',
        topic: 'Spanish',
        cefrLevel: 'A1',
        tags: ['a', 'b'],
        description: 'Un curso',
      },
      { title: 'Uno' },
    ]);
  });

  it('makes an assignment of a vertical that says so, with its fields and objectives', async () => {
    const { nodes, report } = await read({
      'course.xml':
        '<course url_name="c"><chapter url_name="u"><sequential url_name="m"><vertical url_name="a" coursewright_kind="assignment" submittable="true" coursewright_duration_minutes="15" coursewright_objectives="Greet|Ask"><html url_name="h">Do</html></vertical></sequential></chapter></course>',
    });
    expect(nodes[3]).toMatchObject({
      kind: 'assignment',
      fields: { title: 'a', submittable: true, durationMinutes: 15 },
    });
    expect(nodes[3]?.content?.objectives).toMatchObject([{ text: 'Greet' }, { text: 'Ask' }]);
    expect(report.counts).toEqual({ units: 1, modules: 1, lessons: 0, assignments: 1 });
  });

  it('fills in the levels that a course leaves out, and says so', async () => {
    const { nodes, report } = await read({
      'course.xml':
        '<course url_name="c"><sequential url_name="m"><html url_name="h">x</html></sequential><chapter url_name="u"><vertical url_name="l"/></chapter><vertical url_name="k"/></course>',
    });
    expect(nodes.map((node) => [node.kind, node.source.key])).toEqual([
      ['course', 'course/c'],
      ['module', 'sequential/m'],
      ['lesson', 'html/h#lesson'],
      ['unit', 'chapter/u'],
      ['module', 'vertical/l#module'],
      ['lesson', 'vertical/l'],
      ['module', 'vertical/k#module'],
      ['lesson', 'vertical/k'],
    ]);
    expect(keys(nodes[2])).toEqual(['html/h']);
    expect(report).toMatchObject({ read: 6, mapped: 6, lossCount: 5 });
    const ids = new Set(nodes.map((node) => node.id));
    expect(nodes.every((node) => node.parentId === null || ids.has(node.parentId))).toBe(true);
  });

  it('keeps blocks of other kinds whole for authors, with the children of libraries as items', async () => {
    const { nodes, report } = await lesson(
      '<lti url_name="t" launch_url="https://x"/><library_content url_name="q" max_count="1"><problem url_name="p1"/><problem url_name="p2"/></library_content>',
      {
        'problem/p1.xml': '<problem><p>One</p></problem>',
        'problem/p2.xml': '<problem><p>Two</p></problem>',
      },
    );
    expect(keys(nodes[3])).toEqual(['lti/t', 'library_content/q', 'problem/p1', 'problem/p2']);
    expect(nodes[3]?.content?.materials?.[0]).toMatchObject({
      type: 'vendor/olx-lti',
      audience: 'author',
      content: '<lti url_name="t" launch_url="https://x"/>',
    });
    expect(report).toMatchObject({ read: 8, mapped: 6, kept: 2 });
    expect(learners(nodes[3])).not.toContain('launch_url');
  });

  it('keeps what is for staff or some groups away from learners', async () => {
    const { nodes } = await lesson(
      '<html url_name="s" visible_to_staff_only="true">SECRET</html><html url_name="g" group_access="{&quot;1&quot;: [2]}">SECRET</html><html url_name="o" group_access="{}">open</html><conditional url_name="c"><html url_name="i">SECRET</html></conditional>',
    );
    expect(learners(nodes[3])).not.toContain('SECRET');
    expect(learners(nodes[3])).toContain('open');
  });

  it.each([
    ['true', 'author'],
    ['True', 'author'],
    ['1', 'author'],
    ['&quot;true&quot;', 'author'],
    ['yes', 'author'],
    ['perhaps', 'author'],
    ['{', 'author'],
    ['[true]', 'author'],
    ['false', 'learner'],
    ['False', 'learner'],
    ['0', 'learner'],
    ['null', 'learner'],
    ['', 'learner'],
  ])('takes visible_to_staff_only="%s" to mean: for %s', async (value, audience) => {
    const mark = `visible_to_staff_only="${value}"`;
    const { nodes, report } = await read({
      'course.xml': `<course url_name="c"><chapter url_name="u" ${mark}/><chapter url_name="v"><sequential url_name="m" ${mark}><vertical url_name="l" ${mark}><html url_name="h" ${mark}>x</html></vertical></sequential></chapter></course>`,
    });
    const field = audience === 'learner' ? undefined : audience;
    expect(nodes.map((node) => node.fields['audience'])).toEqual([undefined, field, undefined, field, field]);
    expect(nodes[4]?.content?.materials?.[0]?.audience).toBe(audience);
    expect(report.losses.map((loss) => loss.source)).toEqual(
      audience === 'learner' ? [] : ['chapter/u', 'sequential/m', 'vertical/l', 'html/h'],
    );
  });

  it('makes parts for some groups, and parts that say it in the policy with any JSON, the authors’, and says so', async () => {
    const { nodes, report } = await read({
      'course.xml':
        '<course url_name="r"><chapter url_name="a"/><chapter url_name="b"/><chapter url_name="c"/><chapter url_name="d" hide_from_toc="true"/><chapter url_name="e" group_access="{1: [2]}"/><chapter url_name="f" coursewright_audience="grader"/><chapter url_name="g" coursewright_audience="friends"/></course>',
      'policies/r/policy.json': JSON.stringify({
        'chapter/a': { visible_to_staff_only: true },
        'chapter/b': { group_access: { 50: [1, 2] } },
        'chapter/c': { group_access: { 50: [] }, visible_to_staff_only: null },
      }),
    });
    expect(nodes.map((node) => [node.source.key, node.fields['audience']])).toEqual([
      ['course/r', undefined],
      ['chapter/a', 'author'],
      ['chapter/b', 'author'],
      ['chapter/c', undefined],
      ['chapter/d', undefined],
      ['chapter/e', 'author'],
      ['chapter/f', 'grader'],
      ['chapter/g', 'author'],
    ]);
    const told = new Map(report.losses.map((loss) => [loss.source, loss.what]));
    expect(told.get('chapter/b')).toBe('is for some groups of learners only; kept for authors');
    expect(report.losses.map((loss) => `${loss.source} ${loss.what}`)).toContainEqual(
      expect.stringMatching(/^chapter\/d is hidden from the table of contents/),
    );
    expect(told.get('chapter/e')).toContain('does not say clearly whom it is for (group_access="{1: [2]}")');
    expect(told.get('chapter/g')).toContain('does not say clearly');
  });

  it('keeps the titles of parts from learners that were made for what is not theirs', async () => {
    const { nodes } = await read({
      'course.xml':
        '<course url_name="c"><vertical url_name="l" display_name="SECRET" visible_to_staff_only="true"/><split_test url_name="t" display_name="SECRET"><html url_name="h">x</html></split_test></course>',
    });
    const shown = nodes.filter((node) => node.fields['audience'] === undefined);
    expect(nodes.length).toBeGreaterThan(3);
    expect(JSON.stringify(shown)).not.toContain('SECRET');
  });

  it('makes every unit of a course that is for staff only the authors’', async () => {
    const { nodes } = await read({
      'course.xml':
        '<course url_name="c" visible_to_staff_only="true"><chapter url_name="u"><sequential url_name="m"><vertical url_name="l"><html url_name="h">x</html></vertical></sequential></chapter><html url_name="k">y</html></course>',
    });
    expect(nodes.map((node) => [node.kind, node.fields['audience']])).toEqual([
      ['course', undefined],
      ['unit', 'author'],
      ['module', undefined],
      ['lesson', undefined],
      ['module', 'author'],
      ['lesson', 'author'],
    ]);
    for (const node of nodes) if (node.content) expect(node.content.materials?.[0]?.audience).toBe('author');
  });

  it('is not led astray by names that every object has', async () => {
    const { nodes } = await lesson(
      '<constructor url_name="a"/><toString url_name="b"/><html url_name="valueOf" constructor="x">t</html>',
      {},
      'constructor="1" toString="2" coursewright_to_string="3" coursewright_constructor="4"',
    );
    expect(keys(nodes[3])).toEqual(['constructor/a', 'toString/b', 'html/valueOf']);
    expect(nodes[2]?.fields).toEqual({ title: 'm', toString: 3 });
  });

  it.each([
    ['is no JSON', '{"chapter/u": {"visible_to_staff_only": true},,}'],
    [
      'is larger than is read',
      JSON.stringify({ 'chapter/u': { visible_to_staff_only: true }, pad: 'x'.repeat(3_000_000) }),
    ],
  ])('keeps every unit for authors when the policy %s, and says so', async (_how, policy) => {
    const { nodes, report } = await read({
      'course.xml': '<course url_name="r" org="o" course="c"/>',
      'course/r.xml': '<course><chapter url_name="u" display_name="U"/></course>',
      'chapter/u.xml': '<chapter display_name="U"/>',
      'policies/r/policy.json': policy,
    });
    expect(nodes[1]?.fields).toEqual({ title: 'U', audience: 'author' });
    expect(report.losses.filter(({ source }) => source === 'policies/r/policy.json')).toHaveLength(1);
  });

  it('takes the policy of older exports over the elements', async () => {
    const { nodes } = await read({
      'course.xml': '<course url_name="r" org="o" course="c"/>',
      'course/r.xml': '<course><chapter url_name="u"/></course>',
      'chapter/u.xml': '<chapter/>',
      'policies/r/policy.json': JSON.stringify({
        'course/r': { display_name: 'Titled' },
        'chapter/u': { display_name: 'One', start: '2020-01-01', bad: '\ud800' },
      }),
    });
    expect(nodes.map((node) => node.fields)).toEqual([{ title: 'Titled' }, { title: 'One', start: '2020-01-01' }]);
  });
});

describe('problems', () => {
  const choice = `<problem url_name="p" weight="2" max_attempts="3" showanswer="finished" markdown="(x) MARK">
    <p>Read this.</p><script>answer = "SCRIPT"</script>
    <multiplechoiceresponse><label>Which one?</label><!-- COMMENT -->
      <choicegroup><choice correct="true">Right <b>one</b><choicehint>HINT</choicehint></choice><choice correct="false" explanation="EXPL">Wrong</choice></choicegroup>
      <solution><p>SOLUTION</p></solution></multiplechoiceresponse>
    <optionresponse><optioninput options="('red','b\\'lue')" correct="CORRECT"/></optionresponse>
    <stringresponse answer="ANSWER"><additional_answer answer="ALSO"/><textline size="20"/></stringresponse>
    <customresponse expect="EXPECT" cfn="f"><jsinput gradefn="GRADE"/></customresponse>
    <demandhint><hint>HINT2</hint></demandhint></problem>`;

  it('shows learners the questions and choices in order, and nothing of what is right', async () => {
    const { nodes } = await lesson(choice);
    const exercise = nodes[3]?.content?.exercises?.[0];
    expect(exercise).toMatchObject({
      type: 'mixed',
      instructions: { html: '<p>Read this.</p>' },
      content: {
        questions: [
          { type: 'choice', html: '<p>Which one?</p>', options: [{ html: 'Right <b>one</b>' }, { html: 'Wrong' }] },
          { type: 'dropdown', options: [{ html: 'red' }, { html: "b'lue" }] },
          { type: 'short-text' },
          { type: 'olx-customresponse' },
        ],
      },
    });
    expect(learners(nodes[3])).not.toMatch(
      /SCRIPT|COMMENT|HINT|EXPL|SOLUTION|CORRECT|ANSWER|ALSO|EXPECT|GRADE|MARK|correct/,
    );
    expect(JSON.stringify(exercise?.answers)).toMatch(/SOLUTION.*HINT2/s);
  });

  it('makes assessments of them where the sequential is graded, with their scoring', async () => {
    const { nodes } = await lesson(choice, {}, 'graded="true" format="Exam"');
    expect(nodes[3]?.content?.assessments?.[0]).toMatchObject({
      type: 'mixed',
      scoring: { weight: 2, maxAttempts: 3, showAnswer: 'finished' },
    });
    expect(nodes[2]?.fields).toMatchObject({ graded: true, format: 'Exam' });
    expect(learners(nodes[3])).not.toMatch(/SOLUTION|finished/);
  });
});

describe('hostile and broken archives', () => {
  it.each([
    [{}, 'unprocessable OLX_NO_COURSE'],
    [{ 'course.xml': '<library/>' }, 'unprocessable OLX_LIBRARY'],
    [{ 'library/library.xml': '<library/>' }, 'unprocessable OLX_LIBRARY'],
    [{ 'package.toml': '[learning_package]' }, 'unprocessable OLX_LIBRARY'],
    [{ 'course.xml': '' }, 'unprocessable OLX_NO_COURSE'],
    [{ 'course.xml': '<course><chapter></course>' }, 'unprocessable OLX_BROKEN_XML'],
    [{ 'course.xml': '<course url_name="x" org="o" course="c"/>' }, 'unprocessable OLX_BROKEN_XML'],
    [{ 'course.xml': '<a>'.repeat(100_000) }, 'unprocessable OLX_TOO_DEEP'],
    [
      { 'course.xml': `<course>${'<chapter>'.repeat(500)}${'</chapter>'.repeat(500)}</course>` },
      'unprocessable OLX_TOO_DEEP',
    ],
  ])('%# are refused with %s', async (files, reason) => {
    expect(await reasonOf(() => read(files as Record<string, string>))).toBe(reason);
  });

  it('lists missing files and broken leaves, and keeps what there is of them', async () => {
    const { nodes, report } = await lesson(
      '<html url_name="gone"/><html url_name="nofile" filename="nowhere" display_name="N"/><problem url_name="broken"/><vertical url_name="x"/>',
      {
        'problem/broken.xml': '<problem><p>half',
      },
    );
    expect(keys(nodes[3])).toEqual(['html/gone', 'html/nofile', 'problem/broken', 'vertical/x']);
    expect(nodes[3]?.content?.materials?.[2]).toMatchObject({
      type: 'vendor/olx-problem',
      content: '<problem><p>half',
      audience: 'author',
    });
    expect(report).toMatchObject({ read: 8, mapped: 4, kept: 4 });
    expect(report.losses.map((loss) => loss.source)).toEqual([
      'html/gone',
      'html/nofile',
      'problem/broken',
      'vertical/x',
    ]);
  });

  it('reads on below a missing or broken container, and says so', async () => {
    const { nodes, report } = await read({
      'course.xml': '<course url_name="c"><chapter url_name="gone"/><chapter url_name="half"/></course>',
      'chapter/half.xml': '<chapter display_name="Half"><sequential url_name="s" display_name="S">',
    });
    expect(nodes.map((node) => node.source.key)).toEqual(['course/c', 'chapter/gone', 'chapter/half', 'sequential/s']);
    expect(report.losses.map(({ source, kept }) => [source, kept])).toEqual([
      ['chapter/gone', false],
      ['chapter/half', true],
    ]);
  });

  it('follows no cycle and reads a block used twice as two', async () => {
    const { nodes, report } = await read({
      'course.xml': '<course url_name="c"><chapter url_name="u"/><chapter url_name="u"/></course>',
      'chapter/u.xml': '<chapter><sequential url_name="m"/></chapter>',
      'sequential/m.xml': '<sequential><vertical url_name="l"/></sequential>',
      'vertical/l.xml': '<vertical><vertical url_name="l"/><html url_name="h">x</html></vertical>',
    });
    expect(nodes.map((node) => node.source.key)).toEqual([
      'course/c',
      'chapter/u',
      'sequential/m',
      'vertical/l',
      'chapter/u#2',
      'sequential/m#2',
      'vertical/l#2',
    ]);
    expect(report.losses.map((loss) => loss.what).filter((what) => what.startsWith('holds itself'))).toHaveLength(2);
    expect(new Set(nodes.map((node) => node.id)).size).toBe(7);
  });

  it('fetches nothing for a document type, and multiplies nothing', async () => {
    const { nodes } = await lesson('<html url_name="h" filename="h"/>', { 'html/h.xml': '', 'html/h.html': 'x' });
    expect(nodes[3]?.content?.materials?.[0]?.content).toBe('x');
    const types = '<!ENTITY a "lol"><!ENTITY b "&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd"><!ENTITY d "<b/>">';
    const parsed = await parseXml(`<!DOCTYPE a [${types}]><a t="&a;&b;">&b;&c;&d;</a>`, () => undefined);
    expect(xmlOf(parsed.root!)).toBe('<a t="lol&amp;b;">&amp;b;&amp;c;&amp;d;</a>');
    const many = `<!DOCTYPE a [<!ENTITY a "${'x'.repeat(1000)}">]><a>${'&a;'.repeat(10_000)}</a>`;
    expect(await reasonOf(() => parseXml(many, () => undefined))).toBe('unprocessable OLX_TOO_LARGE');
  });

  it('looks files up in the archive only', async () => {
    const { nodes } = await lesson('<html url_name="h" filename="../../../../etc/passwd"/><html url_name="../../x"/>');
    expect(JSON.stringify(nodes[3]?.content)).not.toContain('root:');
    expect(keys(nodes[3])).toEqual(['html/h', 'html/../../x']);
  });

  it('leaves out what does not fit into a document, and lists it', async () => {
    const { nodes, report } = await lesson(
      `<html url_name="big">${'x'.repeat(1_200_000)}</html><html url_name="small">y</html>`,
    );
    expect(keys(nodes[3])).toEqual(['html/big', 'html/small']);
    expect(report.losses).toMatchObject([{ source: 'html/big', kept: true }]);
    expect(learners(nodes[3])).toContain('"y"');
  });

  it('mends text that is no UTF-8, and says so', async () => {
    expect(decodeText(Buffer.from([0x61, 0xff, 0x00]))).toEqual({ text: 'a\uFFFD\uFFFD', damaged: true });
    expect(decodeText(Buffer.from('\uFEFFé'))).toEqual({ text: 'é', damaged: false });
  });

  it('knows safe paths', async () => {
    expect(entryPath('./a//b/./c.xml')).toEqual({ path: 'a/b/c.xml' });
    for (const evil of ['/etc/passwd', '../x', 'a/../../x', 'C:\\x', 'c:/x', '\\\\host\\x', 'a\\..\\..\\x'])
      expect([evil, entryPath(evil)]).toEqual([evil, { refused: 'outside' }]);
    for (const odd of ['', '.', 'static/Icon\r', 'a\0b', 'x'.repeat(2000), 'a/'.repeat(40) + 'b'])
      expect([odd, entryPath(odd)]).toEqual([odd, { refused: 'odd' }]);
  });

  it('keeps the source of a problem as it was written, in any language, and as XML that reads the same', async () => {
    const { nodes } = await lesson(
      `<problem url_name="p" note="„a“ &amp; 'b'&#10;c&#9;d &#13; &lt;e&gt; &quot;f&quot;"><p>学习 ελληνικά é &amp; &lt;x&gt; ]]&gt; 😀</p><![CDATA[<&]]><!-- c --></problem>`,
    );
    const { source } = nodes[3]?.content?.exercises?.[0]?.answers as { source: string };
    expect(source).toContain('学习 ελληνικά é &amp; &lt;x&gt; ]]&gt; 😀');
    expect(source).toContain("„a“ &amp; 'b'&#10;c&#9;d &#13; &lt;e&gt; &quot;f&quot;");
    const again = await parseXml(source, () => Promise.resolve());
    expect(again.root && xmlOf(again.root)).toBe(source);
  });

  it('neither crashes nor loses count on generated nonsense', async () => {
    const tag = fc.constantFrom(
      'course',
      'chapter',
      'sequential',
      'vertical',
      'html',
      'problem',
      'library_content',
      'video',
      'lti',
    );
    const { tree } = fc.letrec<{ tree: string }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 6, withCrossShrink: true },
        fc.tuple(tag, fc.constantFrom('a', 'b', 'c')).map(([name, key]) => `<${name} url_name="${key}"/>`),
        fc
          .tuple(tag, fc.constantFrom('', 'a', '__proto__', '$x'), fc.array(tie('tree'), { maxLength: 4 }))
          .map(
            ([name, key, inner]) => `<${name} url_name="${key}" display_name="T" $a="1">${inner.join('')}</${name}>`,
          ),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(tree, { maxLength: 4 }),
        fc.dictionary(
          fc.constantFrom('chapter/a.xml', 'sequential/b.xml', 'vertical/a.xml', 'library_content/a.xml', 'html/c.xml'),
          tree,
        ),
        async (top, files) => {
          const { nodes, report } = await read({
            'course.xml': `<course url_name="r" display_name="R">${top.join('')}</course>`,
            ...files,
          });
          expect(report.mapped + report.kept).toBe(report.read);
          const made = nodes.length + nodes.reduce((sum, node) => sum + (node.content?.order?.length ?? 0), 0);
          expect(made).toBe(
            report.read + nodes.filter((node) => /#(unit|module|lesson)(#\d+)?$/.test(node.source.key)).length,
          );
          expect(new Set(nodes.map((node) => node.id)).size).toBe(nodes.length);
          for (const node of nodes) if (node.content) learners(node);
        },
      ),
      { numRuns: 300 },
    );
  });
});
