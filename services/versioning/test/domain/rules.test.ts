import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { applyOps, type ApplyOutcome } from '../../src/domain/apply-ops.js';
import { selfEtag } from '../../src/domain/etag.js';
import { checkFields, patchFields } from '../../src/domain/fields.js';
import { aheadBehind, ancestorsAmong, historyRows, walkBack, WHAT, type CommitLink } from '../../src/domain/history.js';
import { nameProblem, parseRef } from '../../src/domain/names.js';
import { ObjectPool } from '../../src/domain/object-pool.js';
import type { Expectation, Op } from '../../src/domain/ops.js';
import { outlineOf } from '../../src/domain/outline.js';
import { walkNodes } from '../../src/domain/walk.js';
import type { TreeRef } from '../../src/domain/tree-draft.js';
import { brokenLink, hashLogRow, hashMove, LOG_START, type LogLink } from '../../src/domain/ref-log.js';
import { ObjectChecker } from '../../src/domain/integrity.js';
import { checkTree } from '../../src/domain/tree-check.js';
import { encodeObject } from '../../src/domain/objects.js';
import { toMessage } from '../../src/rpc/convert.js';
import { bodyHash, build, course, flatten, MemoryObjects, testId, type ModelNode } from '../support/model.js';
import { drawFrom } from '../support/random-ops.js';

/** A course of one module with a few lessons, and writers who all saw its first version. */
function scene(lessons: number) {
  const objects = new MemoryObjects();
  const model = course(1, 2, lessons);
  const base = build(objects, model);
  const [module, other] = (model.children[0] as ModelNode).children as [ModelNode, ModelNode];
  let head: TreeRef = base;
  const write = async (ops: readonly Op[], expect: readonly Expectation[] = []): Promise<ApplyOutcome> => {
    const pool = new ObjectPool(objects);
    const outcome = await applyOps(pool, { head, base, ops, expect });
    objects.keep(pool);
    if (outcome.outcome === 'changed') head = outcome.tree;
    return outcome;
  };
  const order = async (node: ModelNode): Promise<number[]> => {
    const pool = new ObjectPool(objects);
    const outline = await outlineOf(pool, await pool.head(head.root), 3);
    const found = outline.children[0]?.children.find((child) => child.head.id === node.id);
    return (found?.children ?? []).map(({ head: { id } }) => module.children.findIndex((child) => child.id === id));
  };
  const id = (n: number): string => module.children[n]?.id ?? '';
  return { objects, model, module, other, write, order, id, head: () => head };
}

const add = (parent: string, position: number | null): Op => ({
  op: 'add',
  id: testId(),
  parent,
  position,
  kind: 'lesson',
  fields: { title: 'new' },
  body: null,
  source: null,
});
const remove = (node: string): Op => ({ op: 'remove', node });
const move = (node: string, parent: string, position: number | null): Op => ({ op: 'move', node, parent, position });

describe('an op that is applied anew to a head that has moved on', () => {
  it('keeps its place after the child it was put behind, wherever that one is now', async () => {
    const { module, write, order, id } = scene(5);
    await write([{ op: 'reorder', node: module.id, children: [id(4), id(3), id(2), id(1), id(0)] }]);
    await write([add(module.id, 2)]);
    // It was to follow lesson 1.
    expect(await order(module)).toEqual([4, 3, 2, 1, -1, 0]);
  });

  it('walks back to the nearest child that is still there when that one is gone, else goes first', async () => {
    const { module, write, order, id } = scene(5);
    await write([remove(id(2)), remove(id(1))]);
    await write([add(module.id, 3)]);
    expect(await order(module)).toEqual([0, -1, 3, 4]);
    await write([remove(id(0))]);
    await write([move(id(4), module.id, 1)]);
    expect((await order(module))[0]).toBe(4);
  });

  it('goes last without a position, and counts the ops before it in the same change', async () => {
    const { module, other, write, order, id } = scene(4);
    await write([move(id(0), other.id, null)]);
    await write([add(module.id, 1), add(module.id, 2), move(id(3), module.id, 0)]);
    expect(await order(module)).toEqual([3, -1, -1, 1, 2]);
    expect(await order(other)).toEqual([-1, -1, -1, -1, 0]);
  });

  it('orders the children it names, leaves the others after their predecessors, and skips those that are gone', async () => {
    const { module, write, order, id } = scene(6);
    await write([remove(id(3))]);
    const outcome = await write([{ op: 'reorder', node: module.id, children: [id(4), id(3), id(1)] }]);
    expect(outcome.outcome).toBe('changed');
    expect(await order(module)).toEqual([0, 4, 5, 1, 2]);
    const stranger = await write([{ op: 'reorder', node: module.id, children: [testId()] }]);
    expect(stranger).toMatchObject({ outcome: 'refused', problems: [{ pointer: '/ops/0/children/0' }] });
  });

  it('is refused as gone, stale or taken by the rules of the door', async () => {
    const { module, other, write, id } = scene(4);
    await write([remove(id(0))]);
    const title: Op = { op: 'setFields', node: id(0), fields: { title: 'x' } };
    expect(await write([title])).toMatchObject({ outcome: 'gone', what: 'node', id: id(0) });
    expect(await write([title], [{ node: id(0), part: 'self', etag: 'old' }])).toMatchObject({
      outcome: 'stale',
      present: null,
    });
    expect(await write([remove(id(0))], [{ node: id(0), part: 'subtree', etag: 'old' }])).toMatchObject({
      outcome: 'unchanged',
    });
    await write([remove(module.id)]);
    expect(await write([add(module.id, null)])).toMatchObject({ outcome: 'gone', what: 'parent', id: module.id });
    const there = other.children[0]?.id ?? '';
    expect(await write([{ ...add(other.id, null), id: there } as Op])).toMatchObject({ outcome: 'taken', id: there });
    expect(await write([move(other.id, there, null)])).toMatchObject({ outcome: 'refused' });
  });

  it('with an etag is refused when that part changed, and only then', async () => {
    const { module, other, write, id, objects, head } = scene(3);
    const pool = new ObjectPool(objects);
    const before = await pool.head(head().root);
    expect(before.kind).toBe('course');
    const self = selfEtag({ kind: 'lesson', fields: { title: 'Lesson 1' }, parent: module.id });
    await write([
      { op: 'setBody', node: id(1), body: bodyHash(1) },
      { op: 'setFields', node: module.id, fields: { title: 'y' } },
    ]);
    const rename = (title: string): Op => ({ op: 'setFields', node: id(1), fields: { title } });
    expect((await write([rename('mine')], [{ node: id(1), part: 'self', etag: self }])).outcome).toBe('changed');
    expect(await write([rename('theirs')], [{ node: id(1), part: 'self', etag: self }])).toMatchObject({
      outcome: 'stale',
      part: 'self',
    });
    expect((await write([rename('mine')], [{ node: id(1), part: 'self', etag: self }])).outcome).toBe('unchanged');
    const guard: Expectation = { node: other.id, part: 'children', etag: 'old' };
    expect((await write([rename('again')], [guard])).outcome).toBe('stale');
    expect((await write([rename('again')], [{ ...guard, etag: '*' }])).outcome).toBe('changed');
  });
});

describe('fields', () => {
  it('are refused by pointer when they are no text, number, truth or list of these, and kept in NFC with LF', () => {
    expect(checkFields({ title: 'Cafe\u0301\r\nx', n: 1.5, ok: true, tags: ['a'], gone: null }, '/fields')).toEqual({
      ok: true,
      fields: { title: 'Caf\u00e9\nx', n: 1.5, ok: true, tags: ['a'], gone: null },
    });
    const bad: [string, unknown][] = [
      ['title', ''],
      ['title', 'x'.repeat(501)],
      ['title', 7],
      ['cefrLevel', 'D1'],
      ['tags', 'a'],
      ['submittable', 'yes'],
      ['durationMinutes', -1],
      ['x', { y: 1 }],
      ['x', [[1]]],
      ['x', 'a\0b'],
      ['x', '\ud800'],
      ['x', Number.NaN],
      ['x', 2 ** 60],
      ['x', 'y'.repeat(20_001)],
      ['x', undefined],
      ['$x', 1],
      ['__proto__x', 1],
      ['constructor', 1],
      ['', 1],
      ['a/b', 1],
    ];
    for (const [name, value] of bad) expect([name, checkFields({ [name]: value }, '/f').ok]).toEqual([name, false]);
    const pointers = checkFields({ 'a/b': 1 }, '/f');
    expect(pointers).toMatchObject({ problems: [{ pointer: '/f/a~1b' }] });
    expect(patchFields({ title: 'a' }, { title: null }, 'lesson', '/f')).toMatchObject({ ok: false });
    expect(patchFields({ title: 'a' }, { topic: 't' }, 'lesson', '/f')).toEqual({
      ok: true,
      fields: { title: 'a', topic: 't' },
    });
  });
});

describe('the length of a field', () => {
  const isFine = (name: string, value: unknown): boolean => checkFields({ [name]: value }, '/f').ok;

  it.each([
    ['title', 500],
    ['topic', 200],
    ['description', 20_000],
    ['anything', 20_000],
  ])('%s is counted in code points: a picture is as long as a letter', (name, most) => {
    for (const letter of ['x', '長', '🎓'])
      expect([isFine(name, letter.repeat(most)), isFine(name, letter.repeat(most + 1))]).toEqual([true, false]);
  });

  it('of a tag is counted so as well, and of a message', () => {
    expect([isFine('tags', ['🎓'.repeat(100)]), isFine('tags', ['🎓'.repeat(101)])]).toEqual([true, false]);
    expect(toMessage('🎓'.repeat(2_000))).toHaveLength(4_000);
    expect(() => toMessage('🎓'.repeat(2_001))).toThrow(expect.objectContaining({ reason: 'INVALID_REQUEST' }));
  });
});

describe('tags', () => {
  it('are each there once, whatever their case and composition, in the spelling that came first', () => {
    expect(
      checkFields({ title: 't', tags: ['Straße', 'STRASSE', 'É', 'e\u0301', 'strasse', 'cafe'] }, '/fields'),
    ).toMatchObject({ ok: true, fields: { tags: ['Straße', 'É', 'cafe'] } });
  });

  it('of an older commit stay as they were stored until somebody sends others', () => {
    const old = { title: 't', tags: ['Straße', 'STRASSE'] };
    expect(patchFields(old, { title: 'u' }, 'course', '/f')).toEqual({ ok: true, fields: { ...old, title: 'u' } });
  });
});

describe('names and refs', () => {
  it('keep versions, hashes and names apart', () => {
    expect(parseRef('12')).toEqual({ form: 'version', number: 12 });
    expect(parseRef(bodyHash(3))).toMatchObject({ form: 'commit' });
    expect(parseRef('draft/one')).toMatchObject({ form: 'name' });
    for (const name of ['main', 'draft/summer-2027', 'v1.2.3', 'a', 'decade']) expect(nameProblem(name)).toBeNull();
    for (const name of [
      '',
      '7',
      bodyHash(1),
      'abc1234',
      'Published',
      'import/1',
      'IMPORT/1',
      'a//b',
      '/a',
      'a/',
      'a..b',
      'a.',
      '-a',
      'a b',
      'é',
      'x'.repeat(101),
    ]) {
      expect([name, nameProblem(name) !== null]).toEqual([name, true]);
    }
  });
});

/** A history of commits with up to two parents each, in order of making. */
function randomHistory(seed: number, size: number): CommitLink[] {
  const draw = drawFrom(seed);
  const links: CommitLink[] = [];
  for (let n = 0; n < size; n++) {
    const parents = n === 0 ? [] : [...new Set([draw(4) ? n - 1 : draw(n), ...(draw(4) ? [] : [draw(n)])])];
    const gen = 1 + Math.max(0, ...parents.map((parent) => links[parent]?.gen ?? 0));
    links.push({
      hash: `c${String(n).padStart(3, '0')}`,
      gen,
      parents: parents.map((parent) => links[parent]?.hash ?? ''),
    });
  }
  return links;
}

describe('the walk over history', () => {
  it('finds ancestors, order and distance as a plain search does', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 }), fc.integer({ min: 1, max: 60 }), async (seed, size) => {
        const links = randomHistory(seed, size);
        const byHash = new Map(links.map((link) => [link.hash, link]));
        const read = async (hashes: readonly string[]) =>
          new Map(hashes.flatMap((hash) => (byHash.has(hash) ? [[hash, byHash.get(hash) as CommitLink]] : [])));
        const plain = (head: string): Set<string> => {
          const seen = new Set<string>();
          const todo = [head];
          for (let hash = todo.pop(); hash; hash = todo.pop()) {
            if (!seen.has(hash)) todo.push(...(byHash.get(hash)?.parents ?? []));
            seen.add(hash);
          }
          return seen;
        };
        const draw = drawFrom(seed + 1);
        const [a, b] = [links[draw(size)]?.hash ?? '', links[draw(size)]?.hash ?? ''];
        const walked: CommitLink[] = [];
        for await (const link of walkBack(read, a)) walked.push(link);
        expect(new Set(walked.map(({ hash }) => hash))).toEqual(plain(a));
        expect(walked.map(({ gen }) => gen)).toEqual([...walked.map(({ gen }) => gen)].sort((x, y) => y - x));
        expect(await ancestorsAmong(read, byHash.get(a) as CommitLink, links)).toEqual(
          new Set(links.filter(({ hash }) => plain(a).has(hash)).map(({ hash }) => hash)),
        );
        const kept = new Map<string, { hash: string; gen: number }>();
        const memo = {
          get: (hash: string) => kept.get(hash),
          set: (hash: string, head: CommitLink | { hash: string; gen: number }) => void kept.set(hash, head),
        };
        for (const head of [a, b, links.at(-1)?.hash ?? '', a]) {
          const found = await ancestorsAmong(read, byHash.get(head) as CommitLink, links, memo);
          expect(found).toEqual(new Set(links.filter(({ hash }) => plain(head).has(hash)).map(({ hash }) => hash)));
        }
        const [ours, theirs] = [plain(a), plain(b)];
        expect(await aheadBehind(read, a, b)).toEqual({
          ahead: [...ours].filter((hash) => !theirs.has(hash)).length,
          behind: [...theirs].filter((hash) => !ours.has(hash)).length,
        });
      }),
      { numRuns: 200 },
    );
  });

  it('keeps a row for the top of an added or removed subtree, and for every restored node', () => {
    const change = (id: string, parent: string, ...what: ('added' | 'removed' | 'edited' | 'moved')[]) =>
      ({ id, parent, what, kind: 'lesson', fields: {}, body: null, bodyChanged: false, bodyOnly: false }) as const;
    const changes = [
      change('m', 'u', 'added'),
      change('l1', 'm', 'added'),
      change('l2', 'm', 'added'),
      change('x', 'u', 'removed'),
      change('y', 'x', 'removed'),
      change('z', 'u', 'moved', 'edited'),
    ];
    expect(historyRows(changes, (id) => id === 'l2')).toEqual([
      { node: 'm', what: WHAT.added },
      { node: 'l2', what: WHAT.added },
      { node: 'x', what: WHAT.removed },
      { node: 'z', what: WHAT.moved | WHAT.edited },
    ]);
  });
});

describe('reading a tree', () => {
  it('in pages meets every node once, in document order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 1, max: 30 }), async (seed, limit) => {
        const draw = drawFrom(seed);
        const model = course(1 + draw(3), 1 + draw(3), draw(40));
        const objects = new MemoryObjects();
        const tree = build(objects, model);
        const pool = new ObjectPool(objects);
        const head = await pool.head(tree.root);
        const root = { head, hash: tree.root, parent: null, position: 0, audience: 'learner' } as const;
        const seen: string[] = [];
        for (let from: readonly number[] | null = []; from;) {
          const page: Awaited<ReturnType<typeof walkNodes>> = await walkNodes(pool, root, from, {
            kinds: [],
            submittableOnly: false,
            limit,
          });
          seen.push(...page.nodes.map(({ head }) => head.id));
          from = page.next;
        }
        expect(seen).toEqual([...flatten(model).keys()]);
      }),
      { numRuns: 60 },
    );
  });

  it('as an outline stops at modules unless told, and lists at most a thousand children', async () => {
    const objects = new MemoryObjects();
    const tree = build(objects, course(2, 1, 1_100));
    const pool = new ObjectPool(objects);
    const head = await pool.head(tree.root);
    const flat = await outlineOf(pool, head, null);
    expect(
      flat.children.map(({ children }) =>
        children.map((module) => [module.childCount, module.children.length, module.next]),
      ),
    ).toEqual([[[1_100, 0, null]], [[1_100, 0, null]]]);
    const deep = await outlineOf(pool, head, 3);
    expect(deep.children[1]?.children[0]).toMatchObject({ childCount: 1_100, next: 1_000 });
    expect(deep.children[1]?.children[0]?.children).toHaveLength(1_000);
    expect(objects.calls).toBeLessThan(20);
    const wide = build(objects, course(3, 5, 900));
    const cut = await outlineOf(pool, await pool.head(wide.root), 3);
    const modules = cut.children.flatMap(({ children }) => children);
    const listed = modules.map(({ next, children }) => [children.length, next]);
    expect(listed.filter(([count, next]) => count === 900 && next === null).length).toBeGreaterThan(7);
    // What there is no room for is left out at the end: one module in part, the others whole.
    const part = listed.findIndex(([, next]) => next !== null);
    expect(listed[part]?.[0]).toBe(listed[part]?.[1]);
    expect(listed.slice(part + 1).every(([count, next]) => count === 0 && next === 0)).toBe(true);
  });

  it('is checked whole: a sound tree has no problems, one in which a node stands twice has', async () => {
    const objects = new MemoryObjects();
    const model = course(1, 2, 40);
    const check = async (root: ModelNode): Promise<string[]> => {
      const tree = build(objects, root);
      const found = new Set<string>();
      const checker = new ObjectChecker({
        read: async (hashes) => {
          const stored = hashes.flatMap((hash) => objects.objects.get(hash) ?? []).map(encodeObject);
          return new Map(stored.map((bytes) => [bytes.hash, bytes]));
        },
        report: (what) => void found.add(what),
        body: () => undefined,
        pause: () => Promise.resolve(),
      });
      const { counts } = await checkTree(checker, tree, (what) => void found.add(what));
      expect(counts).toEqual({ units: 1, modules: 2, lessons: expect.any(Number), assignments: 0 });
      return [...found];
    };
    expect(await check(model)).toEqual([]);
    expect(await check(course(1, 2, 1_300))).toEqual([]);
    const [first, second] = (model.children[0] as ModelNode).children as [ModelNode, ModelNode];
    second.children.push(first.children[3] as ModelNode);
    expect(await check(model)).toContain('two_parents');
  });
});

describe('the ref log', () => {
  it('shows the first row that was changed, taken out or put in', () => {
    const rows: LogLink[] = [];
    for (let seq = 1, prevHash = LOG_START; seq <= 5; seq++) {
      const move = { ref: 'main', from: null, to: bodyHash(seq), actor: 'ada', reason: 'edit', at: new Date(seq) };
      const hash = hashLogRow(prevHash, seq, hashMove(move));
      rows.push({ ...move, seq, prevHash, hash });
      prevHash = hash;
    }
    expect(brokenLink(rows, LOG_START)).toBeNull();
    expect(
      brokenLink(
        rows.map((row) => (row.seq === 3 ? { ...row, actor: 'eve' } : row)),
        LOG_START,
      ),
    ).toBe(3);
    expect(
      brokenLink(
        rows.filter(({ seq }) => seq !== 2),
        LOG_START,
      ),
    ).toBe(2);
    expect(brokenLink(rows.slice(1), LOG_START)).toBe(2);
  });
});
