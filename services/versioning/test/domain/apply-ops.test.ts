import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { applyOps } from '../../src/domain/apply-ops.js';
import { buildIndex, allPlacements } from '../../src/domain/index-trie.js';
import { countsAfter } from '../../src/domain/changes.js';
import { NO_COUNTS, withKind, type Counts } from '../../src/domain/kinds.js';
import type { NodeKind } from '../../src/domain/objects.js';
import { buildList, readEntries, readPage } from '../../src/domain/list.js';
import { ListDraft } from '../../src/domain/list-draft.js';
import { ObjectPool } from '../../src/domain/object-pool.js';
import {
  applyToModel,
  bodyHash,
  build,
  course,
  flatten,
  MemoryObjects,
  testId,
  type ModelNode,
} from '../support/model.js';
import { drawFrom, Past, randomOp } from '../support/random-ops.js';

function kindsOf(model: ModelNode): Map<string, NodeKind> {
  return new Map([...flatten(model)].map(([id, { node }]) => [id, node.kind]));
}

/** The ids of the children of every node that has any. */
function ordersOf(model: ModelNode): Map<string, string[]> {
  return new Map([...flatten(model)].map(([id, { node }]) => [id, node.children.map((child) => child.id)]));
}

function countKinds(model: ModelNode): Counts {
  return [...kindsOf(model).values()].reduce((counts, kind) => withKind(counts, kind, 1), NO_COUNTS);
}

const seeds = fc.integer({ min: 1, max: 2 ** 31 });

describe('a list of children', () => {
  it('has the same chunks for the same entries, whatever the way there', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, fc.integer({ min: 0, max: 700 }), async (seed, size) => {
        const draw = drawFrom(seed);
        const objects = new MemoryObjects();
        const entries = Array.from({ length: size }, () => ({ id: testId(), hash: bodyHash(draw(256)) }));
        const first = new ObjectPool(objects);
        let hash = buildList(first, entries);
        objects.keep(first);
        for (let round = 0; round < 3; round++) {
          const pool = new ObjectPool(objects);
          const draft = await ListDraft.open(pool, hash);
          for (let n = draw(12); n >= 0; n--) {
            const at = entries.length === 0 ? 0 : draw(entries.length);
            const what = entries.length === 0 ? 0 : draw(4);
            if (what === 0) {
              const entry = { id: testId(), hash: bodyHash(draw(256)) };
              await draft.insertAfter(at === 0 ? null : (entries[at - 1]?.id ?? null), entry);
              entries.splice(at, 0, entry);
            } else if (what === 1) {
              expect(await draft.remove(entries[at]?.id ?? '')).toBe(true);
              entries.splice(at, 1);
            } else if (what === 2) {
              entries[at] = { id: entries[at]?.id ?? '', hash: bodyHash(draw(256)) };
              await draft.replace(entries[at].id, entries[at].hash);
            } else expect(await draft.positionOf(entries[at]?.id ?? '')).toBe(at);
          }
          hash = await draft.seal();
          expect(hash).toBe(buildList(new ObjectPool(objects), entries));
          objects.keep(pool);
        }
        const pool = new ObjectPool(objects);
        expect(await readEntries(pool, hash)).toEqual(entries);
        const from = draw(size + 1);
        expect(await readPage(pool, hash, from, 40)).toEqual(entries.slice(from, from + 40));
      }),
      { numRuns: 60 },
    );
  });

  it('reads and writes one chunk a level for an edit among ten thousand children', async () => {
    const objects = new MemoryObjects();
    const entries = Array.from({ length: 10_000 }, () => ({ id: testId(), hash: bodyHash(1) }));
    const first = new ObjectPool(objects);
    const hash = buildList(first, entries);
    objects.keep(first);
    const pool = new ObjectPool(objects);
    const draft = await ListDraft.open(pool, hash);
    await draft.replace(entries[7_123]?.id ?? '', bodyHash(2));
    await draft.seal();
    expect(pool.created().length).toBeLessThanOrEqual(4);
    expect(objects.calls).toBeLessThanOrEqual(4);
  });
});

describe('the ops of a change', () => {
  it('give the tree that the same ops give when it is built from nothing', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, async (seed) => {
        const draw = drawFrom(seed);
        const objects = new MemoryObjects();
        const model = course(1 + draw(3), 1 + draw(4), draw(60));
        let tree = build(objects, model);
        let counts = countKinds(model);
        const past = new Past();
        for (let round = 0; round < 4; round++) {
          past.nextChange();
          const before = kindsOf(model);
          const orders = ordersOf(model);
          const ops = Array.from({ length: 1 + draw(6) }, () => {
            const op = randomOp(model, draw, past);
            applyToModel(model, op);
            return op;
          });
          const pool = new ObjectPool(objects);
          const outcome = await applyOps(pool, { head: tree, base: tree, ops, expect: [] });
          const wanted = build(new MemoryObjects(), model);
          if (outcome.outcome === 'unchanged') expect(tree).toEqual(wanted);
          else {
            expect(outcome).toMatchObject({ outcome: 'changed', tree: wanted });
            if (outcome.outcome !== 'changed') continue;
            tree = outcome.tree;
            counts = countsAfter(counts, outcome.changes);
            expect(counts).toEqual(countKinds(model));
            const now = kindsOf(model);
            const others = [...now].filter(([id, kind]) => before.has(id) && before.get(id) !== kind);
            const told = outcome.changes.filter(({ what }) => what.includes('kind_changed'));
            expect(new Map(told.map(({ id, kind, wasKind }) => [id, [wasKind, kind]]))).toEqual(
              new Map(others.map(([id, kind]) => [id, [before.get(id), kind]])),
            );
            const shuffled = outcome.changes.filter(({ what }) => what.includes('reordered')).map(({ id }) => id);
            for (const [id, order] of ordersOf(model)) {
              const old = orders.get(id) ?? [];
              const kept = order.filter((child) => old.includes(child));
              if (old.filter((child) => order.includes(child)).join() !== kept.join()) expect(shuffled).toContain(id);
            }
          }
          objects.keep(pool);
          expect(pool.reachable(tree.root, tree.index).length).toBeLessThanOrEqual(pool.created().length);
        }
        const placements = await allPlacements(new ObjectPool(objects), tree.index);
        const parents = [...flatten(model).values()].flatMap(({ node, parent }) =>
          parent ? [{ id: node.id, parent: parent.id }] : [],
        );
        expect(new Map(placements)).toEqual(new Map(parents.map(({ id, parent }) => [id, parent])));
        expect(buildIndex(new ObjectPool(objects), parents)).toBe(tree.index);
      }),
      { numRuns: 100 },
    );
    // Seconds on an idle machine; a busy one takes its time.
  }, 120_000);

  it('of writers of different nodes give the same tree in either order', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, async (seed) => {
        const draw = drawFrom(seed);
        const objects = new MemoryObjects();
        const model = course(2, 3, 30);
        const base = build(objects, model);
        const lessons = [...flatten(model).values()]
          .filter(({ node }) => node.kind === 'lesson')
          .map(({ node }) => node);
        const a = lessons.splice(draw(lessons.length), 1)[0] as ModelNode;
        const b = lessons.splice(draw(lessons.length), 1)[0] as ModelNode;
        const writes = [
          [{ op: 'setBody', node: a.id, body: bodyHash(7) } as const],
          [{ op: 'setFields', node: b.id, fields: { title: 'b' } } as const],
        ];
        const results = [];
        for (const order of [writes, [...writes].reverse()]) {
          let head = base;
          for (const ops of order) {
            const pool = new ObjectPool(objects);
            const outcome = await applyOps(pool, { head, base, ops, expect: [] });
            if (outcome.outcome !== 'changed') throw new Error(outcome.outcome);
            objects.keep(pool);
            head = outcome.tree;
          }
          results.push(head);
        }
        expect(results[0]).toEqual(results[1]);
      }),
      { numRuns: 30 },
    );
  });
});
