import {
  PAGE_LISTS,
  type Assessment,
  type Audience,
  type Exercise,
  type LessonDocument,
  type Material,
  type Objective,
} from './lesson.js';

/** A lesson as one audience may see it. For learners items have no `answers`, `scoring`, `metadata` or `source` at all. */
export interface ProjectedLesson {
  objectives: Objective[];
  materials: Material[];
  exercises: (Omit<Exercise, 'answers'> & { answers?: unknown })[];
  assessments: (Omit<Assessment, 'answers' | 'scoring'> & { answers?: unknown; scoring?: unknown })[];
  order: string[];
}

const VISIBLE: Record<Audience, readonly Audience[]> = {
  learner: ['learner'],
  author: ['learner', 'author'],
  grader: ['learner', 'author', 'grader'],
};

/** What learners get of an item: everything that is not named here stays with the authors, fields of the future included. */
const LEARNERS_FIELDS = {
  objectives: ['id', 'text', 'audience'],
  materials: ['id', 'type', 'title', 'content', 'audience'],
  exercises: ['id', 'type', 'title', 'instructions', 'content', 'audience'],
  assessments: ['id', 'type', 'title', 'questions', 'audience'],
} as const;

/**
 * The part of a document that an audience may see. Learners get learners' items alone, and of these neither answers,
 * scoring, metadata nor source; `author` gets everything but graders' items; `grader` gets all. `order` names only what is
 * left.
 */
export function projectLesson(doc: LessonDocument, audience: Audience): ProjectedLesson {
  const visible = VISIBLE[audience];
  const show = <T extends { audience: Audience }>(items: readonly T[], fields: readonly string[]): T[] =>
    items
      .filter((item) => visible.includes(item.audience))
      .map((item) => (audience === 'learner' ? pick(item, fields) : item));
  const projected: ProjectedLesson = {
    objectives: show(doc.objectives, LEARNERS_FIELDS.objectives),
    materials: show(doc.materials, LEARNERS_FIELDS.materials),
    exercises: show(doc.exercises, LEARNERS_FIELDS.exercises),
    assessments: show(doc.assessments, LEARNERS_FIELDS.assessments),
    order: [],
  };
  const left = new Set(PAGE_LISTS.flatMap((list) => projected[list].map((item) => item.id)));
  projected.order = doc.order.filter((id) => left.has(id));
  return projected;
}

function pick<T extends object>(item: T, fields: readonly string[]): T {
  return Object.fromEntries(Object.entries(item).filter(([field]) => fields.includes(field))) as T;
}
