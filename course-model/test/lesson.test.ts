import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { bodyHash, bodyOf } from '../src/body.js';
import { canonicalJson } from '../src/canonical.js';
import { emptyLesson, lessonJsonSchema, pageItems, PAGE_LISTS, type LessonDocument } from '../src/lesson.js';
import { normalizeLesson } from '../src/normalize-lesson.js';
import { projectLesson } from '../src/project-lesson.js';
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

  it('gives authors answers and scoring', () => {
    const doc = stored({ assessments: [{ type: 'q', answers: 'a', scoring: 's' }] });
    expect(projectLesson(doc, 'author').assessments[0]).toMatchObject({ answers: 'a', scoring: 's' });
    expect(projectLesson(doc, 'learner').assessments[0]).not.toHaveProperty('answers');
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
      `node ${OTHER} author`,
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
