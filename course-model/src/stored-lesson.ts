import { canonicalForm } from './canonical.js';
import { MAX_LESSON_BYTES, PAGE_LISTS, storedLessonSchema, type LessonDocument } from './lesson.js';
import { problemsOf } from './lesson-problems.js';
import { applyTextRules, MAX_PROBLEMS, type Problem } from './text-rules.js';

/** A stored document with the number of its values, or why the bytes are none. */
export type Stored = { ok: true; doc: LessonDocument; values: number } | { ok: false; problems: Problem[] };

/**
 * Takes the bytes of a stored document (canonical JSON in UTF-8) apart and changes nothing: no default is filled in and no text
 * brought into another form, since the bytes have their hash for ever. Refused is what no version could have written.
 *
 * Problem codes: `malformed`, `not_canonical`, `too_large`, `duplicate_id`, `order`, zod's own, those of the text rules.
 */
export function readStored(bytes: Uint8Array): Stored {
  if (bytes.byteLength > MAX_LESSON_BYTES) return refused('too_large', 'is larger than a document may be');
  let json: string;
  let value: unknown;
  try {
    json = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(json);
  } catch {
    return refused('malformed', 'is not JSON in UTF-8');
  }
  const { problems } = applyTextRules(value);
  if (problems.length > 0) return { ok: false, problems };
  const form = canonicalForm(value);
  if (form.json !== json) return refused('not_canonical', 'is not in canonical form');
  const checked = storedLessonSchema.safeParse(value, { reportInput: true });
  if (!checked.success) return { ok: false, problems: problemsOf(checked.error.issues).slice(0, MAX_PROBLEMS) };
  const doc = value as LessonDocument;
  const onPage = PAGE_LISTS.flatMap((list) => doc[list].map((item) => item.id));
  const ids = new Set([...onPage, ...doc.objectives.map((item) => item.id)]);
  if (ids.size !== onPage.length + doc.objectives.length) return refused('duplicate_id', 'names two items by one id');
  const named = new Set(doc.order);
  if (named.size !== doc.order.length || named.size !== onPage.length || onPage.some((id) => !named.has(id)))
    return refused('order', 'must name every item of the page once');
  return { ok: true, doc, values: form.values };
}

function refused(code: string, message: string): Stored {
  return { ok: false, problems: [{ pointer: '', code, message }] };
}
