import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Actor } from '@coursewright/platform/actor';
import { newId } from '@coursewright/platform/ids';
import { createOutbox } from '@coursewright/platform/outbox';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { createTestDatabase, testServers, type TestDatabase } from '@coursewright/platform/testing/servers';
import { MongoClient } from 'mongodb';
import type { Imports, ImportJob } from '../src/operations/ports.js';
import { createImportStore } from '../src/store/imports.js';
import { createSpool } from '../src/store/spool.js';
import type { Answer, Told } from './limited/import-process.js';
import { newImport, streamOf, tarOf } from './support.js';

/** The memory that services/content/README.md states. */
const LIMIT_MIB = 512;
/** Five times what is promised: other suites run beside. The drill of worst inputs holds the service to 50 ms; see heavy.test.ts. */
const BUSY_MS = 250;
const author: Actor = { sub: 'ann', roles: ['author'], grants: [] };
const limits = { entries: 500_000, names: 33_554_432, fileBytes: 268_435_456, totalBytes: 4_294_967_296, ratio: 200 };

let database: TestDatabase;
let sql: PgDatabase;
let imports: Imports;
let mongodb: string;
let folder: string;

beforeAll(async () => {
  database = await createTestDatabase('limited', new URL('../prisma/migrations', import.meta.url).pathname);
  sql = openDatabase({ url: database.url });
  imports = createImportStore(sql, createOutbox());
  const base = new URL(testServers().mongodb);
  base.pathname = `/t_limited_${randomBytes(5).toString('hex')}`;
  mongodb = base.href;
  folder = await mkdtemp(join(tmpdir(), 'cw-limited-'));
});

afterAll(async () => {
  await sql.close();
  await database.drop();
  const client = new MongoClient(mongodb);
  await client.db().dropDatabase();
  await client.close();
  await rm(folder, { recursive: true });
});

/** A process of its own, with the memory that a container of the stated size would leave to its heap. */
async function importProcess(): Promise<ChildProcess> {
  const told: Told = { postgres: database.url, mongodb, folder, limits };
  const script = new URL('./limited/import-process.ts', import.meta.url).pathname;
  const flags = [`--max-old-space-size=${LIMIT_MIB - 128}`, '--conditions=source', '--import', 'tsx'];
  const child = spawn(process.execPath, [...flags, script, JSON.stringify(told)], {
    // Not inherited: Jest takes what is said of a full heap for the end of its own worker.
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
  await once(child, 'message');
  return child;
}

async function accept(bytes: Buffer): Promise<ImportJob> {
  const id = newId();
  const spool = createSpool(folder);
  await spool.write(id, streamOf(bytes), 1e9);
  const made = newImport({ id, courseId: newId(), newCourse: true, spoolId: await spool.id() });
  return (await imports.create(made, author, undefined)).job;
}

/** Asks the process again and again until the import has ended; answers how it ended and what it cost. Fails when the process ends. */
async function follow(child: ChildProcess, job: ImportJob): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr?.on('data', (bytes: Buffer) => (said += bytes.toString()));
    child.on('close', (code, signal) => reject(new Error(`the process ended: ${String(code ?? signal)}\n${said}`)));
    child.on('message', (answer: Answer) => {
      if (answer.state !== 'running') resolve(answer);
      else setTimeout(() => child.connected && child.send(job.id), 20);
    });
    child.send(job.id);
  });
}

const course = (inner: string) => `<course url_name="c" display_name="C">${inner}</course>`;
const placed = (inner: string) =>
  course(`<chapter url_name="u"><sequential url_name="s">${inner}</sequential></chapter>`);
const repeat = (count: number, make: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => make(i)).join('');
const lesson = (inner: string) => placed(`<vertical url_name="v">${inner}</vertical>`);
const file = (text: string) => tarOf([['course.xml', text]]);

/** What makes a legal upload dear, how its import ends, and with which reason. */
const worst: [name: string, state: string, reason: string | undefined, make: () => Promise<Buffer>][] = [
  ['1.9 million empty elements in 398 kB', 'failed', 'OLX_TOO_LARGE', () => file(course('<a/>'.repeat(1_900_000)))],
  [
    'an element of 300,000 attributes',
    'failed',
    'OLX_TOO_LARGE',
    () => file(course(`<a ${repeat(300_000, (i) => `a${i}="" `)}/>`)),
  ],
  ['a name that never ends', 'failed', 'OLX_BROKEN_XML', () => file(`<course><${'a'.repeat(8_000_000)}`)],
  ['elements nested a million times', 'failed', 'OLX_TOO_DEEP', () => file('<a>'.repeat(1_000_000))],
  [
    'a list of options that is never closed',
    'done',
    undefined,
    () => file(lesson(`<problem url_name="p"><optioninput options="${"'\\".repeat(500_000)}"/></problem>`)),
  ],
  [
    'a problem of 190,000 parts',
    'done',
    undefined,
    () =>
      file(lesson(`<problem url_name="p">${'<p>'.repeat(80)}${'<b/>'.repeat(190_000)}${'</p>'.repeat(80)}</problem>`)),
  ],
  [
    'a problem of 9,000 parts inside of 140 others',
    'done',
    undefined,
    () =>
      file(
        lesson(
          `<problem url_name="p">${'<div>'.repeat(140)}${'<b>x</b>'.repeat(4_400)}<choiceresponse/>${'</div>'.repeat(140)}</problem>`,
        ),
      ),
  ],
  [
    '60,000 units that hold nothing',
    'done',
    undefined,
    () => file(course(repeat(6_000, (i) => `<chapter url_name="u${i}"/><wiki/>`.repeat(5)))),
  ],
  [
    'sixty texts of 900 kB in one lesson',
    'done',
    undefined,
    () =>
      tarOf([
        ['course.xml', lesson(repeat(60, (i) => `<html url_name="h${i}" filename="h${i}" display_name="H"/>`))],
        ...Array.from({ length: 60 }, (_, i) => [`html/h${i}.html`, randomBytes(450_000).toString('hex')] as const),
      ]),
  ],
  ...(
    [
      ['words', 'x y '.repeat(2_000_000)],
      ['links to files', '<p>Some words, <a href="/static/a.png">a link</a> and more.</p>\n'.repeat(110_000)],
      ['small pictures', `<img src="data:image/png;base64,${'A'.repeat(1200)}">`.repeat(6_000)],
    ] as const
  ).map(([what, html]): (typeof worst)[number] => [
    `a page of 8 MB of ${what}`,
    'done',
    undefined,
    () =>
      tarOf([
        ['course.xml', lesson('<html url_name="h" filename="h" display_name="H"/>')],
        ['html/h.html', html],
        ['static/a.png', 'x'],
      ]),
  ]),
  [
    '20,000 files that nothing names',
    'done',
    undefined,
    () => tarOf([['course.xml', course('')], ...Array.from({ length: 20_000 }, (_, i) => [`f/${i}`, ''] as const)]),
  ],
];

describe('a process with the memory that it states', () => {
  it.each(worst)(
    'outlives %s (%s, %s), and is never held for long',
    async (_name, state, reason, make) => {
      const job = await accept(await make());
      const child = await importProcess();
      const seen = await follow(child, job).finally(() => child.connected && child.disconnect());
      const after = await imports.find(job.id);
      expect([after?.state, after?.error?.reason]).toEqual([state, reason]);
      expect(seen.rssMiB).toBeLessThan(LIMIT_MIB);
      expect(seen.busiestMs).toBeLessThan(BUSY_MS);
    },
    120_000,
  );
});
