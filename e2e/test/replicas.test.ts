import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '@coursewright/platform/testing/eventually';
import { startSystem } from '../../scripts/system.mjs';
import type { Api } from '../src/api.js';
import { makeCourse, textLesson, type SmallCourse } from '../src/course.js';
import { apiOf, type InstanceName, type System } from '../src/system.js';

let system: System;
let api: Api;
let course: SmallCourse;

beforeAll(async () => {
  system = await startSystem({ replicas: 2 });
  api = apiOf(system);
  course = await makeCourse(api, 'Two of everything', 3);
}, 180_000);
afterAll(() => system?.stop(), 60_000);

interface Traffic {
  readonly writes: number;
  readonly reads: number;
  /** What was not answered as when nothing is wrong. */
  readonly failures: readonly string[];
  readonly slowestMs: number;
}

/** Writers on lessons of their own and readers of the course, none of whom tries anything twice, until what is returned is called. */
function traffic(writers: number): { soFar(): number; end(): Promise<Traffic> } {
  let [writes, reads, slowestMs, going] = [0, 0, 0, true];
  const failures: string[] = [];
  const timed = async <T extends { status: number; body: Record<string, unknown> }>(
    what: string,
    work: () => Promise<T>,
  ): Promise<T> => {
    const started = performance.now();
    const answer = await work();
    slowestMs = Math.max(slowestMs, performance.now() - started);
    if (answer.status !== 200) failures.push(`${what}: ${answer.status} ${String(answer.body['reason'])}`);
    return answer;
  };
  const writer = async (lesson: string): Promise<void> => {
    const path = `/lessons/${lesson}/content`;
    let { etag } = await api.get(path);
    while (going) {
      const request = { json: textLesson(`${lesson} ${writes}`), headers: { 'if-match': etag } };
      const saved = await timed('save', () => api.send('PUT', path, request));
      if (saved.status === 200) etag = saved.etag;
      writes += 1;
    }
  };
  const reader = async (): Promise<void> => {
    for (let n = 0; going; n += 1) {
      const page = [`/courses/${course.id}`, '/courses?query=everything', `/lessons/${course.lessons[0]}/rendered`];
      await timed('read', () => api.get(page[n % 3]!));
      reads += 1;
    }
  };
  const all = Promise.all([...course.lessons.slice(0, writers).map(writer), reader(), reader()]);
  return {
    soFar: () => (writers > 0 ? Math.min(writes, reads) : reads),
    async end() {
      going = false;
      await all;
      return { writes, reads, failures, slowestMs };
    },
  };
}

/** Does something to one replica while there is traffic; resolves to how that went. */
async function during(work: () => Promise<void>, writers = 4): Promise<Traffic> {
  const before = (await api.all(`/courses/${course.id}/commits`)).length;
  const load = traffic(writers);
  await eventually(() => expect(load.soFar()).toBeGreaterThan(10), 20_000);
  await work();
  const since = load.soFar();
  await eventually(() => expect(load.soFar()).toBeGreaterThan(since + 20), 20_000);
  const seen = await load.end();
  expect(seen.failures).toEqual([]);
  expect(await api.all(`/courses/${course.id}/commits`)).toHaveLength(before + seen.writes);
  return seen;
}

const names: readonly InstanceName[] = ['versioning-2', 'content', 'catalog-2'];

describe('with two of each service', () => {
  it('runs two of each and one gateway, each with a name and ports of its own', () => {
    expect(Object.keys(system.processes)).toHaveLength(11);
    expect(system.replicasOf('catalog')).toEqual(['catalog', 'catalog-2']);
    const pids = Object.values(system.processes).map(({ pid }) => pid);
    expect(new Set(pids).size).toBe(11);
    expect(system.log('catalog-2')).toContain('"service":"catalog","instance":"catalog-2"');
  });

  it.each(names)(
    'nobody misses %s while it is stopped and started again',
    async (name) => {
      await during(async () => {
        await system.stopProcess(name);
        expect(system.pid(name)).toBeNull();
        await system.startProcess(name);
      });
    },
    90_000,
  );

  it.each(names)(
    'nobody misses %s when it is killed',
    async (name) => {
      const restarts = system.restarts(name);
      await during(async () => {
        system.kill(name);
        await eventually(() => expect(system.restarts(name)).toBe(restarts + 1));
        await system.ready(name);
      });
    },
    90_000,
  );

  /** Stops it without a signal that it could heed, until the supervisor has it back. */
  async function hang(name: InstanceName, writers: number): Promise<Traffic> {
    const pid = system.pid(name)!;
    const seen = await during(async () => {
      process.kill(pid, 'SIGSTOP');
      await eventually(() => expect(system.pid(name)).not.toBe(pid), 30_000);
      await system.ready(name);
    }, writers);
    expect(system.log(name)).toContain(`supervisor: ${name} (${pid}) hangs and is killed`);
    return seen;
  }

  it.each(['content', 'catalog-2'] as const)(
    '%s hangs: nobody waits longer than seconds, and it is brought back',
    async (name) => {
      // Two hops may meet it one after the other.
      expect((await hang(name, 4)).slowestMs).toBeLessThan(8_000);
    },
    120_000,
  );

  it('versioning-2 hangs: no reader waits longer than seconds, and it is brought back', async () => {
    expect((await hang('versioning-2', 0)).slowestMs).toBeLessThan(8_000);
  }, 120_000);
});
