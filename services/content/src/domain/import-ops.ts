import { canonicalJson } from '@coursewright/course-model/canonical';
import { PAGE_LISTS, type LessonDocument, type LessonInput } from '@coursewright/course-model/lesson';
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
  fields: Record<string, unknown>;
  body: string | null;
  /** Key of its source. */
  key: string;
}

/** The ops of an import into a course that holds nothing of the source: every planned node below the root is added. */
export function* addOps(nodes: Iterable<PlannedNode>, courseId: string): Generator<ImportOp> {
  let rootId = '';
  for (const { content, ...node } of nodes) {
    if (node.parentId === null) rootId = node.id;
    else {
      const parentId = node.parentId === rootId ? courseId : node.parentId;
      yield { op: 'add', node: { ...node, parentId }, ...(content ? { content } : {}) };
    }
  }
}

/**
 * The ops of an import into a course that holds parts of the same source: nodes are found again by the key of their source and
 * brought up to date in fields, place, order and document; others are added. `known` must be in document order. Nothing is
 * removed; `gone` is called for each known part that the source no longer has.
 */
export function* updateOps(
  nodes: Iterable<PlannedNode>,
  course: { id: string; known: readonly KnownNode[] },
  gone: (node: KnownNode) => void,
): Generator<ImportOp> {
  const left = new Map(course.known.map((node) => [node.key, node]));
  const idOf = new Map<string, string>();
  const order = new Orders(course.known);
  let ownRoot = false;
  for (const { content, ...node } of nodes) {
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
      const fields = Object.fromEntries(
        Object.entries(node.fields).filter(([name, value]) => !same(match.fields[name], value)),
      );
      if (Object.keys(fields).length > 0) yield { op: 'setFields', nodeId: id, fields };
      if (parentId !== null && parentId !== match.parentId) yield { op: 'move', nodeId: id, parentId };
      if (content) yield { op: 'setBody', nodeId: id, presentBody: match.body, content };
    }
    if (parentId !== null) order.place(parentId, id, match?.parentId === parentId);
  }
  yield* order.ops();
  // What hangs under a part that was found again belonged to the source; anything else may have come from another one.
  const own = new Set(idOf.values());
  if (!ownRoot) own.delete(course.id);
  for (const node of left.values()) {
    if (node.parentId === null || !own.has(node.parentId)) continue;
    own.add(node.id);
    gone(node);
  }
}

function same(a: unknown, b: unknown): boolean {
  return a !== undefined && canonicalJson(a) === canonicalJson(b);
}

/** Compares how children follow each other after the ops with how the source has them. */
class Orders {
  private readonly present = new Map<string, string[]>();
  private readonly wanted = new Map<string, string[]>();
  private readonly appended = new Map<string, string[]>();

  constructor(known: readonly KnownNode[]) {
    for (const node of known) if (node.parentId !== null) push(this.present, node.parentId, node.id);
  }

  place(parentId: string, id: string, stays: boolean): void {
    push(this.wanted, parentId, id);
    if (!stays) push(this.appended, parentId, id);
  }

  *ops(): Generator<ImportOp> {
    for (const [nodeId, children] of this.wanted) {
      const named = new Set(children);
      const appended = this.appended.get(nodeId) ?? [];
      const now = [...(this.present.get(nodeId) ?? []), ...appended].filter((id) => named.has(id));
      if (now.join() !== children.join()) yield { op: 'reorder', nodeId, children };
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
