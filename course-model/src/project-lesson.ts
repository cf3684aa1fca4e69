import { narrowed, sees } from './audience.js';
import {
  PAGE_LISTS,
  type Assessment,
  type Audience,
  type Exercise,
  type LessonDocument,
  type Material,
  type Objective,
} from './lesson.js';

/** A lesson as one audience may see it. Fields of an item that are not for it are not there at all. */
export interface ProjectedLesson {
  objectives: Objective[];
  materials: Material[];
  exercises: (Omit<Exercise, 'answers'> & { answers?: unknown })[];
  assessments: (Omit<Assessment, 'answers' | 'scoring'> & { answers?: unknown; scoring?: unknown })[];
  order: string[];
}

/** The lists of a document. */
export type LessonList = 'objectives' | (typeof PAGE_LISTS)[number];

const TEXT: Readonly<Record<string, Audience>> = { metadata: 'author', source: 'author' };

/**
 * For whom the fields of an item are, as one table. What is not named is for graders, fields of the future included: metadata and
 * source of exercises and assessments hold the solution as often as `answers` do.
 */
const FIELDS: Readonly<Record<LessonList, Readonly<Record<string, Audience>>>> = {
  objectives: { ...forLearners('id', 'text', 'audience'), ...TEXT },
  materials: { ...forLearners('id', 'type', 'title', 'content', 'audience'), ...TEXT },
  exercises: forLearners('id', 'type', 'title', 'instructions', 'content', 'audience'),
  assessments: forLearners('id', 'type', 'title', 'questions', 'audience'),
};

function forLearners(...fields: readonly string[]): Record<string, Audience> {
  return Object.fromEntries(fields.map((field) => [field, 'learner']));
}

/** For whom a field of the items of a list is, whatever the item says. */
export function audienceOfField(list: LessonList, field: string): Audience {
  return Object.hasOwn(FIELDS[list], field) ? (FIELDS[list][field] ?? 'grader') : 'grader';
}

/**
 * The part of a document that a reader may see. An item is for whom it says, or for fewer when the lesson that holds it (`within`,
 * the node's audience) is. Graders get all; others neither answers, scoring nor anything of an exercise or assessment that could
 * hold a solution; learners nothing that is for authors. `order` names only what is left.
 */
export function projectLesson(doc: LessonDocument, reader: Audience, within: Audience = 'learner'): ProjectedLesson {
  const show = <T extends { audience: Audience }>(list: LessonList, items: readonly T[]): T[] =>
    items
      .filter((item) => sees(reader, narrowed(within, item.audience)))
      .map((item) => (reader === 'grader' ? item : pick(item, list, reader)));
  const projected: ProjectedLesson = {
    objectives: show('objectives', doc.objectives),
    materials: show('materials', doc.materials),
    exercises: show('exercises', doc.exercises),
    assessments: show('assessments', doc.assessments),
    order: [],
  };
  const left = new Set(PAGE_LISTS.flatMap((list) => projected[list].map((item) => item.id)));
  projected.order = doc.order.filter((id) => left.has(id));
  return projected;
}

function pick<T extends object>(item: T, list: LessonList, reader: Audience): T {
  return Object.fromEntries(Object.entries(item).filter(([field]) => sees(reader, audienceOfField(list, field)))) as T;
}
