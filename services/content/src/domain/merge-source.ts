import type { Pause } from './archive.js';
import { draftOf, markOf, type ImportStep, type KnownNode } from './import-ops.js';
import type { PlannedNode } from './import-plan.js';
import type { SourceBase, SourcePart } from './source-parts.js';

/** A course that holds parts of a source, and what is said about them. */
export interface PresentCourse {
  readonly id: string;
  /** What is in the course now, in document order. */
  readonly known: readonly KnownNode[];
  /** What the last import of this source left in it. */
  readonly base: SourceBase;
  readonly pause: Pause;
  /** Called for each part that is treated otherwise than the source alone would have it. */
  tell(key: string, what: string): void;
  /** Called for each part that was edited here and has changed in its source: the import is not for this course as it is now. */
  refuse(key: string, what: string): void;
}

/**
 * The steps of an import into a course that holds parts of the same source. For each field, place, order and document there are three
 * states: what the source said last time (base), what the course has (ours), what the source says now (theirs). What changed in the
 * source alone is taken over, what somebody changed here alone stays and is told, what both changed is refused, unless to the same.
 * Parts that are new in the source are added; nothing is removed, and what was deleted here is not brought back.
 *
 * A lesson was renamed here, its text was corrected in the source, and a part was deleted here: the text is taken over, the new name
 * stays, the part stays away.
 */
export async function* mergeOps(nodes: AsyncIterable<PlannedNode>, course: PresentCourse): AsyncGenerator<ImportStep> {
  const merge = new Merge(course);
  for (const node of course.known) {
    merge.present(node);
    await course.pause();
  }
  for await (const node of nodes) yield* merge.steps(node);
  yield* merge.orders();
  await merge.tellLeft();
}

class Merge {
  private readonly byId = new Map<string, KnownNode>();
  private readonly left = new Map<string, KnownNode>();
  /** Of the nodes that were planned: their key, and where they are in the course; undefined for what was deleted here. */
  private readonly keyOf = new Map<string, string>();
  private readonly idOf = new Map<string, string | undefined>();
  private readonly order: Orders;

  constructor(private readonly course: PresentCourse) {
    this.order = new Orders(course);
  }

  present(node: KnownNode): void {
    this.byId.set(node.id, node);
    this.left.set(node.id, node);
    this.order.present(node);
  }

  *steps({ content, ...node }: PlannedNode): Generator<ImportStep> {
    const { key } = node.source;
    this.keyOf.set(node.id, key);
    const base = this.course.base.get(key);
    const isRoot = node.parentId === null;
    if (isRoot && base === undefined) {
      // A course that was not made from this source keeps its own fields.
      this.idOf.set(node.id, this.course.id);
      return;
    }
    const parentKey = isRoot ? null : (this.keyOf.get(node.parentId ?? '') ?? null);
    const parentId = isRoot ? null : this.idOf.get(node.parentId ?? '');
    const known = base === undefined ? undefined : this.byId.get(base.nodeId);
    const match = known?.kind === node.kind ? known : undefined;
    const id = match?.id ?? (known === undefined ? base?.nodeId : undefined) ?? node.id;
    const part = draftOf({ ...node, id }, parentKey);
    if (match && base) {
      this.idOf.set(node.id, match.id);
      this.left.delete(match.id);
      const fields = this.mergedFields(match, base, node.fields);
      if (Object.keys(fields).length > 0) yield { op: { op: 'setFields', nodeId: match.id, fields } };
      const move = parentKey === null ? undefined : this.mergedPlace(match, base, { parentKey, parentId });
      if (move !== undefined) yield { op: { op: 'move', nodeId: match.id, parentId: move } };
      if (typeof parentId === 'string' && (move ?? match.parentId) === parentId)
        this.order.place(parentId, match.id, key);
      const document = { key, nodeId: match.id, presentBody: match.body, base: digestOf(base) };
      yield content ? { op: { op: 'setBody', ...document, content }, part } : { part };
    } else if (base && known === undefined) {
      this.idOf.set(node.id, undefined);
      yield* this.deleted(base, part, content);
    } else {
      this.idOf.set(node.id, node.id);
      if (parentId === undefined) {
        this.course.refuse(key, 'is new in its source, below a part that was deleted here');
        return;
      }
      const op = { op: 'add' as const, node: { ...node, parentId }, ...(content ? { content } : {}) };
      yield { op, part };
      if (parentId !== null) this.order.place(parentId, node.id, key);
    }
  }

  orders(): AsyncGenerator<ImportStep> {
    return this.order.steps();
  }

  /** What hangs under a part that was found again belonged to the source; anything else may have come from another one. */
  async tellLeft(): Promise<void> {
    const bases = new Set([...this.course.base.values()].map(({ nodeId }) => nodeId));
    for (const node of this.left.values()) {
      await this.course.pause();
      if (node.parentId !== null && bases.has(node.id))
        this.course.tell(node.key, 'is in the course but no longer in the archive; it was left as it is');
    }
  }

  private mergedFields(
    ours: KnownNode,
    { key, marks: base }: SourcePart,
    theirs: Readonly<Record<string, unknown>>,
  ): Record<string, unknown> {
    const taken: Record<string, unknown> = {};
    const kept: string[] = [];
    const both: string[] = [];
    const names = new Set([...Object.keys(theirs), ...Object.keys(base ?? { audience: '' })]);
    for (const name of names) {
      const value = Object.hasOwn(theirs, name) ? theirs[name] : undefined;
      const their = value === undefined ? undefined : markOf(value);
      const our = ours.marks.get(name);
      const was = base && Object.hasOwn(base, name) ? base[name] : undefined;
      if (their === our) continue;
      if (base && our === was) {
        Object.assign(taken, { [name]: value ?? null });
        if (name === 'audience' && value === undefined)
          this.course.tell(key, 'was for authors only and is for learners again, as the source has it');
      } else if (base && their === was) kept.push(name);
      else both.push(name);
    }
    if (kept.length > 0) this.course.tell(key, `was edited here (${kept.join(', ')}); that stays`);
    if (both.length > 0)
      this.course.refuse(
        key,
        `was edited here (${both.join(', ')}) and has changed in its source since its last import`,
      );
    return taken;
  }

  /** Where a part goes, if it has to go anywhere. */
  private mergedPlace(
    ours: KnownNode,
    base: SourcePart,
    { parentKey, parentId }: { parentKey: string; parentId: string | undefined | null },
  ): string | undefined {
    if (parentId === ours.parentId) return undefined;
    const baseParent = base.parent === null ? undefined : this.course.base.get(base.parent)?.nodeId;
    const wasThere = ours.parentId === baseParent || (baseParent === undefined && ours.parentId === this.course.id);
    const isUnmoved = base.marks !== undefined && base.parent === parentKey;
    if (isUnmoved) this.course.tell(base.key, 'was moved here; it stays where it is');
    else if (wasThere && parentId !== undefined && parentId !== null) return parentId;
    else this.course.refuse(base.key, 'was moved here and in its source since its last import');
    return undefined;
  }

  /** A part that was deleted here: it stays away as long as the source says of it what it said before. */
  private *deleted(base: SourcePart, part: ImportStep['part'], content: PlannedNode['content']): Generator<ImportStep> {
    const isSame = part !== undefined && base.parent === part.parent && sameMarks(base.marks ?? {}, part.marks ?? {});
    if (!isSame) this.course.refuse(base.key, 'was deleted here and has changed in its source since its last import');
    else if (!content) this.course.tell(base.key, 'was deleted here; it stays away');
    if (!content || !isSame || part === undefined) yield { ...(part ? { part } : {}) };
    else {
      const of = { key: base.key, nodeId: base.nodeId, presentBody: null, base: digestOf(base) };
      yield { op: { op: 'absent', ...of, content }, part };
    }
  }
}

function digestOf({ items, objectives, marks }: SourcePart): { items: string; objectives: string } | undefined {
  return marks === undefined ? undefined : { items: items ?? '', objectives: objectives ?? '' };
}

function sameMarks(one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): boolean {
  const marks = new Map(Object.entries(other));
  const names = Object.entries(one);
  return names.length === marks.size && names.every(([name, mark]) => marks.get(name) === mark);
}

/** Compares how children follow each other here, in the source now, and in the source last time. */
class Orders {
  private readonly ours = new Map<string, string[]>();
  private readonly theirs = new Map<string, { id: string; key: string }[]>();

  constructor(private readonly course: PresentCourse) {}

  present({ parentId, id }: KnownNode): void {
    if (parentId !== null) push(this.ours, parentId, id);
  }

  place(parentId: string, id: string, key: string): void {
    push(this.theirs, parentId, { id, key });
  }

  async *steps(): AsyncGenerator<ImportStep> {
    const ordinal = new Map([...this.course.base.values()].map(({ nodeId }, i) => [nodeId, i]));
    const isKnown = [...this.course.base.values()].every(({ marks }) => marks !== undefined);
    for (const [nodeId, wanted] of this.theirs) {
      await this.course.pause();
      const children = wanted.map(({ id }) => id);
      const named = new Set(children);
      const ours = (this.ours.get(nodeId) ?? []).filter((id) => named.has(id));
      const here = new Set(ours);
      const theirs = children.filter((id) => here.has(id));
      // Those that are new here stand behind the others until they are put in order.
      if (isSame([...ours, ...children.filter((id) => !here.has(id))], children)) continue;
      const base = theirs.filter((id) => ordinal.has(id)).sort((one, other) => ordinal.get(one)! - ordinal.get(other)!);
      const isReorderedHere =
        !isKnown ||
        !isSame(
          ours.filter((id) => ordinal.has(id)),
          base,
        );
      const isReorderedThere =
        !isKnown ||
        !isSame(
          theirs.filter((id) => ordinal.has(id)),
          base,
        );
      const key = wanted[0]?.key ?? '';
      if (!isReorderedHere) yield { op: { op: 'reorder', nodeId, children } };
      else if (!isReorderedThere) this.course.tell(key, 'and its siblings were put in another order here; that stays');
      else if (!isSame(ours, theirs))
        this.course.refuse(
          key,
          'and its siblings were put in another order here, and in the source since its last import',
        );
    }
  }
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((id, i) => id === other[i]);
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
