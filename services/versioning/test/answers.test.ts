import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import {
  CompareResponse,
  ListBranchesResponse,
  ListCommitsResponse,
  ListNodesResponse,
  Outline,
  type OutlineNode,
} from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { newId } from '@coursewright/platform/ids';
import { encodeObject, type Fields } from '../src/domain/objects.js';
import { NO_COMMIT } from '../src/operations/commit.js';
import { Comparer } from '../src/operations/compare.js';
import { getOutline, listChildren, listNodes, type NodeView } from '../src/operations/nodes.js';
import type { VersioningStore } from '../src/operations/ports.js';
import { resolveRef, type Resolved } from '../src/operations/refs.js';
import { createNodeMemo } from '../src/rpc/tree-routes.js';
import { CACHE_BYTES, createCaches } from '../src/store/caches.js';
import { add, setFields, type WireOp } from './support/requests.js';
import { startService, type TestService } from './support/service.js';

const MIB = 1024 * 1024;
const LIMIT = 3.2 * MIB;
/** So many lessons, written so many at a time. */
const SIZES: Record<string, [number, number]> = { text: [200, 50], numbers: [16, 4], words: [16, 4] };

let service: TestService;
let admin: { token: string };

/** As large as the fields of a node may be, of the given kind of value. */
const FAT: Record<string, (n: number) => Record<string, unknown>> = {
  text: (n) => ({
    title: `L${n}`,
    a: `${n}`.padEnd(20_000, 'x'),
    b: `${n}`.padEnd(10_000, 'é'),
    c: `${n}`.padEnd(6_600, '長'),
  }),
  numbers: (n) => ({
    title: `L${n}`,
    ...Object.fromEntries(
      Array.from({ length: 60 }, (_, i) => [`f${i}`, Array.from({ length: 200 }, (_, k) => (k + n) % 10)]),
    ),
  }),
  words: (n) => ({
    title: `L${n}`,
    ...Object.fromEntries(
      Array.from({ length: 60 }, (_, i) => [`f${i}`, Array.from({ length: 200 }, (_, k) => `${(k + n) % 10}`)]),
    ),
  }),
};

async function fatCourse(kind: string): Promise<{
  courseId: string;
  module: string;
  lessons: string[];
}> {
  const [courseId, module] = [newId(), newId()];
  const [count, atOnce] = SIZES[kind]!;
  const fields = FAT[kind]!;
  const lessons = Array.from({ length: count }, newId);
  await service.client.createCourse({ courseId, fields: { title: 'Fat' } }, await service.service('catalog'));
  const first: WireOp[] = [add({ id: module, parentId: courseId, kind: NodeKind.MODULE })];
  for (let at = 0; at < count; at += atOnce) {
    const ops = lessons
      .slice(at, at + atOnce)
      .map((id, i) => add({ id, parentId: module, kind: NodeKind.LESSON, fields: fields(at + i) }));
    await service.client.commit({ courseId, ops: [...first.splice(0), ...ops], message: 'Fat' }, admin);
  }
  return { courseId, module, lessons };
}

/** What Node has from 23.9 on; its types here are older. */
const threadCpu = (process as unknown as { threadCpuUsage(): { user: number; system: number } }).threadCpuUsage.bind(
  process,
);
const threadMs = (): number => (threadCpu().user + threadCpu().system) / 1000;

/** The longest time that the main thread was at work in one go, in ms of its processor, while this went on. */
async function longestTurn(work: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = threadMs();
  let isOver = false;
  const turn = (): void => {
    const now = threadMs();
    longest = Math.max(longest, now - last);
    last = now;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  await work();
  isOver = true;
  return longest;
}

beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());
// A token lives for a minute.
const sign = async (): Promise<void> => void (admin = await service.as('admin', [], { roles: ['admin'] }));
beforeEach(sign);

describe.each(Object.keys(FAT))('a course whose every lesson has all the fields it may have, as %s', (kind) => {
  let courseId: string;
  let module: string;
  let lessons: string[];
  let before: string;
  beforeAll(async () => {
    await sign();
    ({ courseId, module, lessons } = await fatCourse(kind));
    before = (await service.client.getCourse({ courseId }, admin)).head;
  });

  it('is read whole by outline and list of children, page after page, none of them over 3 MiB', async () => {
    const outline = await service.client.getOutline({ courseId, depth: 3 }, admin);
    expect(Outline.encode(outline).finish().length).toBeLessThan(LIMIT);
    const [shown] = outline.root?.children ?? [];
    expect(shown?.childCount).toBe(lessons.length);
    expect(shown?.next).not.toBe('');
    const seen = (shown as OutlineNode).children.map(({ id }) => id);
    expect(seen.length).toBeGreaterThan(2);
    for (let cursor = shown?.next ?? ''; cursor !== '';) {
      const page = await service.client.listChildren({ courseId, cursor, limit: 1_000 }, admin);
      expect(ListNodesResponse.encode(page).finish().length).toBeLessThan(LIMIT);
      seen.push(...page.nodes.map(({ id }) => id));
      cursor = page.next;
    }
    expect(seen).toEqual(lessons);
  });

  it('is listed whole, also where only what can be submitted is asked for', async () => {
    for (const submittableOnly of [false, true]) {
      const seen: string[] = [];
      for (let cursor = '', n = 0; n === 0 || cursor !== ''; n++) {
        const page = await service.client.listNodes({ courseId, submittableOnly, cursor, limit: 1_000 }, admin);
        expect(ListNodesResponse.encode(page).finish().length).toBeLessThan(LIMIT);
        seen.push(...page.nodes.map(({ id }) => id));
        cursor = page.next;
      }
      expect(seen).toEqual(submittableOnly ? [] : [courseId, module, ...lessons]);
    }
  });

  it('is compared with what it was, every field of every lesson another', async () => {
    for (let at = 0; at < lessons.length; at += SIZES[kind]![1]) {
      const ops = lessons.slice(at, at + SIZES[kind]![1]).map((id, i) => setFields(id, FAT[kind]!(at + i + 1)));
      await service.client.commit({ courseId, ops, message: 'Other' }, admin);
    }
    const seen: string[] = [];
    for (let cursor = '', n = 0; n === 0 || cursor !== ''; n++) {
      const page = await service.client.compare({ courseId, from: before, to: 'main', cursor, limit: 200 }, admin);
      expect(CompareResponse.encode(page).finish().length).toBeLessThan(LIMIT);
      expect(page.summary?.edited).toBe(lessons.length);
      seen.push(...page.items.map(({ nodeId }) => nodeId));
      cursor = page.next;
    }
    expect(seen).toEqual(lessons);
  });

  it('is remembered as compared within the memory that comparisons may take, and no further', async () => {
    const { store } = service.sibling();
    const sides = { from: await resolveRef(store, courseId, before), to: await resolveRef(store, courseId, '') };
    const [small, roomy] = [new Comparer(MIB), new Comparer(256 * MIB)];
    for (const comparer of [small, roomy]) await comparer.compare(store, sides, { offset: 0, limit: 1 });
    expect(small.size).toBeLessThanOrEqual(MIB);
    expect(roomy.size).toBeGreaterThan(MIB);
  });

  it('holds the main thread for no more than 50 ms at a time', async () => {
    // The operations themselves, in a process that has nothing in memory yet: what the wire costs, Jest's own contexts make dearer.
    const reads: Record<string, (store: VersioningStore, at: Resolved) => Promise<unknown>> = {
      outline: (store, at) => getOutline(store, at, { root: '', depth: 3 }),
      children: (store, at) =>
        listChildren(store, at, { parent: module, from: 0, limit: 1_000, kinds: [], submittableOnly: false }),
      nodes: (store, at) => listNodes(store, at, { from: [], limit: 1_000, kinds: [], submittableOnly: false }),
      compare: async (store, to) =>
        new Comparer().compare(
          store,
          { from: await resolveRef(store, courseId, before), to },
          { offset: 0, limit: 200 },
        ),
    };
    for (const [name, read] of Object.entries(reads)) {
      const turns: number[] = [];
      const { store } = service.sibling();
      const at = await resolveRef(store, courseId, '');
      for (let n = 0; n < 4; n++) turns.push(await longestTurn(() => read(store, at)));
      expect([name, Math.min(...turns) < 50]).toEqual([name, true]);
    }
  });
});

describe('lists of what is small but long in words', () => {
  it('of branches with all the metadata they may have, and of commits with the longest messages, end in time and go on', async () => {
    const courseId = newId();
    await service.client.createCourse({ courseId, fields: { title: 'Wordy' } }, await service.service('catalog'));
    const metadata = { list: Array.from({ length: 4_090 }, () => '長') };
    const names = Array.from({ length: 120 }, (_, i) => `b${String(i).padStart(3, '0')}`);
    for (let at = 0; at < names.length; at += 10) {
      const some = names.slice(at, at + 10);
      await Promise.all(some.map((name) => service.client.createBranch({ courseId, name, metadata }, admin)));
    }
    const seen: string[] = [];
    for (let cursor = '', n = 0; n === 0 || cursor !== ''; n++) {
      const page = await service.client.listBranches({ courseId, cursor, limit: 200 }, admin);
      expect(ListBranchesResponse.encode(page).finish().length).toBeLessThan(LIMIT);
      seen.push(...page.branches.map(({ name }) => name));
      cursor = page.next;
    }
    expect(seen).toEqual([...names, 'main']);
    const message = '長'.repeat(2_000);
    const topics = Array.from({ length: 210 }, (_, i) => setFields(courseId, { topic: `${i}` }));
    for (let at = 0; at < topics.length; at += 30) {
      const some = topics.slice(at, at + 30);
      await Promise.all(some.map((op) => service.client.commit({ courseId, ops: [op], message }, admin)));
    }
    const page = await service.client.listCommits({ courseId, limit: 200 }, admin);
    expect(ListCommitsResponse.encode(page).finish().length).toBeLessThan(LIMIT);
    const rest = await service.client.listCommits({ courseId, limit: 200, cursor: page.next }, admin);
    expect(page.commits.length + rest.commits.length).toBe(211);
  }, 90_000);
});

/** Bytes of live objects. */
function heap(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

describe('what is kept in memory', () => {
  it.each(Object.keys(FAT))(
    'stays below its bound when all nodes are as large as may be, as %s, and is counted as what it takes',
    async (kind) => {
      const { objects } = createCaches(24 * MIB);
      const before = heap();
      let written = 0;
      for (let n = 0; written < 2_000; n++) {
        const stored = encodeObject({
          type: 'node',
          kind: 'lesson',
          id: newId(),
          fields: FAT[kind]!(n) as Fields,
          body: null,
          source: { format: 'olx', key: 'k'.repeat(1_000) },
          children: null,
        });
        await objects.remember([stored]);
        expect(objects.size).toBeLessThanOrEqual(24 * MIB);
        written = objects.size > 23 * MIB ? 2_000 : n;
      }
      expect(objects.size).toBeGreaterThan(20 * MIB);
      const taken = heap() - before;
      expect(taken).toBeLessThan(1.25 * objects.size);
      // The same nodes as views: their memory is bounded as well.
      const memo = createNodeMemo(4 * MIB);
      for (let n = 0; n < 400; n++) memo.set(`course commit ${n}`, viewOf(FAT[kind]!(n) as Fields));
      expect([memo.calculatedSize <= 4 * MIB, memo.size < 400]).toEqual([true, true]);
    },
  );

  it('of commits, links and what was found in the history is bounded as well', () => {
    const caches = createCaches();
    const hash = (n: number): string => Buffer.from(`${n}`.padEnd(32, '.')).toString('base64url');
    for (let n = 0; n < 20_000; n++) {
      const message = `${n}${'長'.repeat(1_990)}`;
      caches.commits.set(hash(n), { ...NO_COMMIT, hash: hash(n), parents: [hash(n - 1)], message });
    }
    for (let n = 0; n < 150_000; n++) {
      caches.links.set(hash(n), { hash: hash(n), gen: n, parents: [hash(n + 1)] });
      caches.descents.set(hash(n), { hash: hash(n), gen: n });
      caches.reached.set(hash(n), true);
    }
    for (const name of ['commits', 'links', 'descents', 'reached'] as const) {
      expect(caches[name].calculatedSize).toBeLessThanOrEqual(CACHE_BYTES[name]);
      expect(caches[name].size).toBeLessThan(name === 'commits' ? 20_000 : 150_000);
    }
    const sum = Object.values(CACHE_BYTES).reduce((all, one) => all + one, 0);
    expect(sum).toBeLessThan(160 * MIB);
  });
});

function viewOf(fields: Fields): NodeView {
  const head = { type: 'node', kind: 'lesson', id: newId(), fields, body: null, source: null, children: null } as const;
  const rest = { courseId: newId(), parent: null, position: 0, selfEtag: '', treeEtag: '', childrenEtag: '' };
  return { head, ...rest, childCount: 0, changed: NO_COMMIT, audience: 'learner' };
}
