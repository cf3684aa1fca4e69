import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '@coursewright/platform/testing/eventually';
import { listAll, makeCourse, startWorld, type World } from './support/world.js';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const run = (text: string, values: unknown[] = []) =>
  world.database.rows({ name: `test ${text.slice(0, 40)}`, text }, values);

/** Makes the cards what the code before left: nothing says how they were made, and texts were taken apart by PostgreSQL. */
const asBefore = `UPDATE course_card SET shown = shown - 'form', search = to_tsvector('simple', '我家在上海东边'),
                  tags = ARRAY['Food', 'food'], tag_names = NULL WHERE course_id = $1::uuid`;

describe('cards that code of before has written', () => {
  it('are made anew by themselves, the public one too, and one that cannot be stands in no other’s way', async () => {
    const fields = { title: '我家在上海东边', tags: ['Food', 'food'] };
    const broken = await makeCourse(world, { owner: 'ann', fields });
    const old = await makeCourse(world, { owner: 'ann', fields, publish: true });
    const fresh = await run('SELECT * FROM course_card WHERE course_id = $1::uuid ORDER BY kind', [old]);
    await run(asBefore, [broken]);
    await run(`UPDATE course_projection SET facts = '{"head": 7}' WHERE course_id = $1::uuid`, [broken]);
    await run(asBefore, [old]);
    await eventually(async () => {
      expect(await run('SELECT * FROM course_card WHERE course_id = $1::uuid ORDER BY kind', [old])).toEqual(fresh);
    });
    const [root, eve] = [await world.callers.as('root', ['admin']), await world.callers.as('eve')];
    for (const caller of [root, eve]) {
      await eventually(async () => expect(await listAll(world, caller, { query: '上海' })).toEqual([old]));
      await eventually(async () => expect(await listAll(world, caller, { tag: 'FOOD' })).toContain(old));
    }
    const left = `SELECT DISTINCT course_id FROM course_card WHERE (shown->>'form') IS DISTINCT FROM '2'`;
    expect(await run(left)).toEqual([{ course_id: broken }]);
  });

  it('are looked for in an index that holds no others', async () => {
    await run('SET enable_seqscan = off');
    const plan = await run(
      `EXPLAIN SELECT EXISTS (SELECT FROM course_card WHERE (shown->>'form') IS DISTINCT FROM '2')`,
    );
    expect(JSON.stringify(plan)).toContain('course_card_outdated');
  });
});
