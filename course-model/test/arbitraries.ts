import fc from 'fast-check';

/** A generator of UUIDv7-shaped ids that counts, so that tests are repeatable. */
export function countingIds(prefix = '0190a000'): () => string {
  let n = 0;
  return () => `${prefix}-0000-7000-8000-${(++n).toString(16).padStart(12, '0')}`;
}

const word = fc.constantFrom(
  'noun',
  'verb',
  'é',
  'e\u0301',
  'la casa',
  '\u{1F600}',
  '<p>',
  '',
  'a\r\nb',
  '**x**\n\n- y\n',
);
export const text = fc.array(word, { maxLength: 6 }).map((words) => words.join(' '));
export const json = fc.oneof(
  text,
  fc.constant(null),
  fc.dictionary(
    fc.constantFrom('a', 'b', 'c/d', 'e~f', '1', ''),
    fc.oneof(text, fc.integer(), fc.double({ noNaN: true, min: -1e6, max: 1e6 })),
  ),
  fc.array(fc.oneof(text, fc.boolean()), { maxLength: 3 }),
);
const audience = fc.constantFrom('learner', 'author', 'grader');
const extra = {
  title: fc.option(text, { nil: undefined }),
  audience: fc.option(audience, { nil: undefined }),
  metadata: fc.option(fc.dictionary(fc.constantFrom('x', 'y'), json), { nil: undefined }),
  source: fc.option(fc.constant({ format: 'olx', key: 'html/abc' }), { nil: undefined }),
};

/** What the items of one list look like before anybody gave them ids. */
const objective = fc.oneof(text, fc.record({ text, audience }, { requiredKeys: ['text'] }));
const material = fc.oneof(
  fc.record({ type: fc.constantFrom('text/markdown', 'text/html'), content: text, ...extra }),
  fc.record({ type: fc.constantFrom('video', 'link', 'vendor/olx-poll'), content: json, ...extra }),
);
const exercise = fc.record(
  { type: fc.constantFrom('choice', 'cloze'), instructions: text, content: json, answers: json, ...extra },
  { requiredKeys: ['type'] },
);
const assessment = fc.record(
  {
    type: fc.constantFrom('quiz', 'essay'),
    questions: fc.array(json, { maxLength: 3 }),
    answers: json,
    scoring: json,
    ...extra,
  },
  { requiredKeys: ['type'] },
);

/** A lesson document as a client may send it, without ids; undefined fields left out as JSON leaves them out. */
export const lessonInput = fc
  .record({
    objectives: fc.array(objective, { maxLength: 3 }),
    materials: fc.array(material, { maxLength: 5 }),
    exercises: fc.array(exercise, { maxLength: 3 }),
    assessments: fc.array(assessment, { maxLength: 3 }),
  })
  .map((input) => JSON.parse(JSON.stringify(input)) as Record<string, unknown>);
