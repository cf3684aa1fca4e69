// npm run bench:render — the largest legal lessons as safe HTML (B2), and what another reader feels of it meanwhile.
import { readdirSync, readFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { startBenchSystem } from './bench-system.js';
import { send, type HttpAnswer } from './load.js';
import { renderDocuments, type RenderDocument } from './render-documents.js';
import { quantile, report, row, type Row } from './report.js';

/** How often each document is read; a new body each time, so that no cache knows its page. */
const reads = Number(process.env['BENCH_READS'] || 101);
const readerEveryMs = 25;
const [renderMs, readerMs] = [200, 50];

const system = await startBenchSystem();
const headers = { authorization: `Bearer ${system.tokens['author']}`, 'content-type': 'application/json' };
const writer = new Agent({ keepAlive: true, maxSockets: 1 });

async function call(agent: Agent, method: string, path: string, body?: string): Promise<HttpAnswer> {
  const sent = { ...headers, ...(method === 'PUT' ? { 'if-match': '*' } : {}) };
  const url = `${system.gateway}/api${path}`;
  const answer = await send(agent, { method, url, headers: sent, ...(body === undefined ? {} : { body }) });
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body.slice(0, 500)}`);
  return answer;
}

async function make(path: string, title: string): Promise<string> {
  return (JSON.parse((await call(writer, 'POST', path, JSON.stringify({ title }))).body) as { id: string }).id;
}

/** A lesson in a course of its own. */
async function makeLesson(title: string): Promise<string> {
  const course = await make('/courses', title);
  return make(`/modules/${await make(`/courses/${course}/modules`, title)}/lessons`, title);
}

/** Reads a small lesson again and again at a steady rate; what it waited while a large one was rendered is told apart. */
function startReader(lesson: string): { rendering: boolean; readonly waits: number[]; stop(): Promise<void> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const reader = { rendering: false, waits: [] as number[], stop };
  let isOver = false;
  const loop = (async () => {
    for (let next = performance.now(); !isOver; next += readerEveryMs) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())));
      next = Math.max(next, performance.now());
      const isMeanwhile = reader.rendering;
      const began = performance.now();
      await call(agent, 'GET', `/lessons/${lesson}/rendered`);
      if (isMeanwhile || reader.rendering) reader.waits.push(performance.now() - began);
    }
  })();
  async function stop(): Promise<void> {
    isOver = true;
    await loop;
    agent.destroy();
  }
  return reader;
}

async function timed(path: string): Promise<{ ms: number; body: string }> {
  const began = performance.now();
  const { body } = await call(writer, 'GET', path);
  return { ms: performance.now() - began, body };
}

/** Processor time of content so far, in ms, all threads together: what other processes of the machine do is not in it. Linux only, else NaN. */
function contentMs(): number {
  try {
    const tasks = `/proc/${system.pid('content')}/task`;
    const used = readdirSync(tasks).map((task) =>
      Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]),
    );
    return used.reduce((sum, nanoseconds) => sum + nanoseconds, 0) / 1e6;
  } catch {
    return Number.NaN;
  }
}

/** Each read is of a body that was saved for it; the second read of the same one finds the page in Redis. */
async function measure(document: RenderDocument, small: string): Promise<Row[]> {
  const { name, shown } = document;
  const lesson = await makeLesson(name);
  const path = `/lessons/${lesson}/rendered`;
  const [uncached, cached, used]: [number[], number[], number[]] = [[], [], []];
  const reader = startReader(small);
  try {
    for (let n = -3; n < reads; n += 1) {
      await call(writer, 'PUT', `/lessons/${lesson}/content`, document.make(n + 3));
      reader.rendering = n >= 0;
      const before = contentMs();
      const fresh = await timed(path);
      const usedMs = contentMs() - before;
      reader.rendering = false;
      const again = await timed(path);
      if (/Not shown: /.test(fresh.body) !== (shown === 'note')) throw new Error(`${name} is not shown as ${shown}`);
      if (again.body !== fresh.body) throw new Error(`${name} is shown otherwise from the cache`);
      if (n < 0) continue;
      uncached.push(fresh.ms);
      used.push(usedMs);
      cached.push(again.ms);
    }
  } finally {
    await reader.stop();
  }
  const what = `${name} (${shown === 'note' ? 'a note' : 'whole'})`;
  const p99 = quantile(uncached, 0.99);
  const waited = quantile(reader.waits, 0.99);
  const ms = { unit: 'ms' };
  return [
    row('B2', `${what}, first read, p50`, quantile(uncached, 0.5), ms),
    row('B2', `${what}, first read, p99`, p99, { ...ms, target: `< ${renderMs} ms`, met: p99 < renderMs }),
    row('B2', `${what}, first read, max`, Math.max(...uncached), ms),
    row('B2', `${what}, first read, processor time of content, p50`, quantile(used, 0.5), ms),
    row('B2', `${what}, again, p50`, quantile(cached, 0.5), ms),
    row('B2', `${what}, again, p99`, quantile(cached, 0.99), ms),
    row('B2', `${what}, another reader meanwhile, p50`, quantile(reader.waits, 0.5), ms),
    row('B2', `${what}, another reader meanwhile, p99`, waited, {
      ...ms,
      target: `< ${readerMs} ms`,
      met: waited < readerMs,
    }),
    row('B2', `${what}, another reader meanwhile, max`, Math.max(...reader.waits), ms),
  ];
}

try {
  const small = await makeLesson('Small');
  const content = { objectives: ['Know it'], materials: [{ type: 'text/markdown', content: 'A *small* lesson.\n' }] };
  await call(
    writer,
    'PUT',
    `/lessons/${small}/content`,
    JSON.stringify({ ...content, exercises: [], assessments: [] }),
  );
  const only = process.argv[2] ?? '';
  const rows: Row[] = [];
  for (const document of renderDocuments())
    if (document.name.includes(only)) rows.push(...(await measure(document, small)));
  report('render', rows, [
    `${reads} reads of each document, one after the other; a new body for each, so that no cache has its page`,
    'processor time: of all threads of content from request to answer, the other reader included; a busy machine makes it longer, too',
    `the other reader reads a small lesson of another course every ${readerEveryMs} ms; only reads while a page is made are counted`,
  ]);
} finally {
  writer.destroy();
  await system.stop();
}
