import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { addOps, fieldMarks, updateOps, type ImportOp, type KnownNode } from '../src/domain/import-ops.js';
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

/** The ops that bring a course to what is planned, and what is said about the parts of it. */
async function update(
  plan: readonly PlannedNode[],
  present: readonly KnownNode[],
): Promise<{ ops: ImportOp[]; told: [string, string][] }> {
  const told: [string, string][] = [];
  const tell = (node: KnownNode, what: string) => told.push([node.key, what]);
  const ops: ImportOp[] = [];
  const course = { id: COURSE, known: present, pause: () => undefined, tell };
  for await (const op of updateOps(streamed(plan), course)) ops.push(op);
  return { ops, told };
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
        const { ops, told } = await update(plan, present);
        for (const op of ops) model.apply(op);
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
        for await (const op of addOps(streamed(plan), COURSE)) model.apply(op);
        expect(model.titles.size).toBe(plan.length - 1);
        expect(model.children.get(COURSE) ?? []).toEqual(Object.keys(tree).map((unit) => `new-${unit}`));
      }),
    );
  });

  it('gives a part to learners again when its source does, and takes nothing back that is graders alone', async () => {
    const tree = { u1: { m1: ['l1'] } };
    const present = known(tree).map((node) => ({
      ...node,
      marks: fieldMarks({ title: node.key, audience: node.kind === 'lesson' ? 'grader' : 'author' }),
    }));
    const { ops, told } = await update(
      planned(tree, '').filter((node) => node.kind !== 'course'),
      present,
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
});
