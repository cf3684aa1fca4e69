import { createHash } from 'node:crypto';
import { canonicalJson } from '@coursewright/course-model/canonical';
import { PAGE_LISTS, type LessonDocument, type LessonInput } from '@coursewright/course-model/lesson';
import type { PlannedNode } from './import-plan.js';
import { storedForm, type SourceDigest } from './source-digest.js';
import type { DraftPart } from './source-parts.js';

/** A change that an import makes on its hidden ref; the body of a node comes as a document, to be stored first. */
export type ImportOp =
  | { op: 'add'; node: Omit<PlannedNode, 'content'>; content?: LessonInput }
  | { op: 'setFields'; nodeId: string; fields: Record<string, unknown> }
  | DocumentOp
  | { op: 'move'; nodeId: string; parentId: string }
  | { op: 'reorder'; nodeId: string; children: string[] };

/** A document of the source for a lesson that is here, or that was deleted here: what becomes of it its digests tell. */
export interface DocumentOp {
  op: 'setBody' | 'absent';
  key: string;
  nodeId: string;
  presentBody: string | null;
  content: LessonInput;
  /** What the source said last time; undefined where nobody knows. */
  base: SourceDigest | undefined;
}

/** One step of an import: an op, or none, and the part of the source that it is about, once all of that part's ops have come. */
export interface ImportStep {
  op?: ImportOp;
  part?: DraftPart;
}

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

/** The mark of one value. */
export function markOf(value: unknown): string {
  const json = canonicalJson(value);
  return json.length < MARK_LENGTH ? json : createHash('sha256').update(json).digest('base64url');
}

/** The steps of an import into a course that holds nothing of the source: every planned node below the root is added. */
export async function* addOps(
  nodes: AsyncIterable<PlannedNode>,
  course: { readonly id: string; readonly isNew: boolean },
): AsyncGenerator<ImportStep> {
  const keyOf = new Map<string, string>();
  let rootId = '';
  for await (const { content, ...node } of nodes) {
    keyOf.set(node.id, node.source.key);
    if (node.parentId === null) {
      rootId = node.id;
      // A course that was there before is not the source's.
      if (course.isNew) yield { part: draftOf({ ...node, id: course.id }, null) };
      continue;
    }
    const parentId = node.parentId === rootId ? course.id : node.parentId;
    const op = { op: 'add' as const, node: { ...node, parentId }, ...(content ? { content } : {}) };
    yield { op, part: draftOf(node, keyOf.get(node.parentId) ?? null) };
  }
}

/** What is remembered of a planned node as the source has it now. */
export function draftOf(node: Omit<PlannedNode, 'content' | 'parentId'>, parent: string | null): DraftPart {
  const { source, id, kind, fields } = node;
  return { key: source.key, nodeId: id, kind, parent, marks: Object.fromEntries(fieldMarks(fields)) };
}

/**
 * A planned document with the ids that its parts have in the present body: items are found again by the key of their source, of this format.
 * Other items of the present body (somebody wrote them here) are kept where they stand: each behind what stood before it.
 */
export function withPresentIds(content: LessonInput, present: LessonDocument, format: string): LessonInput {
  const idByKey = new Map<string, string>();
  for (const list of PAGE_LISTS) {
    for (const item of present[list]) if (item.source?.format === format) idByKey.set(item.source.key, item.id);
  }
  const renamed = new Map<string, string>();
  const rename = <T extends { id?: string | undefined; source?: { format: string; key: string } | undefined }>(
    item: T,
  ): T => {
    const id = item.source && idByKey.get(item.source.key);
    if (id === undefined || item.id === undefined) return item;
    renamed.set(item.id, id);
    return { ...item, id };
  };
  const texts = new Map(present.objectives.map((objective) => [objective.text, objective.id]));
  const objectives = (content.objectives ?? []).map((objective) =>
    typeof objective === 'string'
      ? objective
      : { ...objective, id: texts.get(storedForm(objective.text)) ?? objective.id },
  );
  const planned = new Set(
    objectives.map((objective) => storedForm(typeof objective === 'string' ? objective : objective.text)),
  );
  type Sourced = { readonly source?: { readonly format: string } | undefined };
  const own = <T extends Sourced>(items: readonly T[]): T[] => items.filter((item) => item.source?.format !== format);
  const written = new Set(
    PAGE_LISTS.flatMap((list) => own<{ readonly id: string } & Sourced>(present[list]).map((item) => item.id)),
  );
  const materials = (content.materials ?? []).map(rename);
  const exercises = (content.exercises ?? []).map(rename);
  const assessments = (content.assessments ?? []).map(rename);
  return {
    objectives: [...objectives, ...present.objectives.filter((objective) => !planned.has(objective.text))],
    materials: [...materials, ...own(present.materials)],
    exercises: [...exercises, ...own(present.exercises)],
    assessments: [...assessments, ...own(present.assessments)],
    order: withOwn(
      (content.order ?? []).map((id) => renamed.get(id) ?? id),
      present.order,
      written,
    ),
  };
}

/** The order of the source's items with those of others in it, each behind the nearest item that stood before it and is still there. */
function withOwn(planned: readonly string[], present: readonly string[], written: ReadonlySet<string>): string[] {
  const isPlanned = new Set(planned);
  const behind = new Map<string | undefined, string[]>();
  let last: string | undefined;
  for (const id of present) {
    if (isPlanned.has(id)) last = id;
    else if (written.has(id)) behind.set(last, [...(behind.get(last) ?? []), id]);
  }
  return [...(behind.get(undefined) ?? []), ...planned.flatMap((id) => [id, ...(behind.get(id) ?? [])])];
}
