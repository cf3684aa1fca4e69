// npm run bench:course-page — staff's linearizable course page through the gateway (S1, second half) against a bare Express 5.
import { Agent } from 'node:http';
import { startBenchSystem, startHello } from './bench-system.js';
import { closedLoop, send, type LoadResult } from './load.js';
import { report, row, type Row } from './report.js';

const seconds = 8;
// Course pages per second of the best rival at 16 connections, measured on this kind of machine.
const rivalPerSecond = 700;

const system = await startBenchSystem();
const hello = await startHello(system.ports['gateway']! + 1);
try {
  const headers = { authorization: `Bearer ${system.tokens['author']}`, 'content-type': 'application/json' };
  const makeCourse = async (): Promise<string> => {
    const made = await send(new Agent(), {
      method: 'POST',
      url: `${system.gateway}/api/courses`,
      headers,
      body: JSON.stringify({ title: 'Bench', topic: 'x', tags: ['a', 'b'] }),
    });
    if (made.status !== 201) throw new Error(`course not made: ${made.status} ${made.body}`);
    return (JSON.parse(made.body) as { id: string }).id;
  };
  const ids: string[] = [];
  for (let n = 0; n < 16; n += 1) ids.push(await makeCourse());
  const get =
    (...urls: string[]) =>
    async (client: number, agent: Agent): Promise<void> => {
      const url = urls[client % urls.length]!;
      const answer = await send(agent, { method: 'GET', url, headers });
      if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
    };
  const pageOf = (id: string): string => `${system.gateway}/api/courses/${id}`;
  const rows: Row[] = [];
  for (const clients of [4, 16, 64]) {
    const floor: LoadResult = await closedLoop({ clients, seconds, step: get(hello.url) });
    const page: LoadResult = await closedLoop({ clients, seconds, warmUp: 4, step: get(pageOf(ids[0]!)) });
    rows.push(
      row('S1', `course page, ${clients} connections, p50`, page.p50, {
        unit: 'ms',
        floor: floor.p50,
        ...(clients === 4 ? { target: '< 5 ms', met: page.p50 < 5 } : {}),
      }),
      row('S1', `course page, ${clients} connections, p99`, page.p99, { unit: 'ms', floor: floor.p99 }),
      row('S1', `course page, ${clients} connections, rate`, page.perSecond, {
        unit: '1/s',
        floor: floor.perSecond,
        ...(clients === 16
          ? { target: `≥ ${2 * rivalPerSecond}/s (2× the best rival)`, met: page.perSecond >= 2 * rivalPerSecond }
          : {}),
      }),
    );
  }
  // Readers of one course share answers; of different courses they cannot.
  const apart = await closedLoop({ clients: 16, seconds, step: get(...ids.map(pageOf)) });
  rows.push(
    row('S1', 'course page, 16 connections, each its own course, p50', apart.p50, { unit: 'ms' }),
    row('S1', 'course page, 16 connections, each its own course, rate', apart.perSecond, { unit: '1/s' }),
  );
  report('course-page', rows, [
    'floor: bare Express 5 with the same id and log line, in the same run; the load generator shares the two cores',
  ]);
} finally {
  hello.child.kill();
  await system.stop();
}
