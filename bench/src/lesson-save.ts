// npm run bench:lesson-save — a lesson saved through the gateway, durable in both stores with its event queued (S3).
import { createHash, randomUUID } from 'node:crypto';
import { Agent } from 'node:http';
import { MongoClient } from 'mongodb';
import pg from 'pg';
import type { System } from '../../scripts/system.mjs';
import { startBenchSystem } from './bench-system.js';
import { closedLoop, send } from './load.js';
import { report, row, type Row } from './report.js';

const seconds = 8;
// Saves per second of the best rival, measured on this kind of machine.
const rivalPerSecond = 370;
const document = (text: string): object => ({
  objectives: ['Know it'],
  materials: Array.from({ length: 6 }, (_, n) => ({
    type: 'text/markdown',
    content: `${text} paragraph ${n}\n\n`.repeat(10),
  })),
  exercises: [],
  assessments: [],
});

const system = await startBenchSystem();
try {
  const rows: Row[] = [];
  for (const [writers, courses] of [
    [4, 1],
    [16, 1],
    [16, 16],
  ] as const) {
    const lessons = await makeLessons(system, courses, writers);
    const etags: (string | undefined)[] = [];
    const floor = await measureFloor(system, writers);
    const saves = await closedLoop({
      clients: writers,
      seconds,
      warmUp: 6,
      async step(client, agent) {
        const url = `${system.gateway}/api/lessons/${lessons[client]!}/content`;
        const answer = await send(agent, {
          method: 'PUT',
          url,
          headers: { ...headersOf(system), 'if-match': etags[client] ?? '*' },
          body: JSON.stringify(document(randomUUID())),
        });
        if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
        etags[client] = String(answer.headers['etag']);
      },
    });
    const where = `${writers} writers, ${courses === 1 ? 'one course' : `${courses} courses`}`;
    rows.push(
      row('S3', `save, ${where}, p50`, saves.p50, {
        unit: 'ms',
        floor: floor.p50,
        ...(writers === 4 ? { target: '< 10 ms', met: saves.p50 < 10 } : {}),
      }),
      row('S3', `save, ${where}, p99`, saves.p99, {
        unit: 'ms',
        floor: floor.p99,
        ...(writers === 16 ? { target: '< 50 ms', met: saves.p99 < 50 } : {}),
      }),
      row('S3', `save, ${where}, rate`, saves.perSecond, {
        unit: '1/s',
        floor: floor.perSecond,
        target: `≥ ${2 * rivalPerSecond}/s (2× the best rival)`,
        met: saves.perSecond >= 2 * rivalPerSecond,
      }),
    );
  }
  rows.push(await measureRounds(system));
  const bodies = await serverName(system);
  report('lesson-save', rows, [
    `bodies on ${bodies}`,
    'floor: the same rows in one PostgreSQL transaction, then one raw put on the same body server, without gateway or services',
  ]);
} finally {
  await system.stop();
}

function headersOf(one: System): Record<string, string> {
  return { authorization: `Bearer ${one.tokens['author']}`, 'content-type': 'application/json' };
}

async function post(one: System, path: string, json: object): Promise<string> {
  const answer = await send(new Agent(), {
    method: 'POST',
    url: `${one.gateway}/api${path}`,
    headers: headersOf(one),
    body: JSON.stringify(json),
  });
  if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${answer.body}`);
  return (JSON.parse(answer.body) as { id: string }).id;
}

async function makeLessons(one: System, courses: number, count: number): Promise<string[]> {
  const lessons: string[] = [];
  const modules: string[] = [];
  for (let n = 0; n < courses; n += 1) {
    const course = await post(one, '/courses', { title: `Bench ${n}` });
    modules.push(await post(one, `/courses/${course}/modules`, { title: 'Module' }));
  }
  for (let n = 0; n < count; n += 1)
    lessons.push(await post(one, `/modules/${modules[n % courses]!}/lessons`, { title: `Lesson ${n}` }));
  return lessons;
}

/** What the two servers themselves take for one save: a body put with journal, then object, commit, ref, request and outbox rows in one transaction. */
async function measureFloor(one: System, writers: number): Promise<{ p50: number; p99: number; perSecond: number }> {
  const url = new URL(one.servers.postgres);
  url.pathname = '/postgres';
  const pool = new pg.Pool({ connectionString: url.href, max: writers });
  await pool.query(`CREATE TABLE IF NOT EXISTS floor_object (hash bytea PRIMARY KEY, data bytea); CREATE TABLE IF NOT EXISTS floor_row (id uuid PRIMARY KEY, data jsonb);
    CREATE TABLE IF NOT EXISTS floor_ref (id int PRIMARY KEY, hash bytea); INSERT INTO floor_ref SELECT n, '' FROM generate_series(0, 63) n ON CONFLICT DO NOTHING`);
  const mongo = await MongoClient.connect(one.servers.mongodb);
  const bodies = mongo.db('floor').collection<{ _id: string }>('body');
  const result = await closedLoop({
    clients: writers,
    seconds: 5,
    warmUp: 3,
    async step(writer) {
      const text = JSON.stringify(document(randomUUID()));
      const hash = createHash('sha256').update(text).digest();
      await bodies.updateOne(
        { _id: hash.toString('hex') },
        { $setOnInsert: { doc: JSON.parse(text) as object }, $max: { touchedAt: new Date() } },
        { upsert: true, writeConcern: { w: 'majority', journal: true } },
      );
      const client = await pool.connect();
      await client.query('BEGIN');
      await client.query({
        name: 'lock',
        text: 'SELECT hash FROM floor_ref WHERE id = $1 FOR UPDATE',
        values: [writer],
      });
      const objects = Array.from({ length: 5 }, () => Buffer.from(randomUUID()));
      await client.query({
        name: 'objects',
        text: 'INSERT INTO floor_object SELECT decode(md5(random()::text), $$hex$$), d FROM unnest($1::bytea[]) d',
        values: [objects.map((own) => Buffer.concat([own, Buffer.alloc(1500)]))],
      });
      for (const name of ['commit', 'request', 'outbox'])
        await client.query({
          name,
          text: 'INSERT INTO floor_row VALUES (gen_random_uuid(), $1)',
          values: [{ name, text: text.slice(0, 500) }],
        });
      await client.query({ name: 'ref', text: 'UPDATE floor_ref SET hash = $2 WHERE id = $1', values: [writer, hash] });
      await client.query('COMMIT');
      client.release();
    },
  });
  await mongo.close();
  await pool.end();
  return result;
}

/** Save, then read what was saved: the writer sees its own write. */
async function measureRounds(one: System): Promise<Row> {
  const lessons = await makeLessons(one, 4, 4);
  const rounds = await closedLoop({
    clients: 4,
    seconds,
    async step(client, agent) {
      const url = `${one.gateway}/api/lessons/${lessons[client]!}/content`;
      const text = randomUUID();
      const saved = await send(agent, {
        method: 'PUT',
        url,
        headers: { ...headersOf(one), 'if-match': '*' },
        body: JSON.stringify(document(text)),
      });
      const read = await send(agent, { method: 'GET', url, headers: headersOf(one) });
      if (saved.status !== 200 || !read.body.includes(text)) throw new Error(`${saved.status} ${read.status}`);
    },
  });
  return row('S3', 'save + read rounds, 4 writers, rate', rounds.perSecond, { unit: '1/s' });
}

async function serverName(one: System): Promise<string> {
  const mongo = await MongoClient.connect(one.servers.mongodb);
  const { version } = (await mongo.db('admin').command({ buildInfo: 1 })) as { version: string };
  await mongo.close();
  const standIn = version.startsWith('4.4.0');
  return standIn ? 'the MongoDB stand-in (slower than mongod)' : `mongod ${version}`;
}
