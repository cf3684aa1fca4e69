import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Cache } from '@coursewright/platform/cache';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import { createLogger } from '@coursewright/platform/logger';
import { createOutbox } from '@coursewright/platform/outbox';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { testCommand } from '@coursewright/platform/testing/process';
import { createTestDatabase, type TestDatabase } from '@coursewright/platform/testing/servers';
import { createCourse, finishIntent } from '../src/operations/create-course.js';
import { intentRows } from '../src/store/intent-rows.js';
import { projectionRows } from '../src/store/projection-rows.js';
import { registryRows } from '../src/store/registry-rows.js';

const migrations = new URL('../prisma/migrations', import.meta.url).pathname;
const noCache: Cache = {
  through: (_key, _options, load) => load(),
  drop: () => undefined,
  isUp: () => true,
  close: async () => undefined,
};

describe('a repeat that looks for its first try', () => {
  let test: TestDatabase;
  let database: PgDatabase;
  beforeAll(async () => {
    test = await createTestDatabase('catalog', migrations);
    database = openDatabase({ url: test.url });
  });
  afterAll(async () => {
    await database.close();
    await test.drop();
  });

  it('finds its result when that try ends between the two places it looks at', async () => {
    let isAway = true;
    const deps = {
      database,
      outbox: createOutbox(),
      registry: registryRows,
      projection: projectionRows,
      intents: intentRows,
      repositories: {
        create: async (): Promise<string> => {
          if (isAway) throw new AppError('unavailable', 'SERVICE_UNAVAILABLE');
          return 'c'.repeat(43);
        },
        setClosed: async () => undefined,
      },
      cache: noCache,
      logger: createLogger('test', 'silent'),
      now: () => new Date(),
      newId,
    };
    const caller = { actor: { sub: 'ann', roles: ['author'], grants: [] }, command: testCommand() };
    await expect(createCourse(deps, caller, { title: 'Once' })).rejects.toMatchObject({
      reason: 'SERVICE_UNAVAILABLE',
    });
    const first = (await intentRows.findOpen(database, 'ann', caller.command.id))!;
    isAway = false;
    const findOpen: typeof intentRows.findOpen = async (sql, actor, key) => {
      await finishIntent(deps, first);
      return intentRows.findOpen(sql, actor, key);
    };
    const repeat = await createCourse({ ...deps, intents: { ...intentRows, findOpen } }, caller, { title: 'Once' });
    expect(repeat.courseId).toBe(first.id);
    const rows = await database.rows({ name: 'courses', text: 'SELECT course_id FROM course_registry' });
    expect(rows).toEqual([{ course_id: first.id }]);
  });
});
