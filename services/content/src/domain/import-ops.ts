import { createHash } from 'node:crypto';
import { canonicalJson } from '@coursewright/course-model/canonical';
import { PAGE_LISTS, type LessonDocument, type LessonInput } from '@coursewright/course-model/lesson';
import type { Pause } from './archive.js';
import type { PlannedNode } from './import-plan.js';

/** A change that an import makes on its hidden ref; the body of a node comes as a document, to be stored first. */
export type ImportOp =
  | { op: 'add'; node: Omit<PlannedNode, 'content'>; content?: LessonInput }
  | { op: 'setFields'; nodeId: string; fields: Record<string, unknown> }
  | { op: 'setBody'; nodeId: string; presentBody: string | null; content: LessonInput }
  | { op: 'move'; nodeId: string; parentId: string }
  | { op: 'reorder'; nodeId: string; children: string[] };

/** A node that is in the course already and says where it came from. */
export interface KnownNode {
  id: string;
  kind: PlannedNode['kind'];
  parentId: string | null;
  /** A mark of each field's value, by `fieldMarks`: the values themselves would be too much to hold of a whole course. */
  marks: ReadonlyMap<string, string>;
  body: string | null;
  /** Key of its source. */
  key: string;
}

const MARK_LENGTH = 43;

/** What tells whether a field has the same value: its canonical JSON, or the hash of that where it is longer. */
export function fieldMarks(fields: Readonly<Record<string, unknown>>): Map<string, string> {
  return new Map(Object.entries(fields).map(([name, value]) => [name, markOf(value)]));
}

function markOf(value: unknown): string {
  const json = canonicalJson(value);
  return json.length < MARK_LENGTH ? json : createHash('sha256').update(json).digest('base64url');
}

/** The ops of an import into a course that holds nothing of the source: every planned node below the root is added. */
export async function* addOps(nodes: AsyncIterable<PlannedNode>, courseId: string): AsyncGenerator<ImportOp> {
  let rootId = '';
  for await (const { content, ...node } of nodes) {
    if (node.parentId === null) rootId = node.id;
    else {
      const parentId = node.parentId === rootId ? courseId : node.parentId;
      yield { op: 'add', node: { ...node, parentId }, ...(content ? { content } : {}) };
    }
  }
}

/** A course that holds parts of a source, and what is said about them. */
export interface PresentCourse {
  readonly id: string;
  /** In document order. */
  readonly known: readonly KnownNode[];
  readonly pause: Pause;
  /** Called for each known part that is treated otherwise than the source alone would have it. */
  tell(node: KnownNode, what: string): void;
}

/**
 * The ops of an import into a course that holds parts of the same source: nodes are found again by the key of their source and
 * brought up to date in fields, place, order and document; others are added. Nothing is removed but the audience of a part that
 * its source no longer keeps from learners.
 */
export async function* updateOps(nodes: AsyncIterable<PlannedNode>, course: PresentCourse): AsyncGenerator<ImportOp> {
  const left = new Map<string, KnownNode>();
  const order = new Orders();
  for (const node of course.known) {
    left.set(node.key, node);
    order.present(node);
    await course.pause();
  }
  const idOf = new Map<string, string>();
  let ownRoot = false;
  for await (const { content, ...node } of nodes) {
    const known = left.get(node.source.key);
    const match = known?.kind === node.kind ? known : undefined;
    if (match) left.delete(node.source.key);
    const isRoot = node.parentId === null;
    const id = isRoot ? course.id : (match?.id ?? node.id);
    idOf.set(node.id, id);
    if (isRoot) ownRoot = match !== undefined;
    // A course keeps its own fields, unless it was made from this very source.
    if (isRoot && !match) continue;
    const parentId = isRoot ? null : (idOf.get(node.parentId ?? '') ?? course.id);
    if (!match) yield { op: 'add', node: { ...node, id, parentId }, ...(content ? { content } : {}) };
    else {
      const fields = changedFields(match, node.fields, course);
      if (Object.keys(fields).length > 0) yield { op: 'setFields', nodeId: id, fields };
      if (parentId !== null && parentId !== match.parentId) yield { op: 'move', nodeId: id, parentId };
      if (content) yield { op: 'setBody', nodeId: id, presentBody: match.body, content };
    }
    if (parentId !== null) order.place(parentId, id, match?.parentId === parentId);
  }
  yield* order.ops(course.pause);
  // What hangs under a part that was found again belonged to the source; anything else may have come from another one.
  const own = new Set(idOf.values());
  if (!ownRoot) own.delete(course.id);
  for (const node of left.values()) {
    await course.pause();
    if (node.parentId === null || !own.has(node.parentId)) continue;
    own.add(node.id);
    course.tell(node, 'is in the course but no longer in the archive; it was left as it is');
  }
}

/** The fields that differ. `author` is what an import makes of a part that is not for every learner, so an import takes it back. */
function changedFields(
  match: KnownNode,
  planned: Readonly<Record<string, unknown>>,
  course: PresentCourse,
): Record<string, unknown> {
  const changed = Object.entries(planned).filter(([name, value]) => match.marks.get(name) !== markOf(value));
  const fields: Record<string, unknown> = Object.fromEntries(changed);
  if (!Object.hasOwn(planned, 'audience') && match.marks.get('audience') === AUTHORS) {
    fields['audience'] = null;
    course.tell(match, 'was for authors only and is for learners again, as the source has it');
  }
  return fields;
}

const AUTHORS = markOf('author');

/** Compares how children follow each other after the ops with how the source has them. */
class Orders {
  private readonly now = new Map<string, string[]>();
  private readonly wanted = new Map<string, string[]>();
  private readonly appended = new Map<string, string[]>();

  present({ parentId, id }: KnownNode): void {
    if (parentId !== null) push(this.now, parentId, id);
  }

  place(parentId: string, id: string, stays: boolean): void {
    push(this.wanted, parentId, id);
    if (!stays) push(this.appended, parentId, id);
  }

  async *ops(pause: Pause): AsyncGenerator<ImportOp> {
    for (const [nodeId, children] of this.wanted) {
      await pause();
      const named = new Set(children);
      const appended = this.appended.get(nodeId) ?? [];
      const now = [...(this.now.get(nodeId) ?? []), ...appended].filter((id) => named.has(id));
      if (now.length !== children.length || now.some((id, i) => id !== children[i]))
        yield { op: 'reorder', nodeId, children };
    }
  }
}

function push(map: Map<string, string[]>, key: string, value: string): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

/**
 * A planned document with the ids that its parts have in the present body: items are found again by the key of their source.
 * Items of the present body that came from no source (somebody wrote them here) are kept, after the others.
 */
export function withPresentIds(content: LessonInput, present: LessonDocument): LessonInput {
  const idByKey = new Map<string, string>();
  for (const list of PAGE_LISTS) {
    for (const item of present[list]) if (item.source) idByKey.set(`${item.source.format} ${item.source.key}`, item.id);
  }
  const renamed = new Map<string, string>();
  const rename = <T extends { id?: string | undefined; source?: { format: string; key: string } | undefined }>(
    item: T,
  ): T => {
    const id = item.source && idByKey.get(`${item.source.format} ${item.source.key}`);
    if (id === undefined || item.id === undefined) return item;
    renamed.set(item.id, id);
    return { ...item, id };
  };
  const texts = new Map(present.objectives.map((objective) => [objective.text, objective.id]));
  const objectives = (content.objectives ?? []).map((objective) =>
    typeof objective === 'string' ? objective : { ...objective, id: texts.get(objective.text) ?? objective.id },
  );
  const planned = new Set(objectives.map((objective) => (typeof objective === 'string' ? objective : objective.text)));
  const own = <T extends { source?: unknown }>(items: readonly T[]): T[] =>
    items.filter((item) => item.source === undefined);
  const written = new Set(
    PAGE_LISTS.flatMap((list) => own<{ id: string; source?: unknown }>(present[list]).map((item) => item.id)),
  );
  const materials = (content.materials ?? []).map(rename);
  const exercises = (content.exercises ?? []).map(rename);
  const assessments = (content.assessments ?? []).map(rename);
  return {
    objectives: [...objectives, ...present.objectives.filter((objective) => !planned.has(objective.text))],
    materials: [...materials, ...own(present.materials)],
    exercises: [...exercises, ...own(present.exercises)],
    assessments: [...assessments, ...own(present.assessments)],
    order: [
      ...(content.order ?? []).map((id) => renamed.get(id) ?? id),
      ...present.order.filter((id) => written.has(id)),
    ],
  };
}
