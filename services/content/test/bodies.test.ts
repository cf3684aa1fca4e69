import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ContentServiceDefinition } from '@coursewright/proto/coursewright/content/v1/content';
import { hashBody } from '@coursewright/course-model/body';
import { canonicalJson } from '@coursewright/course-model/canonical';
import type { Actor } from '@coursewright/platform/actor';
import { newId, toHash } from '@coursewright/platform/ids';
import { createTokenMinter, createTokenVerifier, type TokenMinter } from '@coursewright/platform/internal-token';
import { createLogger } from '@coursewright/platform/logger';
import { createOutbox } from '@coursewright/platform/outbox';
import type { Command } from '@coursewright/platform/rpc-call';
import { openChannel, type Channel } from '@coursewright/platform/rpc-client';
import { createRpcServer, type RpcServer } from '@coursewright/platform/rpc-server';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { createTestKeys } from '@coursewright/platform/testing/keys';
import { testServers } from '@coursewright/platform/testing/servers';
import { openWorkers, type Workers } from '@coursewright/platform/workers';
import { MongoClient } from 'mongodb';
import { createBodyWork } from '../src/operations/body-work.js';
import { createPageMemory } from '../src/operations/page-memory.js';
import { contentService } from '../src/rpc/content-service.js';
import { createFiles } from '../src/store/files.js';
import { createImportLines } from '../src/store/import-lines.js';
import { createImportStore } from '../src/store/imports.js';
import { openBodyStore, type BodyStore } from '../src/store/mongo-bodies.js';
import { createSpool } from '../src/store/spool.js';
import { FakeServices } from './fake-versioning.js';

interface Row {
  _id: string;
  v: number;
  doc?: Record<string, unknown>;
  text?: string;
}

type Items = Record<string, ({ id: string } & Record<string, unknown>)[]>;

const logger = createLogger('test', 'silent');
const course = newId();
let lesson = '';
const actor = (role: string, sub = role): Actor => ({ sub, roles: [], grants: [{ course, role }] });
const learner: Actor = { sub: 'lea', roles: [], grants: [{ course, role: 'learner', commit: 'c'.repeat(43) }] };

let url = '';
let mongo: MongoClient;
let sql: PgDatabase;
let fakes: FakeServices;
let workers: Workers;
let stores: BodyStore[] = [];
let servers: RpcServer[] = [];
let channels: Channel[] = [];
let minter: TokenMinter;
let versioning: TokenMinter;
let keys: Awaited<ReturnType<typeof createTestKeys>>;

/** Another process of the service, which remembers nothing. */
async function serveAnew(): Promise<void> {
  const bodies = openBodyStore(url, logger);
  const service = contentService({
    ...{ bodies, versioning: fakes, work: createBodyWork(workers), costlyPages: createPageMemory(), newId },
    imports: createImportStore(sql, createOutbox()),
    lines: createImportLines(sql),
    files: createFiles(tmpdir()),
    spool: createSpool(tmpdir()),
    cache: { through: (_key, render) => render() },
    ...{ hashKey: Buffer.from('key'), maxImportBytes: 1, wakeImports: () => undefined },
  });
  const verifier = createTokenVerifier(keys.public);
  const server = createRpcServer({ host: '127.0.0.1', port: 0, services: [service], verifier, logger });
  const channel = openChannel('content', `127.0.0.1:${await server.start()}`);
  stores.push(bodies);
  servers.push(server);
  channels.push(channel);
}

beforeAll(async () => {
  const base = new URL(testServers().mongodb);
  base.pathname = `/t_bodies_${randomBytes(5).toString('hex')}`;
  url = base.href;
  mongo = new MongoClient(url, { retryWrites: false });
  sql = openDatabase({ url: 'postgresql://127.0.0.1:1/none' });
  fakes = new FakeServices();
  keys = await createTestKeys();
  minter = await createTokenMinter(keys.private['gateway'] ?? {});
  versioning = await createTokenMinter(keys.private['versioning'] ?? {});
  workers = openWorkers(new URL('../src/body-worker.js', import.meta.url));
  await serveAnew();
});
beforeEach(() => {
  lesson = newId();
  fakes.addLesson(course, lesson);
  fakes.audience = 'learner';
});
afterAll(async () => {
  channels.forEach((channel) => channel.close());
  await Promise.all(servers.map((server) => server.stop()));
  await Promise.all(stores.map((store) => store.close()));
  await workers.close();
  await sql.close();
  await mongo.db().dropDatabase();
  await mongo.close();
  [stores, servers, channels] = [[], [], []];
});

const client = () => channels.at(-1)!.client(ContentServiceDefinition);
const rows = () => mongo.db().collection<Row>('bodies');
const rowId = (hash: string) => `${course}:${hash}`;
const as = async (who: Actor, command?: Command) => ({
  ...{ token: await minter.mint(who), deadlineMs: 20_000 },
  ...(command ? { command } : {}),
});
const own = async () => ({ token: await versioning.mintOwn(), deadlineMs: 20_000 });
const place = () => ({ courseId: course, lessonId: lesson });
const save = async (doc: unknown, more: { who?: Actor; key?: string; expectedBody?: string } = {}) => {
  const { who = actor('author'), key, expectedBody } = more;
  const command: Command | undefined = key === undefined ? undefined : { id: key, fingerprint: 'f', kept: 'client' };
  const request = { ...place(), content: Buffer.from(JSON.stringify(doc)), ...(expectedBody ? { expectedBody } : {}) };
  return client().saveLesson(request, await as(who, command));
};
const read = async (who = actor('author')) => client().getLesson(place(), await as(who));
const parsed = (message: { content: Uint8Array }) => JSON.parse(Buffer.from(message.content).toString()) as Items;
const text = (content: string, more: object = {}) => ({ type: 'text/markdown', content, ...more });
/** So many values that the store keeps it as text. */
const many = { assessments: [{ type: 'q', answers: Array(20_000).fill(1) }] };

describe('ids of new items', () => {
  it('differ between authors, lessons and commands that use the same key', async () => {
    const doc = { materials: [text('mine')] };
    const ids = new Set<string | undefined>();
    const lessons = [newId(), newId()];
    for (const who of [actor('author', 'ann'), actor('author', 'bob')])
      for (const id of lessons)
        for (const key of ['1', '2']) {
          lesson = id;
          fakes.addLesson(course, lesson);
          fakes.commands.clear();
          ids.add(parsed(await save(doc, { who, key }))['materials']?.[0]?.id);
        }
    expect(ids.size).toBe(8);
  });

  it('are the same when the same command comes again, also after a first attempt that ended half-way', async () => {
    const first = await save({ materials: [text('a'), text('b')] }, { key: '1' });
    fakes.commands.clear();
    fakes.addLesson(course, lesson);
    expect((await save({ materials: [text('a'), text('b')] }, { key: '1' })).hash).toBe(first.hash);
    const other = parsed(first)['materials'] ?? [];
    expect(other[0]?.id).not.toBe(other[1]?.id);
  });
});

describe('bodies between services', () => {
  const put = async (hash: string, document: Buffer) =>
    client().putBodies([{ courseId: course, bodies: [{ hash, document }] }], await own());
  const get = async (hash: string) => {
    for await (const { bodies } of client().getBodies({ courseId: course, hashes: [hash] }, await own()))
      return bodies[0]?.document;
    return undefined;
  };

  it('are stored and read back by the byte, whatever the normal form would make of them by now', async () => {
    const id = newId();
    const exercise = { id, type: 'choice', audience: 'learner', title: 'written before answers had a default' };
    const old = { objectives: [], materials: [], exercises: [exercise], assessments: [], order: [id] };
    for (const doc of [old, { ...old, exercises: [{ ...exercise, content: Array(30_000).fill('') }] }]) {
      const document = Buffer.from(canonicalJson(doc));
      const hash = toHash(hashBody(1, document));
      expect(await put(hash, document)).toEqual({ stored: 1 });
      await serveAnew();
      expect((await get(hash))?.equals(document)).toBe(true);
      expect(await rows().findOne({ _id: rowId(hash) })).toMatchObject({ v: 1 });
    }
  });

  it.each([
    ['BODY_HASH_MISMATCH', '{"assessments":[],"exercises":[],"materials":[],"objectives":[],"order":[]}'],
    ['BODY_INVALID', '{"order":[],"assessments":[],"exercises":[],"materials":[],"objectives":[]}'],
    ['BODY_INVALID', '{"assessments":[]}'],
    ['BODY_INVALID', '{'],
  ])('are refused as %s when they are not what they say (%#)', async (reason, json) => {
    await expect(put('A'.repeat(43), Buffer.from(json))).rejects.toMatchObject({ kind: 'invalid_argument', reason });
  });

  it('are named when they are missing or damaged, past everything that is remembered', async () => {
    const sound = await save({ materials: [text('sound')] });
    const damaged = await save({ materials: [text('damaged')] });
    const large = await save(many);
    const missing = await save({ materials: [text('missing')] });
    await rows().updateOne({ _id: rowId(damaged.hash) }, { $set: { 'doc.order': [] } });
    await rows().updateOne({ _id: rowId(large.hash) }, { $set: { text: '{}' } });
    await rows().deleteOne({ _id: rowId(missing.hash) });
    const hashes = [sound, damaged, large, missing].map(({ hash }) => hash);
    const { problems } = await client().checkBodies({ courseId: course, hashes: [...hashes, 'nonsense'] }, await own());
    expect(new Set(problems.map(({ hash, what }) => `${hash} ${what}`))).toEqual(
      new Set([`${damaged.hash} damaged`, `${large.hash} damaged`, `${missing.hash} missing`, 'nonsense missing']),
    );
    const tooMany = { courseId: course, hashes: Array(501).fill(sound.hash) as string[] };
    await expect(client().checkBodies(tooMany, await own())).rejects.toMatchObject({ reason: 'TOO_MANY_HASHES' });
    await expect(
      client().checkBodies({ courseId: course, hashes: [] }, await as(actor('admin'))),
    ).rejects.toMatchObject({ reason: 'FORBIDDEN' });
  });
});

describe('a damaged or lost body', () => {
  const ruin = {
    damaged: (hash: string) => rows().updateOne({ _id: rowId(hash) }, { $set: { 'doc.materials': [], text: 'x' } }),
    'of an unknown version': (hash: string) => rows().updateOne({ _id: rowId(hash) }, { $set: { v: 99 } }),
    lost: (hash: string) => rows().deleteOne({ _id: rowId(hash) }),
  };

  it.each(Object.keys(ruin) as (keyof typeof ruin)[])(
    'that is %s is never served, says its hash, and is replaced by the next save of the lesson',
    async (how) => {
      const first = await save({ materials: [text(`before ${how}`)] });
      await ruin[how](first.hash);
      await serveAnew();
      await expect(read()).rejects.toMatchObject({
        kind: 'internal',
        reason: how === 'lost' ? 'STORED_BODY_MISSING' : 'STORED_BODY_CORRUPT',
        details: { hash: first.hash },
      });
      const next = await save({ materials: [text('after'), text('more')] }, { expectedBody: first.hash });
      expect(next).toMatchObject({ unchanged: false });
      const [one, two] = parsed(await read())['materials'] ?? [];
      expect([one?.['content'], two?.['content']]).toEqual(['after', 'more']);
      expect(one?.id).not.toBe(two?.id);
    },
  );

  it.each(Object.keys(ruin) as (keyof typeof ruin)[])(
    'that is %s is mended by a save of the same document, without a commit',
    async (how) => {
      for (const doc of [{ materials: [text(`same ${how}`)] }, many]) {
        const first = await save(doc);
        await ruin[how](first.hash);
        await serveAnew();
        const commits = fakes.commits;
        expect(await save(parsed(first))).toMatchObject({ unchanged: true, hash: first.hash });
        expect(fakes.commits).toBe(commits);
        await serveAnew();
        expect((await read()).content.equals(first.content)).toBe(true);
        const row = await rows().findOne({ _id: rowId(first.hash) });
        expect([row?.doc === undefined, row?.text === undefined]).toEqual([doc === many, doc !== many]);
      }
    },
  );

  it('is mended by whoever puts it again', async () => {
    const { hash, content } = await save({ materials: [text('put again')] });
    await ruin.damaged(hash);
    const bodies = [{ hash, document: Buffer.from(content) }];
    await client().putBodies([{ courseId: course, bodies }], await own());
    expect(await client().checkBodies({ courseId: course, hashes: [hash] }, await own())).toEqual({ problems: [] });
  });
});

describe('who does not see a lesson whole', () => {
  const whole = (secret: string) => ({
    materials: [text('open'), text(`graders ${secret}`, { audience: 'grader' })],
    exercises: [{ type: 'x', content: 'Q', answers: `KEY ${secret}`, metadata: { key: `KEY ${secret}` } }],
    assessments: [
      { type: 'q', questions: ['W'], answers: 'KEY', scoring: 'KEY', source: { format: 'olx', key: 'KEY' } },
    ],
  });
  const rendered = async (who: Actor, ref = '') => client().getRendered({ ...place(), ref }, await as(who));

  it('reads no answers, scoring or graders’ parts, be it the lesson, its page or a comparison', async () => {
    const from = await save(whole('one'));
    const to = await save(whole('two'), { expectedBody: from.hash });
    const pairs = [
      { nodeId: lesson, from: from.hash, to: to.hash },
      { nodeId: 'n', to: to.hash },
    ];
    const diff = async (who: Actor) => client().diffBodies({ courseId: course, pairs }, await as(who));
    const publisher = actor('publisher');
    for (const seen of [
      parsed(await read(publisher)),
      await rendered(publisher),
      await rendered(learner),
      await diff(publisher),
    ])
      expect(JSON.stringify(seen)).not.toMatch(/KEY|graders/);
    expect(JSON.stringify((await diff(actor('reviewer'))).diffs)).toMatch(/KEY.*graders/);
    expect((await diff(publisher)).diffs[0]?.changes).toEqual([]);
    for (const role of ['author', 'reviewer', 'deployer', 'admin'])
      expect(JSON.stringify(parsed(await read(actor(role))))).toMatch(/KEY.*graders/);
  });

  it('gets a keyed hash of what they see: it changes with that, and with nothing else', async () => {
    const hashes = async () => {
      const seen = [await read(actor('publisher')), await rendered(actor('publisher')), await rendered(learner)];
      return seen.map(({ hash }) => hash);
    };
    const doc = parsed(await save(whole('one')));
    const first = await hashes();
    expect(new Set(first).size).toBe(3);
    const { hash } = await read();
    expect(first).not.toContain(hash);
    const [exercise] = doc['exercises'] ?? [];
    await save({ ...doc, exercises: [{ ...exercise, answers: 'another' }] });
    expect((await read()).hash).not.toBe(hash);
    expect(await hashes()).toEqual(first);
    await save({ ...doc, exercises: [{ ...exercise, content: 'another' }] });
    expect((await hashes()).filter((now, i) => now === first[i])).toEqual([]);
  });

  it('finds a lesson for others as absent as one that is not there', async () => {
    await save({ materials: [text('for everybody?')] });
    const absent = { courseId: course, lessonId: newId() };
    const told = async (call: Promise<unknown>) => {
      const error = (await call.catch((thrown: unknown) => thrown)) as {
        kind: string;
        reason: string;
        details: object;
      };
      return [error.kind, error.reason, Object.keys(error.details)];
    };
    fakes.audience = 'author';
    expect(await told(rendered(learner))).toEqual(await told(client().getRendered(absent, await as(learner))));
    expect((await rendered(actor('publisher'))).items).toHaveLength(1);
    fakes.audience = 'grader';
    expect(await told(rendered(actor('publisher')))).toEqual(['not_found', 'NODE_NOT_FOUND', ['nodeId']]);
    expect(await told(read(actor('publisher')))).toEqual(['not_found', 'NODE_NOT_FOUND', ['nodeId']]);
    expect(parsed(await read(actor('reviewer')))['materials']).toHaveLength(1);
  });

  it('learns of no draft by naming a ref: any but their own is as absent as one that is not there', async () => {
    await save({ materials: [text('draft')] });
    for (const ref of ['main', 'nowhere', 'd'.repeat(43)])
      await expect(rendered(learner, ref)).rejects.toMatchObject({ kind: 'not_found', reason: 'REF_NOT_FOUND' });
    expect((await rendered(learner, 'c'.repeat(43))).commit).toBe('');
  });
});

describe('a comparison', () => {
  it('of more than has room in an answer keeps where each lesson differs, and says what it left out', async () => {
    const lines = (word: string) => Array.from({ length: 800 }, (_, i) => `${word} ${i} ${'x'.repeat(85)}\n`).join('');
    const from = await save({ materials: [text(lines('before'))] });
    const [item] = parsed(from)['materials'] ?? [];
    const to = await save({ materials: [{ ...item, content: lines('after') }] });
    const pairs = Array.from({ length: 40 }, (_, i) => ({ nodeId: `n${i}`, from: from.hash, to: to.hash }));
    const { diffs } = await client().diffBodies({ courseId: course, pairs }, await as(actor('author')));
    expect(JSON.stringify(diffs).length).toBeLessThan(3.5 * 1024 * 1024);
    expect(diffs.map(({ nodeId }) => nodeId)).toEqual(pairs.map(({ nodeId }) => nodeId));
    expect(diffs[0]).toMatchObject({ truncated: false, changes: [{ change: 'edited', hunks: [{}] }] });
    const [{ pointer } = {}] = diffs[0]?.changes ?? [];
    expect(diffs.at(-1)).toMatchObject({ truncated: true, changes: [{ change: 'edited', pointer, hunks: [] }] });
  });
});

describe('a page', () => {
  const page = async (who: Actor = actor('author')) => client().getRendered(place(), await as(who));

  it('shows a note in the place of what is beyond the limits, and all the rest', async () => {
    const deep = '<div>'.repeat(150);
    await save({ materials: [text('*before*'), { type: 'text/html', content: deep }, text('*after*')] });
    expect((await page()).items.map(({ html }) => html)).toEqual([
      '<p><em>before</em></p>\n',
      '<p><em>Not shown: elements are nested deeper than 100 levels.</em></p>',
      '<p><em>after</em></p>\n',
    ]);
    expect((await page(learner)).items[1]?.html).toBe('<p><em>This part cannot be shown.</em></p>');
  });

  it('says so once its text as a whole is too much, and shows small parts all the same', async () => {
    const heavy = Array.from({ length: 5 }, (_, i) => text('*a* '.repeat(22_000) + i));
    await save({ materials: [...heavy, text('*small*')] });
    const { items } = await page();
    expect(items.map(({ html }) => html.startsWith('<p><em>Not shown:'))).toEqual([
      false,
      false,
      true,
      true,
      true,
      false,
    ]);
    expect(items[5]?.html).toBe('<p><em>small</em></p>\n');
  });
});
