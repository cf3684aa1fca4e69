import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { addOps, fieldMarks, type ImportOp, type KnownNode } from '../src/domain/import-ops.js';
import { mergeOps } from '../src/domain/merge-source.js';
import type { SourcePart } from '../src/domain/source-parts.js';
import type { PlannedNode } from '../src/domain/import-plan.js';

const COURSE = 'course';
type Shape = Record<string, Record<string, string[]>>;

/** Units that hold modules that hold lessons; a name stands in one place only, but anywhere on its level. */
const shape: fc.Arbitrary<Shape> = fc
  .record({
    units: fc.shuffledSubarray(['u1', 'u2', 'u3']),
    modules: fc.shuffledSubarray(['m1', 'm2', 'm3', 'm4']),
    lessons: fc.shuffledSubarray(['l1', 'l2', 'l3', 'l4', 'l5', 'l6']),
    places: fc.array(fc.nat(11), { minLength: 10, maxLength: 10 }),
  })
  .map(({ units, modules, lessons, places }) => {
    const made: Shape = Object.fromEntries(units.map((unit) => [unit, {}]));
    if (units.length === 0) return made;
    modules.forEach((module, i) => {
      const unit = units[(places[i] ?? 0) % units.length] ?? '';
      (made[unit] ??= {})[module] = [];
    });
    const homes = Object.values(made).flatMap((unit) => Object.values(unit));
    if (homes.length > 0) lessons.forEach((lesson, i) => homes[(places[i + 4] ?? 0) % homes.length]?.push(lesson));
    return made;
  });

function planned(tree: Shape, title: string): PlannedNode[] {
  const node = (key: string, kind: PlannedNode['kind'], parentId: string | null): PlannedNode => ({
    ...{ id: `new-${key}`, parentId, kind, fields: { title: title + key }, source: { format: 'olx', key } },
    ...(kind === 'lesson' ? { content: {} } : {}),
  });
  return [
    node(COURSE, 'course', null),
    ...Object.entries(tree).flatMap(([unit, modules]) => [
      node(unit, 'unit', `new-${COURSE}`),
      ...Object.entries(modules).flatMap(([module, lessons]) => [
        node(module, 'module', `new-${unit}`),
        ...lessons.map((lesson) => node(lesson, 'lesson', `new-${module}`)),
      ]),
    ]),
  ];
}

function known(tree: Shape): KnownNode[] {
  const old = (id: string | null) => id?.replace(`new-${COURSE}`, COURSE).replace(/^new-/, 'old-') ?? null;
  return planned(tree, '').map(({ id, parentId, kind, fields, source }) => ({
    ...{ id: old(id) ?? '', parentId: old(parentId), kind, marks: fieldMarks(fields), key: source.key },
    body: kind === 'lesson' ? 'hash' : null,
  }));
}

async function* streamed(nodes: readonly PlannedNode[]): AsyncGenerator<PlannedNode> {
  yield* nodes;
}

/** What an import left of a source: every node as it is in the course. */
function left(present: readonly KnownNode[]): SourcePart[] {
  const keyOf = new Map(present.map((node) => [node.id, node.key]));
  return present.map(({ id, key, kind, parentId, marks, body }) => {
    const parent = parentId === null ? null : (keyOf.get(parentId) ?? null);
    return { key, nodeId: id, kind, parent, marks: Object.fromEntries(marks), items: body, objectives: body && '' };
  });
}

interface Merged {
  ops: ImportOp[];
  told: [string, string][];
  refused: [string, string][];
  parts: string[];
}

/** The ops that bring a course to what is planned, and what is said about the parts of it. */
async function update(
  plan: readonly PlannedNode[],
  present: readonly KnownNode[],
  base: readonly SourcePart[] = left(present),
): Promise<Merged> {
  const merged: Merged = { ops: [], told: [], refused: [], parts: [] };
  const course = {
    id: COURSE,
    known: present,
    base: new Map(base.map((part) => [part.key, part])),
    pause: () => undefined,
    tell: (key: string, what: string) => merged.told.push([key, what]),
    refuse: (key: string, what: string) => merged.refused.push([key, what]),
  };
  for await (const { op, part } of mergeOps(streamed(plan), course)) {
    if (op) merged.ops.push(op);
    if (part) merged.parts.push(part.key);
  }
  return merged;
}

/** A course as versioning would have it: what hangs where, in order. */
class Model {
  readonly children = new Map<string, string[]>();
  readonly titles = new Map<string, unknown>();
  readonly parents = new Map<string, string>();

  constructor(nodes: readonly KnownNode[]) {
    for (const node of nodes) {
      this.titles.set(node.id, JSON.parse(node.marks.get('title') ?? 'null'));
      if (node.parentId !== null) this.attach(node.id, node.parentId);
    }
  }

  private attach(id: string, parentId: string): void {
    if (parentId !== COURSE && !this.parents.has(parentId)) throw new Error(`${parentId} is gone`);
    this.parents.set(id, parentId);
    this.children.set(parentId, [...(this.children.get(parentId) ?? []), id]);
  }

  private detach(id: string): void {
    const parent = this.parents.get(id);
    if (parent === undefined) throw new Error(`${id} is gone`);
    this.children.set(
      parent,
      (this.children.get(parent) ?? []).filter((child) => child !== id),
    );
  }

  apply(op: ImportOp): void {
    if (op.op === 'add') {
      if (this.parents.has(op.node.id)) throw new Error(`${op.node.id} is taken`);
      this.titles.set(op.node.id, op.node.fields['title']);
      this.attach(op.node.id, op.node.parentId ?? '');
    } else if (op.op === 'move') {
      this.detach(op.nodeId);
      this.attach(op.nodeId, op.parentId);
    } else if (op.op === 'setFields') this.titles.set(op.nodeId, op.fields['title'] ?? this.titles.get(op.nodeId));
    else if (op.op === 'reorder') {
      const named = new Set(op.children);
      const others = (this.children.get(op.nodeId) ?? []).filter((id) => !named.has(id));
      this.children.set(op.nodeId, [...op.children, ...others]);
    }
  }
}

describe('an import into a course', () => {
  it('that holds parts of the source ends as the source says, with every known id and nothing removed', async () => {
    await fc.assert(
      fc.asyncProperty(shape, shape, async (before, after) => {
        const present = known(before);
        const model = new Model(present);
        const plan = planned(after, 'T ');
        const { ops, told, refused, parts } = await update(plan, present);
        for (const op of ops) model.apply(op);
        expect(refused).toEqual([]);
        expect(parts).toEqual(plan.map((node) => node.source.key));
        const gone = told.map(([key]) => key);
        const oldIds = new Map(present.map((node) => [node.key, node.id]));
        const idOf = (key: string) => oldIds.get(key) ?? `new-${key}`;
        for (const node of plan) {
          expect(model.titles.get(idOf(node.source.key))).toBe(`T ${node.source.key}`);
          const wanted = plan.filter((child) => child.parentId === node.id).map((child) => idOf(child.source.key));
          const named = new Set(plan.map((child) => idOf(child.source.key)));
          expect((model.children.get(idOf(node.source.key)) ?? []).filter((id) => named.has(id))).toEqual(wanted);
        }
        for (const node of present) expect(model.titles.has(node.id)).toBe(true);
        const left = present.map((node) => node.key).filter((key) => !plan.some((node) => node.source.key === key));
        expect(gone.sort()).toEqual(left.sort());
      }),
      { numRuns: 500 },
    );
  });

  it('that is as the source says already changes no field, place or order', async () => {
    await fc.assert(
      fc.asyncProperty(shape, async (tree) => {
        const { ops } = await update(planned(tree, ''), known(tree));
        expect(ops.filter(({ op }) => op !== 'setBody')).toEqual([]);
      }),
    );
  });

  it('that holds nothing of it adds every node, parents first', async () => {
    await fc.assert(
      fc.asyncProperty(shape, async (tree) => {
        const model = new Model([]);
        const plan = planned(tree, '');
        for await (const { op } of addOps(streamed(plan), { id: COURSE, isNew: true })) if (op) model.apply(op);
        expect(model.titles.size).toBe(plan.length - 1);
        expect(model.children.get(COURSE) ?? []).toEqual(Object.keys(tree).map((unit) => `new-${unit}`));
      }),
    );
  });

  it('gives a part to learners again when its source does, and takes nothing back that somebody restricted here', async () => {
    const tree = { u1: { m1: ['l1'] } };
    const present = known(tree).map((node) => ({
      ...node,
      marks: fieldMarks({ title: node.key, audience: node.kind === 'lesson' ? 'grader' : 'author' }),
    }));
    const base = left(present).map((part) =>
      part.key === 'l1' ? { ...part, marks: { title: part.marks!['title']! } } : part,
    );
    const { ops, told } = await update(
      planned(tree, '').filter((node) => node.kind !== 'course'),
      present,
      base,
    );
    expect(ops.filter(({ op }) => op === 'setFields')).toEqual([
      { op: 'setFields', nodeId: 'old-u1', fields: { audience: null } },
      { op: 'setFields', nodeId: 'old-m1', fields: { audience: null } },
    ]);
    expect(told.map(([key]) => key)).toEqual(['u1', 'm1']);
  });

  it('compares fields that are called like what every object has, and long ones by their hash', async () => {
    const [node] = planned({ u1: {} }, '').slice(1);
    const [, old] = known({ u1: {} });
    const present = { ...old!, marks: fieldMarks({ title: 'u1', toString: 'a', long: 'x'.repeat(5000) }) };
    const same = { ...node!, fields: { title: 'u1', toString: 'a', long: 'x'.repeat(5000) } };
    expect((await update([same], [present])).ops).toEqual([]);
    const other = { ...same, fields: { ...same.fields, toString: 'b', valueOf: 'c', long: 'x'.repeat(5001) } };
    expect((await update([other], [present])).ops).toEqual([
      { op: 'setFields', nodeId: 'old-u1', fields: { toString: 'b', valueOf: 'c', long: 'x'.repeat(5001) } },
    ]);
    expect([...present.marks.values()].every((mark) => mark.length <= 43)).toBe(true);
  });

  it('takes over what changed in the source alone, keeps what changed here alone, and refuses what changed in both', async () => {
    const edits = fc.record({ here: fc.nat(2), there: fc.nat(2), deleted: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(shape, fc.array(edits, { minLength: 14, maxLength: 14 }), async (tree, edited) => {
        const keys = planned(tree, '').map((node) => node.source.key);
        const editOf = new Map(keys.map((key, i) => [key, edited[i]!]));
        const base = left(known(tree));
        const plan = planned(tree, '').map((node) => {
          const { there } = editOf.get(node.source.key)!;
          return there === 0 ? node : { ...node, fields: { title: `edit ${there} of ${node.source.key}` } };
        });
        const isGone = (node: KnownNode, all: readonly KnownNode[]): boolean => {
          if (node.kind !== 'course' && editOf.get(node.key)!.deleted) return true;
          const parent = all.find(({ id }) => id === node.parentId);
          return parent !== undefined && isGone(parent, all);
        };
        const all = known(tree);
        const present = all
          .filter((node) => !isGone(node, all))
          .map((node) => {
            const { here } = editOf.get(node.key)!;
            return here === 0 ? node : { ...node, marks: fieldMarks({ title: `edit ${here} of ${node.key}` }) };
          });
        const { ops, told, refused } = await update(plan, present, base);
        const set = new Map(
          ops.flatMap((op) => (op.op === 'setFields' ? [[op.nodeId, op.fields['title']] as const] : [])),
        );
        for (const node of all) {
          const { key } = node;
          const { here, there } = editOf.get(key)!;
          const about = (list: [string, string][], word: string): boolean =>
            list.some(([source, what]) => source === key && what.includes(word));
          if (isGone(node, all)) {
            expect(about(refused, 'deleted here')).toBe(there !== 0);
            // What becomes of a lesson's document is decided where its bytes are.
            if (there === 0 && node.kind !== 'lesson') expect(about(told, 'deleted here')).toBe(true);
            continue;
          }
          expect(set.get(node.id)).toBe(there !== 0 && here === 0 ? `edit ${there} of ${key}` : undefined);
          expect(about(told, 'edited here')).toBe(here !== 0 && there === 0);
          expect(about(refused, 'edited here')).toBe(here !== 0 && there !== 0 && here !== there);
        }
        expect(ops.filter(({ op }) => op === 'add' || op === 'move' || op === 'reorder')).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it('keeps the places and the order that somebody gave parts here, and refuses them when the source moved them too', async () => {
    const before = { u1: { m1: ['l1', 'l2', 'l3'], m2: [] } };
    const moved = known(before).map((node) => (node.key === 'l2' ? { ...node, parentId: 'old-m2' } : node));
    const same = await update(planned(before, ''), moved, left(known(before)));
    expect(same.ops.filter(({ op }) => op !== 'setBody')).toEqual([]);
    expect(same.told).toEqual([['l2', 'was moved here; it stays where it is']]);
    const elsewhere = await update(
      planned({ u1: { m1: ['l1', 'l3'], m2: [], m3: ['l2'] } }, ''),
      moved,
      left(known(before)),
    );
    expect(elsewhere.refused).toEqual([['l2', 'was moved here and in its source since its last import']]);

    const [course, u1, m1, l1, l2, l3, m2] = known(before);
    const reordered = [course!, u1!, m1!, l3!, l1!, l2!, m2!];
    const kept = await update(planned(before, ''), reordered, left(known(before)));
    expect([kept.ops.filter(({ op }) => op === 'reorder'), kept.told.length, kept.refused]).toEqual([[], 1, []]);
    const both = await update(planned({ u1: { m1: ['l2', 'l1', 'l3'], m2: [] } }, ''), reordered, left(known(before)));
    expect(both.refused.map(([, what]) => what)).toEqual([
      expect.stringMatching(/another order here, and in the source/),
    ]);
    const grown = await update(planned({ u1: { m1: ['l0', 'l1', 'l2', 'l3'], m2: [] } }, ''), known(before));
    expect(grown.ops.filter(({ op }) => op === 'reorder')).toEqual([
      { op: 'reorder', nodeId: 'old-m1', children: ['new-l0', 'old-l1', 'old-l2', 'old-l3'] },
    ]);
  });

  it('refuses whatever differs when nobody knows what the source said before', async () => {
    const tree = { u1: { m1: ['l1'] } };
    const unknown = left(known(tree)).map((part) => ({ ...part, marks: undefined, parent: null }));
    expect(await update(planned(tree, ''), known(tree), unknown)).toMatchObject({ refused: [], told: [] });
    const { refused, ops } = await update(planned(tree, 'T '), known(tree), unknown);
    expect(refused.map(([key]) => key)).toEqual(['course', 'u1', 'm1', 'l1']);
    expect(ops.filter(({ op }) => op === 'setFields')).toEqual([]);
  });

  it('does not bring back what was deleted here, and refuses what is new below it', async () => {
    const tree = { u1: { m1: ['l1'] } };
    const present = known(tree).filter(({ key }) => key === 'course' || key === 'u1');
    const { ops, told } = await update(planned(tree, ''), present, left(known(tree)));
    expect(ops).toMatchObject([{ op: 'absent', key: 'l1' }]);
    expect(told).toEqual([['m1', 'was deleted here; it stays away']]);
    const { refused } = await update(planned({ u1: { m1: ['l1', 'l2'] } }, ''), present, left(known(tree)));
    expect(refused).toEqual([['l2', 'is new in its source, below a part that was deleted here']]);
  });
});
