import { bodyOf, type Body } from './body.js';
import { canonicalJson } from './canonical.js';
import {
  lessonSchema,
  MAX_LESSON_BYTES,
  PAGE_LISTS,
  type Assessment,
  type Exercise,
  type LessonDocument,
  type LessonInput,
  type Material,
  type Objective,
} from './lesson.js';
import { problemsOf } from './lesson-problems.js';
import { applyTextRules, MAX_PROBLEMS, type Problem } from './text-rules.js';

/** A document that is fit to be stored, or why it is not. */
export type Normalized = { ok: true; body: Body } | { ok: false; problems: Problem[] };

type Draft<T extends { id: string }> = Omit<T, 'id'> & { id?: string };

/**
 * Brings a document that somebody sent into normal form: text rules applied, schema checked, audience and empty parts
 * filled in, ids given, order made complete.
 *
 * An item without an id takes the id of the equal item in `present` (the body that it replaces), else that of the next
 * unmatched item of the same list and type there, else a new one from `newId`. So the same document sent twice is one hash.
 *
 * Problem codes: those of the text rules, `unknown_field`, `required`, zod's own, `duplicate_id`, `unknown_item`,
 * `duplicate_item`, `not_text`, and `too_large` at the root for more than 1 MiB of canonical JSON.
 */
export function normalizeLesson(input: unknown, present: LessonDocument | null, newId: () => string): Normalized {
  const ruled = applyTextRules(input);
  if (ruled.problems.length > 0) return { ok: false, problems: ruled.problems };
  const checked = lessonSchema.safeParse(ruled.value, { reportInput: true });
  if (!checked.success) return { ok: false, problems: problemsOf(checked.error.issues).slice(0, MAX_PROBLEMS) };
  const problems = [...textProblems(checked.data), ...idProblems(checked.data)];
  if (problems.length > 0) return { ok: false, problems: problems.slice(0, MAX_PROBLEMS) };

  const lists = fillIn(checked.data);
  const taken = new Set([...allIds(checked.data)]);
  const doc: LessonDocument = {
    objectives: giveIds(lists.objectives, present?.objectives ?? [], taken, newId),
    materials: giveIds(lists.materials, present?.materials ?? [], taken, newId),
    exercises: giveIds(lists.exercises, present?.exercises ?? [], taken, newId),
    assessments: giveIds(lists.assessments, present?.assessments ?? [], taken, newId),
    order: [],
  };
  const order = completeOrder(doc, checked.data.order);
  if (!order.ok) return order;
  doc.order = order.ids;
  const body = bodyOf(doc);
  if (body.size > MAX_LESSON_BYTES) {
    const message = `is ${body.size} bytes in canonical form; at most ${MAX_LESSON_BYTES} are allowed`;
    return { ok: false, problems: [{ pointer: '', code: 'too_large', message }] };
  }
  return { ok: true, body };
}

function textProblems(input: LessonInput): Problem[] {
  return (input.materials ?? []).flatMap((item, i) => {
    const pointer = `/materials/${i}/content`;
    if (item.content === undefined) return [{ pointer, code: 'required', message: 'is required' }];
    if (item.type.startsWith('text/') && typeof item.content !== 'string') {
      return [{ pointer, code: 'not_text', message: `must be a string in a material of type ${item.type}` }];
    }
    return [];
  });
}

function* allIds(input: LessonInput): Generator<string> {
  for (const item of input.objectives ?? []) if (typeof item !== 'string' && item.id !== undefined) yield item.id;
  for (const list of PAGE_LISTS) for (const item of input[list] ?? []) if (item.id !== undefined) yield item.id;
}

function idProblems(input: LessonInput): Problem[] {
  const seen = new Set<string>();
  return (['objectives', ...PAGE_LISTS] as const).flatMap((list) =>
    (input[list] ?? []).flatMap((item, i) => {
      if (typeof item === 'string' || item.id === undefined) return [];
      if (seen.has(item.id)) {
        return [{ pointer: `/${list}/${i}/id`, code: 'duplicate_id', message: 'is the id of another item too' }];
      }
      seen.add(item.id);
      return [];
    }),
  );
}

function fillIn(input: LessonInput): {
  objectives: Draft<Objective>[];
  materials: Draft<Material>[];
  exercises: Draft<Exercise>[];
  assessments: Draft<Assessment>[];
} {
  const learner = { audience: 'learner' as const };
  return {
    objectives: (input.objectives ?? []).map((item) => ({
      ...learner,
      ...(typeof item === 'string' ? { text: item } : item),
    })),
    materials: (input.materials ?? []).map((item) => ({ ...learner, ...item })),
    exercises: (input.exercises ?? []).map((item) => ({
      ...learner,
      instructions: '',
      content: '',
      answers: null,
      ...item,
    })),
    assessments: (input.assessments ?? []).map((item) => ({
      ...learner,
      questions: [],
      answers: null,
      scoring: null,
      ...item,
    })),
  };
}

/** Everything of an item but its id, as one comparable string. */
function likeness(item: object): string {
  return canonicalJson({ ...item, id: '' });
}

function typeOf(item: object): unknown {
  return 'type' in item ? item.type : undefined;
}

function giveIds<T extends { id: string }>(
  drafts: Draft<T>[],
  present: readonly T[],
  taken: Set<string>,
  newId: () => string,
): T[] {
  const free = present.filter((item) => !taken.has(item.id));
  const byLikeness = new Map<string, T[]>();
  const byType = new Map<unknown, T[]>();
  if (drafts.some((draft) => draft.id === undefined)) {
    // Last first, so that the next one is at the end of its list.
    for (const item of free.reverse()) {
      pushTo(byLikeness, likeness(item), item);
      pushTo(byType, typeOf(item), item);
    }
  }
  // All equal items first: an edited item must not take the id of one that comes later and is unchanged.
  const ids = drafts.map((draft) => {
    const id = draft.id ?? byLikeness.get(likeness(draft))?.pop()?.id;
    if (id !== undefined) taken.add(id);
    return id;
  });
  return drafts.map((draft, i) => {
    let id = ids[i];
    const alike = byType.get(typeOf(draft)) ?? [];
    while (id === undefined && alike.length > 0) {
      const next = alike.pop()?.id;
      if (next !== undefined && !taken.has(next)) id = next;
    }
    if (id === undefined) id = newId();
    taken.add(id);
    return { ...draft, id } as T;
  });
}

function pushTo<K, T>(lists: Map<K, T[]>, key: K, item: T): void {
  const list = lists.get(key);
  if (list) list.push(item);
  else lists.set(key, [item]);
}

/** The order as given, then the items that it does not name; an order may not name what is not there, nor anything twice. */
function completeOrder(
  doc: LessonDocument,
  given: readonly string[] | undefined,
): { ok: true; ids: string[] } | { ok: false; problems: Problem[] } {
  const all = new Set(PAGE_LISTS.flatMap((list) => doc[list].map((item) => item.id)));
  const named = new Set<string>();
  const problems: Problem[] = [];
  for (const [i, id] of (given ?? []).entries()) {
    const pointer = `/order/${i}`;
    if (!all.has(id)) problems.push({ pointer, code: 'unknown_item', message: 'names no item of this document' });
    else if (named.has(id)) problems.push({ pointer, code: 'duplicate_item', message: 'names an item a second time' });
    named.add(id);
  }
  if (problems.length > 0) return { ok: false, problems: problems.slice(0, MAX_PROBLEMS) };
  return { ok: true, ids: [...new Set([...named, ...all])] };
}
