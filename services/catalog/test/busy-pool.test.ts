import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { eventually } from '@coursewright/platform/testing/eventually';
import { catalogOf, makeCourse, startWorld, type World } from './support/world.js';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const leases = (): Promise<{ name: string; token: number }[]> =>
  world.database.rows({
    name: 'test_leases',
    text: 'SELECT name, token FROM lease WHERE replica IS NOT NULL ORDER BY name',
  });

it('keeps its leases while as many writers as it has connections wait for one course', async () => {
  const courseId = await makeCourse(world, { owner: 'own' });
  const owner = await world.callers.as('own', ['author'], { [courseId]: ['admin'] });
  await eventually(async () => expect((await leases()).length).toBeGreaterThan(32));
  const before = await leases();
  const held = world.database.tx(async (sql) => {
    const text = 'SELECT course_id FROM course_registry WHERE course_id = $1::uuid FOR UPDATE';
    await sql.rows({ name: 'test_hold', text }, [courseId]);
    // As long as a replica that stands still within its transaction may hold up others.
    await sql.rows({ name: 'test_sleep', text: 'SELECT pg_sleep(3.6)' });
  });
  const writers = Array.from({ length: 20 }, (_, n) =>
    catalogOf(world).putMember({ courseId, subject: `s${n}`, role: 'author' }, { ...owner, deadlineMs: 10_000 }),
  );
  await held;
  await Promise.allSettled(writers);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(await leases()).toEqual(before);
}, 30_000);
