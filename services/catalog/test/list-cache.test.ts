import { afterEach, describe, expect, it } from '@jest/globals';
import { CatalogServiceDefinition } from '@coursewright/proto/coursewright/catalog/v1/catalog';
import { eventually } from '@coursewright/platform/testing/eventually';
import { openGate, type Gate } from '@coursewright/platform/testing/gate';
import type { TestProcess } from '@coursewright/platform/testing/process';
import { testServers } from '@coursewright/platform/testing/servers';
import { catchUp, committed, makeCourse, startWorld, type World } from './support/world.js';

let world: World;
let way: Gate;
afterEach(async () => {
  await world.stop();
  await way.close();
});

async function titles(processes: readonly TestProcess[]): Promise<unknown[]> {
  const ann = await world.callers.as('ann');
  const lists = processes.map((one) => one.channel.client(CatalogServiceDefinition).listCourses({}, ann));
  return (await Promise.all(lists)).map(({ courses }) => courses[0]?.fields?.['title']);
}

const redisOf = async (one: TestProcess): Promise<unknown> =>
  ((await (await fetch(`${one.opsUrl}/readyz`)).json()) as { checks: { redis: string } }).checks.redis;

describe('a course that is renamed while Redis is away', () => {
  it('has its new title in every list as soon as Redis is back, with two processes and a restart in between', async () => {
    way = await openGate(testServers().redis);
    world = await startWorld({ redisUrl: way.url });
    const second = await world.another();
    try {
      const id = await makeCourse(world, { owner: 'ann', fields: { title: 'old' } });
      // Asked until the answer is in the cache of both.
      for (let n = 0; n < 5; n += 1) expect(await titles([world.process(), second])).toEqual(['old', 'old']);
      await way.cut();
      for (const one of [world.process(), second])
        await eventually(async () => expect(await redisOf(one)).toBe('down'));
      world.versioning.emit(id, 'committed', committed(id, { title: 'new' }, 'new'));
      await catchUp(world);
      expect(await titles([world.process(), second])).toEqual(['new', 'new']);
      await world.restart();
      await way.mend();
      const both = [world.process(), second];
      const end = performance.now() + 1_500;
      while (performance.now() < end) expect(await titles(both)).toEqual(['new', 'new']);
      for (const one of both) await eventually(async () => expect(await redisOf(one)).toBe('up'));
      expect(await titles(both)).toEqual(['new', 'new']);
      await eventually(async () => {
        const rows = await world.database.rows({ name: 'test_owed', text: 'SELECT 1 FROM owed_drop' });
        expect(rows).toEqual([]);
      });
    } finally {
      await second.stop();
    }
  });
});
