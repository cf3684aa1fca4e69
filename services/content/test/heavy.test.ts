import { fork, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { ContentServiceDefinition, type Lesson } from '@coursewright/proto/coursewright/content/v1/content';
import type { Actor } from '@coursewright/platform/actor';
import { newId } from '@coursewright/platform/ids';
import { createTokenMinter, type TokenMinter } from '@coursewright/platform/internal-token';
import { openChannel, type Channel } from '@coursewright/platform/rpc-client';
import { createTestKeys } from '@coursewright/platform/testing/keys';
import { createTestDatabase, testServers, type TestDatabase } from '@coursewright/platform/testing/servers';
import { MongoClient } from 'mongodb';
import type { HeavyReport, HeavySetup } from './heavy-service.js';

/**
 * What is promised is 50 ms, and the drill of worst inputs over the whole system holds the service to it with nothing else running. Here other
 * suites run beside, which makes the same work take up to twice its processor time, and what the drill is for costs seconds: the bound is five times that.
 */
const MAX_STRETCH_MS = 250;
/** What the service states, and its share for the heap; see scripts/lib/memory.mjs. The loader that compiles its sources here takes some besides. */
const [MAX_RSS_MB, HEAP_MB, LOADER_MB] = [512, 307, 64];
const course = newId();
const lessons = Array.from({ length: 60 }, () => newId());
const other = newId();
const author: Actor = { sub: 'ann', roles: [], grants: [{ course, role: 'author' }] };
const publisher: Actor = { sub: 'pia', roles: [], grants: [{ course, role: 'publisher' }] };
const learner: Actor = { sub: 'lea', roles: [], grants: [{ course, role: 'learner', commit: 'c'.repeat(43) }] };

jest.setTimeout(120_000);

let database: TestDatabase;
let folder: string;
let mongoUrl: string;
let child: ChildProcess;
let channel: Channel;
let minter: TokenMinter;
let versioning: TokenMinter;

beforeAll(async () => {
  database = await createTestDatabase('content', new URL('../prisma/migrations', import.meta.url).pathname);
  folder = await mkdtemp(join(tmpdir(), 'cw-heavy-'));
  const base = new URL(testServers().mongodb);
  base.pathname = `/t_heavy_${randomBytes(5).toString('hex')}`;
  mongoUrl = base.href;
  const keys = await createTestKeys();
  minter = await createTokenMinter(keys.private['gateway'] ?? {});
  versioning = await createTokenMinter(keys.private['versioning'] ?? {});
  const setup: HeavySetup = {
    ...{ mongoUrl, databaseUrl: database.url, folder, course, lessons: [...lessons, other] },
    keys: keys.public,
  };
  child = fork(fileURLToPath(new URL('./heavy-service.ts', import.meta.url)), [JSON.stringify(setup)], {
    execArgv: [`--max-old-space-size=${HEAP_MB}`, '--conditions=source', '--import', 'tsx'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  channel = openChannel('content', `127.0.0.1:${port}`);
}, 60_000);

afterAll(async () => {
  channel.close();
  child.kill();
  await once(child, 'exit');
  await database.drop();
  const client = new MongoClient(mongoUrl);
  await client.db().dropDatabase();
  await client.close();
  await rm(folder, { recursive: true });
});

const client = () => channel.client(ContentServiceDefinition);
/** Long enough for a busy machine: what a task may use is counted in processor time. */
const DEADLINE_MS = 40_000;
const as = async (actor: Actor, deadlineMs = DEADLINE_MS) => ({ token: await minter.mint(actor), deadlineMs });
const report = async (): Promise<HeavyReport> => {
  child.send('report');
  const [message] = (await once(child, 'message')) as [HeavyReport];
  return message;
};
const save = async (doc: unknown, lessonId: string): Promise<Lesson> =>
  client().saveLesson({ courseId: course, lessonId, content: Buffer.from(JSON.stringify(doc)) }, await as(author));

/**
 * Runs what is costly while somebody else saves ordinary lessons; answers what it gave, and how long the others waited. Fails when the
 * main thread was held, or the process grew beyond its limit.
 */
async function watched<T>(work: () => Promise<T>): Promise<{ result: T; waits: number[] }> {
  await report();
  let isDone = false;
  const waits: number[] = [];
  const others = (async () => {
    for (let n = 0; !isDone; n++) {
      const began = performance.now();
      const text = `An ordinary lesson, ${n}\n`.repeat(100);
      await save({ materials: [{ type: 'text/markdown', content: `${text}${Math.random()}` }] }, other);
      waits.push(performance.now() - began);
    }
  })();
  let result: T;
  try {
    result = await work();
  } finally {
    isDone = true;
    await others;
  }
  const { stretchMs, rssMb } = await report();
  expect(stretchMs).toBeLessThan(MAX_STRETCH_MS);
  expect(rssMb).toBeLessThan(MAX_RSS_MB + LOADER_MB);
  return { result, waits };
}

const html = (content: string) => ({
  materials: [
    { type: 'text/html', content },
    { type: 'text/markdown', content: '*kept*' },
  ],
});
const markdown = (content: string) => ({
  materials: [
    { type: 'text/markdown', content },
    { type: 'text/markdown', content: '*kept*' },
  ],
});
/** As often as it fits into so many bytes of JSON. */
const fill = (piece: string, bytes = 1_000_000) => piece.repeat(Math.floor(bytes / (JSON.stringify(piece).length - 2)));

describe('a page of the worst that a lesson may hold', () => {
  it.each([
    ['elements inside of each other', html(fill('<b>'))],
    ['elements beside each other', html(fill('<i>x</i>'))],
    ['elements with many attributes', html(`<p ${Array.from({ length: 120_000 }, (_, i) => `a${i}`).join(' ')}>`)],
    ['closing tags of nothing', html(`<p>${fill('</p>')}`)],
    ['headings', markdown(fill('# a\n'))],
    ['lists', markdown(fill('- a\n'))],
    ['quotes', markdown(fill('> '))],
    ['brackets', markdown(fill('['))],
    ['links', markdown(fill('[a](b) '))],
    ['emphasis', markdown(fill('*a **b '))],
    ['tables', markdown(`${fill('|a', 50_000)}\n${fill('|-', 50_000)}\n${fill('|\n', 400_000)}`)],
    ['plain text', markdown(fill('word '))],
    ['tags of HTML in Markdown', markdown(fill('<b>'))],
    [
      'thousands of questions',
      { assessments: [{ type: 'q', questions: Array(2000).fill({ options: Array(50).fill('a') }) }] },
    ],
    [
      'deep JSON',
      { assessments: [{ type: 'q', questions: Array(2000).fill(nested(29)), answers: Array(200_000).fill(0) }] },
    ],
  ])('is answered while others save: %s', async (name, doc) => {
    const lessonId = lessons.shift() ?? '';
    const { result } = await watched(async () => {
      await save(doc, lessonId);
      const pages = [];
      for (const actor of [author, learner])
        pages.push(await client().getRendered({ courseId: course, lessonId }, await as(actor)));
      return pages;
    });
    const [staff, seen] = result;
    if ('materials' in doc) expect(staff?.items[1]?.html).toBe('<p><em>kept</em></p>\n');
    if (name !== 'plain text' && name !== 'quotes' && 'materials' in doc) {
      expect(staff?.items[0]?.html).toMatch(/^<p><em>Not shown: .{20,}<\/em><\/p>$/);
      expect(seen?.items[0]?.html).toBe('<p><em>This part cannot be shown.</em></p>');
    }
  });
});

function nested(depth: number): unknown {
  let value: unknown = 0;
  for (let i = 2; i < depth; i++) value = [value];
  return value;
}

const worstDocuments: [string, unknown][] = [
  ['numbers', { assessments: [{ type: 'q', answers: Array(520_000).fill(0) }] }],
  ['empty texts', { exercises: [{ type: 'q', content: Array(340_000).fill('') }] }],
  ['small objects', { exercises: [{ type: 'q', content: Array(125_000).fill({ a: 0 }) }] }],
  ['deep JSON', { exercises: [{ type: 'q', content: Array(18_000).fill(nested(28)) }] }],
  [
    '6,000 items',
    Object.fromEntries(
      [
        ['materials', 'link'],
        ['exercises', 'e'],
        ['assessments', 'a'],
      ].map(([list, type]) => [
        list,
        Array(1200).fill({ type, title: 't', ...(list === 'materials' ? { content: '' } : {}) }),
      ]),
    ),
  ],
  ['one line', { materials: [{ type: 'text/markdown', content: 'x'.repeat(1_040_000) }] }],
  [
    'one line of signs beyond 16 bits',
    { materials: [{ type: 'text/markdown', content: '\u{1F600}'.repeat(260_000) }] },
  ],
];

describe('a document of the largest size', () => {
  it.each(worstDocuments)('is saved, saved again, read, sent and checked while others save: %s', async (_, doc) => {
    const lessonId = lessons.shift() ?? '';
    await watched(async () => {
      const first = await save(doc, lessonId);
      expect(await save(doc, lessonId)).toMatchObject({ hash: first.hash, unchanged: true });
      const place = { courseId: course, lessonId };
      expect((await client().getLesson(place, await as(author))).content.equals(first.content)).toBe(true);
      await client().getLesson(place, await as(publisher));
      const own = async () => ({ token: await versioning.mintOwn(), deadlineMs: DEADLINE_MS });
      const hashes = [first.hash];
      for await (const chunk of client().getBodies({ courseId: course, hashes }, await own())) {
        expect(chunk.bodies[0]?.document.equals(first.content)).toBe(true);
      }
      const bodies = [{ hash: first.hash, document: first.content }];
      expect(await client().putBodies([{ courseId: course, bodies }], await own())).toEqual({ stored: 1 });
      expect(await client().checkBodies({ courseId: course, hashes }, await own())).toEqual({ problems: [] });
    });
  });

  it('is refused while others save when it is wrong in every place', async () => {
    await watched(async () => {
      const lessonId = lessons.shift() ?? '';
      for (const [doc, code] of [
        [{ materials: Array(2000).fill({ type: 1, a: 1, b: 2, c: 3, d: 4 }) }, 'INVALID_LESSON'],
        [Object.fromEntries(Array.from({ length: 90_000 }, (_, i) => [`k${i}`, 0])), 'INVALID_LESSON'],
        [{ objectives: [`a${'\u0301\u0323'.repeat(250_000)}`] }, 'INVALID_LESSON'],
        [{ objectives: ['x'.repeat(1_500_000)] }, 'LESSON_TOO_LARGE'],
      ] as const)
        await expect(save(doc, lessonId)).rejects.toMatchObject({ reason: code });
    });
  });
});

describe('a comparison of the largest size', () => {
  const lines = (step: number) => Array.from({ length: 340_000 }, (_, i) => `${(i * step) % 10}\n`).join('');
  it('of texts of short lines is answered while others save', async () => {
    const lessonId = lessons.shift() ?? '';
    await watched(async () => {
      const from = await save({ materials: [{ type: 'text/markdown', content: lines(3) }] }, lessonId);
      const to = await save({ materials: [{ type: 'text/markdown', content: lines(7) }] }, lessonId);
      const pairs = [{ nodeId: lessonId, from: from.hash, to: to.hash }];
      const { diffs } = await client().diffBodies({ courseId: course, pairs }, await as(author));
      const pointer = expect.stringMatching(/content$/) as unknown;
      expect(diffs).toMatchObject([{ truncated: true, changes: [{ change: 'edited', pointer }] }]);
    });
  });

  it('of 200 lessons of a mebibyte each is answered in time while others save, all of them named', async () => {
    const saved: string[] = [];
    const item = (i: number) => ({
      materials: [{ type: 'text/markdown', content: `${i}\n${'line of text\n'.repeat(70_000)}${i}\n` }],
    });
    for (let i = 0; i < 24; i++) saved.push((await save(item(i), lessons[0] ?? '')).hash);
    const { result } = await watched(async () => {
      const pairs = Array.from({ length: 200 }, (_, i) => ({
        nodeId: `n${i}`,
        from: saved[i % 24] ?? '',
        to: saved[(i + 1 + Math.floor(i / 24)) % 24] ?? '',
      }));
      return client().diffBodies({ courseId: course, pairs }, await as(author, 10_000));
    });
    expect(result.diffs).toHaveLength(200);
    for (const { changes } of result.diffs) expect(changes.length).toBeGreaterThan(0);
    expect(result.diffs[0]).toMatchObject({ truncated: false });
    expect(result.diffs[0]?.changes[0]?.hunks).toHaveLength(2);
    expect(result.diffs[199]).toMatchObject({ truncated: true, changes: [{ pointer: '', change: 'edited' }] });
  });

  it('of 200 rewritten lessons of thirty lines shows them all, while others save', async () => {
    const text = (i: number, word: string) => Array.from({ length: 30 }, (_, n) => `${word} ${i} ${n}\n`).join('');
    const pairs: { nodeId: string; from: string; to: string }[] = [];
    for (let i = 0; i < 200; i++) {
      const at = lessons[0] ?? '';
      const from = await save({ materials: [{ type: 'text/markdown', content: text(i, 'before') }] }, at);
      const to = await save({ materials: [{ type: 'text/markdown', content: text(i, 'after') }] }, at);
      pairs.push({ nodeId: `n${i}`, from: from.hash, to: to.hash });
    }
    const { result } = await watched(async () => client().diffBodies({ courseId: course, pairs }, await as(author)));
    expect(result.diffs.map(({ truncated }) => truncated)).toEqual(Array(200).fill(false));
  });
});
