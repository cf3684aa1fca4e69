import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { diffTrees, type Change, type NodeDiff } from '../../src/domain/diff.js';
import { stayingIndexes } from '../../src/domain/lis.js';
import { ObjectPool } from '../../src/domain/object-pool.js';
import { applyToModel, build, course, flatten, MemoryObjects, type ModelNode } from '../support/model.js';
import { drawFrom, Past, randomOp } from '../support/random-ops.js';

const seeds = fc.integer({ min: 1, max: 2 ** 31 });

/** The lengths of a longest common subsequence, by the textbook's table. */
function commonLength(a: readonly string[], b: readonly string[]): number {
  const table = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const row = table[i] as number[];
      row[j] =
        a[i - 1] === b[j - 1] ? (table[i - 1]?.[j - 1] ?? 0) + 1 : Math.max(table[i - 1]?.[j] ?? 0, row[j - 1] ?? 0);
    }
  }
  return table[a.length]?.[b.length] ?? 0;
}

/** What differs between two models, found by looking at everything. Reordered ones are only counted, by parent. */
function plainDiff(from: ModelNode, to: ModelNode): { changes: Map<string, Change[]>; reordered: Map<string, number> } {
  const [a, b] = [flatten(from), flatten(to)];
  const changes = new Map<string, Change[]>();
  for (const id of new Set([...a.keys(), ...b.keys()])) {
    const [x, y] = [a.get(id), b.get(id)];
    const found: Change[] = [];
    if (!x) found.push('added');
    else if (!y) found.push('removed');
    else {
      if (x.parent?.id !== y.parent?.id) found.push('moved');
      if (x.node.fields.title !== y.node.fields.title) found.push('renamed');
      const rest = ({ fields, body }: ModelNode): string =>
        JSON.stringify([Object.entries({ ...fields, title: '' }).sort(), body]);
      if (rest(x.node) !== rest(y.node)) found.push('edited');
      if (x.node.kind !== y.node.kind) found.push('kind_changed');
    }
    if (found.length > 0) changes.set(id, found);
  }
  const reordered = new Map<string, number>();
  for (const [id, { node }] of b) {
    const ours = (a.get(id)?.node.children ?? []).map((child) => child.id);
    const theirs = node.children.map((child) => child.id);
    const common = [
      ours.filter((child) => theirs.includes(child)),
      theirs.filter((child) => ours.includes(child)),
    ] as const;
    const moved = common[0].length - commonLength(...common);
    if (moved > 0) reordered.set(id, moved);
  }
  return { changes, reordered };
}

async function diffOf(objects: MemoryObjects, from: ModelNode, to: ModelNode): Promise<NodeDiff[]> {
  return diffTrees(new ObjectPool(objects), build(objects, from), build(objects, to));
}

function edited(seed: number, size: readonly [number, number, number], ops: number): [ModelNode, ModelNode] {
  const draw = drawFrom(seed);
  const model = course(...size);
  const before = structuredClone(model);
  const past = new Past();
  for (let n = 0; n < ops; n++) {
    if (draw(4) === 0) past.nextChange();
    applyToModel(model, randomOp(model, draw, past));
  }
  return [before, model];
}

describe('the structural diff', () => {
  it('finds exactly what a change did, whatever the change', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, fc.integer({ min: 1, max: 14 }), async (seed, ops) => {
        const [old, young] = edited(seed, [2, 3, 45], ops);
        const diffs = await diffOf(new MemoryObjects(), old, young);
        const wanted = plainDiff(old, young);
        const withoutOrder = diffs.flatMap(({ id, changes }) => {
          const rest = changes.filter((change) => change !== 'reordered');
          return rest.length > 0 ? [[id, rest] as const] : [];
        });
        expect(new Map(withoutOrder)).toEqual(wanted.changes);
        const reordered = new Map<string, number>();
        const [a, b] = [flatten(old), flatten(young)];
        for (const { id, changes, before, after, from, to, path } of diffs) {
          const place = (side: typeof a): object | null => {
            const found = side.get(id);
            return found ? { parent: found.parent?.id ?? null, position: found.position } : null;
          };
          if (from) expect(from).toEqual(place(a));
          if (to) expect(to).toEqual(place(b));
          if (changes.includes('kind_changed'))
            expect([before?.kind, after?.kind]).toEqual([a.get(id)?.node.kind, b.get(id)?.node.kind]);
          if (changes.includes('reordered'))
            reordered.set(to?.parent ?? '', (reordered.get(to?.parent ?? '') ?? 0) + 1);
          const titles: unknown[] = [];
          const side = b.has(id) ? b : a;
          for (let at = side.get(id)?.parent; at; at = side.get(at.id)?.parent) titles.unshift(at.fields.title);
          expect(path).toEqual(titles);
        }
        expect(reordered).toEqual(wanted.reordered);
      }),
      { numRuns: 80 },
    );
  });

  it('is nothing between equal trees, and the other way round its mirror image', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, async (seed) => {
        const [before, after] = edited(seed, [1, 3, 40], 6);
        const objects = new MemoryObjects();
        expect(await diffOf(objects, after, structuredClone(after))).toEqual([]);
        const [there, back] = [await diffOf(objects, before, after), await diffOf(objects, after, before)];
        const mirror: Partial<Record<Change, Change>> = { added: 'removed', removed: 'added' };
        const mirrored = back
          .filter(({ changes }) => !changes.includes('reordered'))
          .map(({ id, changes }) => [id, changes.map((change) => mirror[change] ?? change)]);
        const forth = there
          .filter(({ changes }) => !changes.includes('reordered'))
          .map(({ id, changes }) => [id, changes]);
        const order = new Set(
          [...there, ...back].filter(({ changes }) => changes.includes('reordered')).map(({ id }) => id),
        );
        const without = (pairs: unknown[][]): Map<unknown, unknown> =>
          new Map(pairs.filter(([id]) => !order.has(String(id))) as [unknown, unknown][]);
        expect(without(mirrored)).toEqual(without(forth));
      }),
      { numRuns: 40 },
    );
  });

  it('of one edit in twenty thousand lessons reads a few dozen objects in a few round trips', async () => {
    const objects = new MemoryObjects();
    const before = course(2, 2, 5_000);
    const after = structuredClone(before);
    const lesson = after.children[1]?.children[1]?.children[3_333];
    if (lesson) lesson.fields = { title: 'Edited' };
    const [from, to] = [build(objects, before), build(objects, after)];
    objects.calls = 0;
    objects.asked = 0;
    const diffs = await diffTrees(new ObjectPool(objects), from, to);
    expect(diffs.map(({ id, changes }) => [id, changes])).toEqual([[lesson?.id, ['renamed']]]);
    expect(objects.asked).toBeLessThan(60);
    expect(objects.calls).toBeLessThan(16);
  });

  it('agrees with git about files added, removed and changed', async () => {
    for (const seed of [7, 77, 777, 7_777]) {
      const [before, after] = edited(seed, [2, 3, 20], 25);
      const dir = mkdtempSync(join(tmpdir(), 'versioning-git-'));
      const git = (...args: string[]): string =>
        execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', ...args], { cwd: dir, encoding: 'utf8' });
      try {
        git('init', '--quiet', '.');
        for (const model of [before, after]) {
          rmSync(join(dir, 'nodes'), { recursive: true, force: true });
          mkdirSync(join(dir, 'nodes'));
          for (const [id, { node, parent }] of flatten(model)) {
            const entries = Object.entries(node.fields).sort();
            writeFileSync(join(dir, 'nodes', id), JSON.stringify([node.kind, entries, node.body, parent?.id ?? null]));
          }
          git('add', '--all');
          git('commit', '--quiet', '--allow-empty', '--message', 'x');
        }
        const lines = git('diff', '--name-status', '--no-renames', 'HEAD~1', 'HEAD').trim().split('\n').filter(Boolean);
        const theirs = new Map(lines.map((line) => [line.split('\t')[1]?.slice('nodes/'.length), line[0]]));
        const ours = (await diffOf(new MemoryObjects(), before, after)).flatMap(({ id, changes }) => {
          if (changes.every((change) => change === 'reordered')) return [];
          return [[id, changes.includes('added') ? 'A' : changes.includes('removed') ? 'D' : 'M'] as const];
        });
        expect(new Map(ours)).toEqual(theirs);
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    }
  });
});

describe('the longest run that stays', () => {
  it('is as long as any common subsequence, chunks counting for what they hold', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 500 }), { maxLength: 60 }), (order) => {
        const items = order.map((from) => ({ from, weight: 1 + (from % 3) }));
        const staying = [...stayingIndexes(items)].sort((x, y) => x - y);
        for (let i = 1; i < staying.length; i++)
          expect(order[staying[i] as number]).toBeGreaterThan(order[staying[i - 1] as number] as number);
        const spread = (sorted: readonly { from: number; weight: number }[]): string[] =>
          sorted.flatMap(({ from, weight }) => Array.from({ length: weight }, (_, k) => `${from}.${k}`));
        const wanted = commonLength(spread([...items].sort((x, y) => x.from - y.from)), spread(items));
        expect(staying.reduce((sum, i) => sum + (items[i]?.weight ?? 0), 0)).toBe(wanted);
      }),
    );
  });
});
