import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { audienceOfRoles, can, ROLES } from '../src/access.js';
import { sees } from '../src/audience.js';
import { bodyHash, bodyOf, LESSON_VERSION, LESSON_VERSIONS, versionOf } from '../src/body.js';
import { canonicalJson } from '../src/canonical.js';
import { AUDIENCES, emptyLesson, lessonJsonSchema, pageItems, PAGE_LISTS, type LessonDocument } from '../src/lesson.js';
import { normalizeLesson } from '../src/normalize-lesson.js';
import { projectLesson } from '../src/project-lesson.js';
import { readStored } from '../src/stored-lesson.js';
import { referencesOf } from '../src/references.js';
import { applyTextRules } from '../src/text-rules.js';
import { countingIds, lessonInput } from './arbitraries.js';

function stored(input: unknown, present: LessonDocument | null = null, newId = countingIds()): LessonDocument {
  const result = normalizeLesson(input, present, newId);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.body.doc;
}

function problems(input: unknown): { pointer: string; code: string }[] {
  const result = normalizeLesson(input, null, countingIds());
  return result.ok ? [] : result.problems.map(({ pointer, code }) => ({ pointer, code }));
}

const ID = '0190a000-0000-7000-8000-00000000000a';
const OTHER = '0190a000-0000-7000-8000-00000000000b';

describe('normal form', () => {
  it('is a fixed point: normalising what is stored changes nothing', () => {
    fc.assert(
      fc.property(lessonInput, (input) => {
        const first = stored(input);
        const again = stored(JSON.parse(canonicalJson(first)), first, countingIds('0190b000'));
        expect(canonicalJson(again)).toBe(canonicalJson(first));
      }),
    );
  });

  it('gives the same PUT twice one hash, whatever was there before', () => {
    fc.assert(
      fc.property(lessonInput, lessonInput, (before, input) => {
        const newId = countingIds();
        const first = stored(input, stored(before, null, newId), newId);
        const second = stored(input, first, newId);
        expect(bodyHash(second)).toEqual(bodyHash(first));
      }),
    );
  });

  it('keeps the ids of unchanged items when items without ids are put in any order', () => {
    fc.assert(
      fc.property(lessonInput, fc.integer({ min: 0, max: 4 }), (input, turn) => {
        const newId = countingIds();
        const first = stored(input, null, newId);
        const materials = first.materials.map((item) => ({ ...item, id: undefined }));
        const turned = [...materials.slice(turn), ...materials.slice(0, turn)];
        const second = stored(
          JSON.parse(JSON.stringify({ ...first, order: undefined, materials: turned })),
          first,
          newId,
        );
        expect(new Set(second.materials.map((item) => item.id))).toEqual(
          new Set(first.materials.map((item) => item.id)),
        );
        for (const item of second.materials) {
          const like = first.materials.find((old) => old.id === item.id);
          expect(canonicalJson({ ...item })).toBe(canonicalJson({ ...like }));
        }
      }),
    );
  });

  it('gives an edited item the next free id of its list and type, and a new one when none is left', () => {
    const newId = countingIds();
    const first = stored(
      {
        exercises: [
          { type: 'a', content: '1' },
          { type: 'b', content: '2' },
          { type: 'a', content: '3' },
        ],
      },
      null,
      newId,
    );
    const [a1, b, a3] = first.exercises.map((item) => item.id);
    const second = stored(
      {
        exercises: [
          { type: 'a', content: 'new' },
          { type: 'a', content: '3' },
          { type: 'b', content: 'x' },
          { type: 'c' },
          { type: 'a' },
        ],
      },
      first,
      newId,
    );
    expect(second.exercises.slice(0, 3).map((item) => item.id)).toEqual([a1, a3, b]);
    expect(first.exercises.map((item) => item.id)).not.toContain(second.exercises[3]?.id);
    expect(new Set(second.exercises.map((item) => item.id)).size).toBe(5);
  });

  it('never gives an id that the document names elsewhere', () => {
    const first = stored({ materials: [{ type: 'text/markdown', content: 'a' }] });
    const id = first.materials[0]?.id;
    const second = stored(
      {
        materials: [
          { type: 'text/markdown', content: 'a' },
          { id, type: 'link', content: 'b' },
        ],
      },
      first,
      countingIds('0190c000'),
    );
    expect(second.materials[1]?.id).toBe(id);
    expect(second.materials[0]?.id).not.toBe(id);
  });

  it('fills in audience, empty parts and order, and takes a plain string for an objective', () => {
    const doc = stored({
      objectives: ['Greet'],
      assessments: [{ type: 'quiz' }],
      materials: [{ type: 'link', content: 'x' }],
    });
    expect(doc.objectives).toEqual([{ id: expect.any(String), text: 'Greet', audience: 'learner' }]);
    expect(doc.assessments[0]).toMatchObject({ questions: [], answers: null, scoring: null, audience: 'learner' });
    expect(doc.order).toEqual([doc.materials[0]?.id, doc.assessments[0]?.id]);
    expect(pageItems(doc).map(({ list }) => list)).toEqual(['materials', 'assessments']);
    expect(stored({})).toEqual(emptyLesson());
  });

  it('keeps an order across lists and completes one that names some only', () => {
    const doc = stored({
      materials: [{ id: ID, type: 'link', content: 'x' }],
      exercises: [{ id: OTHER, type: 'choice' }, { type: 'choice' }],
      order: [OTHER, ID],
    });
    expect(doc.order.slice(0, 2)).toEqual([OTHER, ID]);
    expect(doc.order).toHaveLength(3);
  });

  it('stores text as NFC with LF', () => {
    const doc = stored({ materials: [{ type: 'text/markdown', content: 'e\u0301\r\nb\rc' }], objectives: ['A\u030a'] });
    expect(doc.materials[0]?.content).toBe('é\nb\nc');
    expect(doc.objectives[0]?.text).toBe('Å');
  });
});

describe('refusals', () => {
  it.each([
    [{ colour: 1 }, '/colour', 'unknown_field'],
    [{ materials: [{ type: 'link', content: 'x', 'a/b': 1 }] }, '/materials/0/a~1b', 'unknown_field'],
    [{ objectives: [{ text: 'x', hint: 1 }] }, '/objectives/0/hint', 'unknown_field'],
    [{ objectives: [{ audience: 'learner' }] }, '/objectives/0/text', 'required'],
    [{ objectives: [7] }, '/objectives/0', 'invalid_type'],
    [{ materials: [{ type: 'text/html' }] }, '/materials/0/content', 'required'],
    [{ materials: [{ type: 'text/html', content: { a: 1 } }] }, '/materials/0/content', 'not_text'],
    [{ materials: [{ type: 'text/rtf', content: '' }] }, '/materials/0/type', 'invalid_format'],
    [{ materials: [{ type: 'link', content: 'a\0' }] }, '/materials/0/content', 'nul'],
    [{ materials: [{ type: 'link', content: { x: '\ud800' } }] }, '/materials/0/content/x', 'lone_surrogate'],
    [{ materials: [{ type: 'link', content: { $where: 1 } }] }, '/materials/0/content/$where', 'forbidden_key'],
    [{ exercises: [{ type: 'x', content: { _bsontype: 'Long' } }] }, '/exercises/0/content/_bsontype', 'forbidden_key'],
    [
      { exercises: [{ type: 'x', content: JSON.parse('{"__proto__":1}') }] },
      '/exercises/0/content/__proto__',
      'forbidden_key',
    ],
    [{ exercises: [{ type: 'x', content: { 'e\u0301': 1, é: 2 } }] }, '/exercises/0/content/é', 'duplicate_key'],
    [{ assessments: [{ type: 'x', scoring: Number.POSITIVE_INFINITY }] }, '/assessments/0/scoring', 'not_finite'],
    [{ assessments: [{ type: 'x', scoring: 2 ** 60 }] }, '/assessments/0/scoring', 'unsafe_integer'],
    [{ materials: [{ id: 'x', type: 'link', content: '' }] }, '/materials/0/id', 'invalid_format'],
    [
      { materials: [{ id: ID, type: 'link', content: '' }], exercises: [{ id: ID, type: 'x' }] },
      '/exercises/0/id',
      'duplicate_id',
    ],
    [{ order: [ID] }, '/order/0', 'unknown_item'],
    [{ materials: [{ id: ID, type: 'link', content: '' }], order: [ID, ID] }, '/order/1', 'duplicate_item'],
    [{ materials: [{ type: 'text/markdown', content: 'x'.repeat(1024 * 1024) }] }, '', 'too_large'],
    [null, '', 'invalid_type'],
    [[], '', 'invalid_type'],
    ['x', '', 'invalid_type'],
  ])('%# names what is wrong at %j', (input, pointer, code) => {
    expect(problems(input)).toEqual([{ pointer, code }]);
  });

  it('allows nesting to 32 and refuses 33', () => {
    const nest = (levels: number) => JSON.parse('['.repeat(levels) + ']'.repeat(levels)) as unknown;
    // The document, the list and the item are three levels.
    expect(problems({ exercises: [{ type: 'x', content: nest(29) }] })).toEqual([]);
    expect(problems({ exercises: [{ type: 'x', content: nest(30) }] })).toEqual([
      { pointer: `/exercises/0/content${'/0'.repeat(29)}`, code: 'too_deep' },
    ]);
    expect(problems({ exercises: [{ type: 'x', content: nest(50_000) }] })[0]?.code).toBe('too_deep');
  });

  it('refuses combining marks without end, which would take minutes to put in order, and takes every writing', () => {
    const marks = (n: number) => 'a' + '\u0301\u0323'.repeat(n / 2);
    for (const text of [marks(30), '\u0301'.repeat(30), 'नमस्ते दुनिया', 'Tiếng Việt'.normalize('NFD')])
      expect(problems({ objectives: [text] })).toEqual([]);
    const began = process.cpuUsage().user;
    for (const text of [
      marks(32),
      `x${marks(1_000_000)}`,
      '\u0301'.repeat(500_000),
      `${marks(30)}b`.repeat(7000) + marks(32),
    ])
      expect(problems({ objectives: [text] })).toEqual([{ pointer: '/objectives/0', code: 'too_many_marks' }]);
    expect(process.cpuUsage().user - began).toBeLessThan(2_000_000);
  });

  it('takes thousands of items that all look alike, in time that grows with their number', () => {
    const items = (n: number) => ({ materials: Array(n).fill({ type: 'link', content: 'same' }) });
    const first = stored(items(2000));
    expect(stored(items(2000), first)).toEqual(first);
  });

  it('changes nothing in place, and shares what needs no change', () => {
    const sent = { a: ['e\u0301', { kept: ['x'] }], b: { c: 'x' }, 'e\u0301': -0 };
    const before = structuredClone(sent);
    const { value } = applyTextRules(sent) as { value: typeof sent };
    expect(sent).toEqual(before);
    expect(value).toEqual({ a: ['\u00e9', { kept: ['x'] }], b: { c: 'x' }, '\u00e9': 0 });
    expect(value.b).toBe(sent.b);
    expect(value.a[1]).toBe(sent.a[1]);
  });

  it('lists many problems, but not without end', () => {
    const keys = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`$${i}`, i]));
    expect(applyTextRules(keys).problems).toHaveLength(100);
  });

  it('never throws, whatever JSON comes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(typeof normalizeLesson(value, null, countingIds()).ok).toBe('boolean');
      }),
    );
  });
});

describe('projection', () => {
  const SECRET = 'S3CRET';
  it('leaks to learners nothing of what is not theirs', () => {
    fc.assert(
      fc.property(lessonInput, (input) => {
        const doc = stored(input);
        for (const list of ['objectives', ...PAGE_LISTS] as const) {
          for (const item of doc[list]) {
            if (item.audience !== 'learner' && 'title' in item) item.title = SECRET;
            if ('text' in item && item.audience !== 'learner') item.text = SECRET;
            if ('answers' in item) item.answers = { deep: [SECRET] };
            if ('scoring' in item) item.scoring = SECRET;
            if (item.metadata) item.metadata = { note: SECRET };
          }
        }
        expect(JSON.stringify(projectLesson(doc, 'learner'))).not.toContain(SECRET);
        expect(projectLesson(doc, 'grader')).toEqual(doc);
        const grader = pageItems(doc).filter(({ item }) => item.audience === 'grader');
        const author = projectLesson(doc, 'author');
        for (const { item } of grader) expect(JSON.stringify(author)).not.toContain(item.id);
      }),
    );
  });

  it('names in its order exactly the items that are left', () => {
    fc.assert(
      fc.property(lessonInput, fc.constantFrom('learner' as const, 'author' as const), (input, audience) => {
        const seen = projectLesson(stored(input), audience);
        const ids = PAGE_LISTS.flatMap((list) => seen[list].map((item) => item.id));
        expect([...seen.order].sort()).toEqual(ids.sort());
      }),
    );
  });

  it('leaks to those who do not grade nothing that could hold a solution', () => {
    fc.assert(
      fc.property(lessonInput, (input) => {
        const doc = stored(input);
        for (const list of ['exercises', 'assessments'] as const) {
          for (const item of doc[list])
            Object.assign(item, { answers: SECRET, metadata: { key: SECRET }, future: SECRET });
          for (const item of doc[list]) item.source = { format: 'olx', key: SECRET };
        }
        for (const item of doc.assessments) item.scoring = [SECRET];
        expect(JSON.stringify(projectLesson(doc, 'author'))).not.toContain(SECRET);
      }),
    );
    const notes = { metadata: { note: 'n' }, source: { format: 'olx', key: 'k' } };
    const texts = stored({
      objectives: [{ text: 'o', ...notes }],
      materials: [{ type: 'link', content: 'c', ...notes }],
    });
    expect(projectLesson(texts, 'author')).toEqual(texts);
    expect(JSON.stringify(projectLesson(texts, 'learner'))).not.toMatch(/metadata|source/);
  });

  it('narrows every item by whom the lesson itself is for', () => {
    fc.assert(
      fc.property(
        lessonInput,
        fc.constantFrom(...AUDIENCES),
        fc.constantFrom(...AUDIENCES),
        (input, reader, within) => {
          const doc = stored(input);
          const seen = pageItems(projectLesson(doc, reader, within) as LessonDocument).map(({ item }) => item.id);
          const due = pageItems(doc).filter(({ item }) => sees(reader, item.audience) && sees(reader, within));
          expect(seen).toEqual(due.map(({ item }) => item.id));
        },
      ),
    );
  });

  it('lets everybody who may write see all that a save would replace', () => {
    for (const role of ROLES.filter((name) => can([name], 'course.write')))
      expect([role, audienceOfRoles([role])]).toEqual([role, 'grader']);
    expect(audienceOfRoles(['publisher'])).toBe('author');
    expect(audienceOfRoles(['learner'])).toBe('learner');
    expect(audienceOfRoles(['constructor'])).toBe('learner');
  });
});

describe('a stored document', () => {
  const bytesOf = (value: unknown) => Buffer.from(canonicalJson(value));
  const codeOf = (bytes: Uint8Array) => {
    const result = readStored(bytes);
    return result.ok ? 'ok' : result.problems[0]?.code;
  };

  it('is taken as it came, whatever the normal form would fill in by now', () => {
    const item = { id: ID, type: 'choice', audience: 'learner', title: 'no answers, no content' };
    const old = { objectives: [], materials: [], exercises: [item], assessments: [], order: [ID] };
    expect(readStored(bytesOf(old))).toEqual({ ok: true, doc: old, values: expect.any(Number) });
    expect(canonicalJson(stored(old))).not.toBe(canonicalJson(old));
  });

  it('is every document that was ever brought into normal form', () => {
    fc.assert(
      fc.property(lessonInput, (input) => {
        const body = bodyOf(stored(input));
        expect(readStored(Buffer.from(body.canonical))).toEqual({ ok: true, doc: body.doc, values: body.values });
      }),
    );
  });

  it.each([
    ['malformed', '{'],
    ['malformed', '\ufeff{}'],
    ['not_canonical', '{"order":[],"objectives":[],"materials":[],"exercises":[],"assessments":[]}'],
    ['forbidden_key', canonicalJson({ ...emptyLesson(), $where: 1 })],
    ['required', '{}'],
    ['unknown_field', canonicalJson({ ...emptyLesson(), more: 1 })],
    ['order', canonicalJson({ ...emptyLesson(), order: [ID] })],
    ['required', canonicalJson({ ...emptyLesson(), objectives: [{ text: 'no id', audience: 'learner' }] })],
    ['required', canonicalJson({ ...emptyLesson(), objectives: [{ text: 'for whom?', id: ID }] })],
    ['too_large', ' '.repeat(1024 * 1024 + 1)],
  ])('is refused as %s when no version could have written it (%#)', (code, json) => {
    expect(codeOf(Buffer.from(json))).toBe(code);
  });

  it('is refused when it names an item twice', () => {
    const item = { id: ID, type: 'x', audience: 'learner' };
    expect(codeOf(bytesOf({ ...emptyLesson(), exercises: [item, item], order: [ID] }))).toBe('duplicate_id');
    expect(codeOf(bytesOf({ ...emptyLesson(), exercises: [item], assessments: [item], order: [ID] }))).toBe(
      'duplicate_id',
    );
  });

  it('is found by its hash in the version in which it was written', () => {
    const body = bodyOf(emptyLesson());
    expect(versionOf(Buffer.from(body.canonical), body.hash)).toBe(LESSON_VERSION);
    expect(versionOf(Buffer.from('{}'), body.hash)).toBeUndefined();
    expect(LESSON_VERSIONS).toContain(LESSON_VERSION);
    // printf 'cm:lesson:1\n{"assessments":[],"exercises":[],"materials":[],"objectives":[],"order":[]}' | sha256sum
    expect(body.hash.toString('hex')).toBe('aaef5aef493ef9c3b098f17c1c36d3b4e690b668e1ec66339f449500983a0173');
  });
});

describe('references', () => {
  it('finds files, nodes and imported names, with the audience that can see them', () => {
    const hash = 'A'.repeat(42) + '_';
    const doc = stored({
      materials: [
        {
          type: 'text/html',
          content: `<img src="/api/assets/${hash}"> <a href="/lessons/${ID}">x</a> <img src='/static/a b.png'>`,
        },
      ],
      exercises: [{ type: 'x', content: { see: [`asset:${hash}`] }, answers: `node:${OTHER}` }],
    });
    expect(referencesOf(doc).map(({ kind, target, audience }) => `${kind} ${target} ${audience}`)).toEqual([
      `asset ${hash} learner`,
      `node ${ID} learner`,
      'static a learner',
      `asset ${hash} learner`,
      `node ${OTHER} grader`,
    ]);
    expect(referencesOf(doc)[0]?.pointer).toBe(`/materials/${doc.materials[0]?.id}`);
  });
});

describe('JSON Schema', () => {
  it('is strict and says the same as the check', () => {
    const schema = lessonJsonSchema() as { additionalProperties: boolean; properties: Record<string, unknown> };
    expect(schema.additionalProperties).toBe(false);
    expect(Object.keys(schema.properties)).toEqual(['objectives', ...PAGE_LISTS, 'order']);
    expect(JSON.stringify(schema.properties.materials)).toContain('"required":["type","content"]');
  });

  it('sizes a body by its canonical bytes', () => {
    const body = bodyOf(stored({ objectives: ['é'] }));
    expect(body.size).toBe(Buffer.byteLength(body.canonical));
    expect(body.hash).toHaveLength(32);
  });
});
