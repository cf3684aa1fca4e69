import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Actor } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import type { CallOptions } from '@coursewright/platform/rpc-client';
import { eventually } from '@coursewright/platform/testing/eventually';
import { testCommand } from '@coursewright/platform/testing/process';
import { catalogOf, hashOf, makeCourse, startWorld, type World } from './support/world.js';

let world: World;
let owner: CallOptions;
let root: CallOptions;
let courseId: string;
/** Whether versioning has the course closed, and all that was asked of it. */
let isClosed: boolean;
let asked: { closed: boolean; expectedTree: string; actor: Actor }[];

beforeAll(async () => {
  world = await startWorld();
});
beforeEach(async () => {
  [isClosed, asked] = [false, []];
  world.onClose = async ({ closed, expectedTree }, actor) => {
    asked.push({ closed, expectedTree, actor });
    isClosed = closed;
  };
  courseId = await makeCourse(world, { owner: 'own' });
  owner = await world.callers.as('own', ['author'], { [courseId]: ['admin'] });
  root = await world.callers.as('root', ['admin']);
});
afterAll(() => world.stop());

const rows = <T>(text: string): Promise<T[]> => world.database.rows<T>({ name: `test_${text}`, text }, [courseId]);
const isDeleted = async (): Promise<boolean> =>
  (
    await rows<{ gone: boolean }>(
      'SELECT deleted_at IS NOT NULL AS gone FROM course_registry WHERE course_id = $1::uuid',
    )
  )[0]!.gone;
const intents = async (): Promise<number> =>
  (await rows('SELECT token FROM deletion_intent WHERE course_id = $1::uuid')).length;
const events = async (): Promise<string[]> =>
  (await rows<{ type: string }>('SELECT type FROM outbox WHERE course_id = $1::uuid ORDER BY seq')).map(
    ({ type }) => type,
  );
/** As if its process had been gone for long. */
const lapse = () =>
  rows(`UPDATE deletion_intent SET lease_until = now() - interval '1 second' WHERE course_id = $1::uuid`);

function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

describe('deleting a course', () => {
  it('closes its repository at the tree that the caller saw, and only then marks it', async () => {
    world.onClose = async ({ closed, expectedTree }, actor) => {
      expect(await isDeleted()).toBe(false);
      asked.push({ closed, expectedTree, actor });
    };
    const expectedTree = hashOf(`tree of ${courseId}`);
    await catalogOf(world).deleteCourse({ courseId, expectedRevision: 1, expectedTree }, owner);
    expect(asked).toMatchObject([{ closed: true, expectedTree, actor: { sub: 'service:catalog' } }]);
    expect([await isDeleted(), await intents(), (await events()).at(-1)]).toEqual([true, 0, 'course-deleted']);
    // Deleted already: versioning is not asked again.
    await catalogOf(world).deleteCourse({ courseId, expectedTree: '' }, root);
    expect(asked).toHaveLength(1);
  });

  it('is refused as stale when somebody has written since, and leaves the course open and whole', async () => {
    world.onClose = async ({ closed, expectedTree }, actor) => {
      asked.push({ closed, expectedTree, actor });
      if (closed) throw new AppError('stale', 'STALE', { head: 'h', tree: 't' });
    };
    await expect(
      catalogOf(world).deleteCourse({ courseId, expectedTree: hashOf('old') }, { ...owner, command: testCommand() }),
    ).rejects.toMatchObject({ kind: 'stale', reason: 'STALE', details: { head: 'h', tree: 't' } });
    expect([await isDeleted(), await intents(), asked.at(-1)?.closed]).toEqual([false, 0, false]);
    expect(await events()).toEqual(['course-created']);
  });

  it('with a stale revision asks versioning for nothing', async () => {
    await expect(
      catalogOf(world).deleteCourse({ courseId, expectedRevision: 7, expectedTree: '' }, owner),
    ).rejects.toMatchObject({ kind: 'stale', details: { revision: 1 } });
    expect([asked, await intents()]).toEqual([[], 0]);
  });

  it('that was cut off after the repository was closed is undone, and can be asked for again with the same key', async () => {
    const command = testCommand();
    const answer = gate();
    world.onClose = async ({ closed, expectedTree }, actor) => {
      asked.push({ closed, expectedTree, actor });
      isClosed = closed;
      if (closed) await answer.opened;
    };
    const cut = catalogOf(world).deleteCourse({ courseId, expectedTree: '' }, { ...owner, command, deadlineMs: 700 });
    await expect(cut).rejects.toMatchObject({ kind: 'deadline_exceeded' });
    expect([isClosed, await intents()]).toEqual([true, 1]);
    // While it is not known what became of it nobody else deletes.
    await expect(catalogOf(world).deleteCourse({ courseId, expectedTree: '' }, root)).rejects.toMatchObject({
      reason: 'IN_PROGRESS',
    });
    const restarted = world.restart();
    answer.open();
    await restarted;
    await lapse();
    await eventually(async () => expect([isClosed, await intents()]).toEqual([await isDeleted(), 0]));
    const again = await catalogOf(world).deleteCourse({ courseId, expectedTree: '' }, { ...owner, command });
    expect([again.deletedAt instanceof Date, isClosed]).toEqual([true, true]);
  });

  it('never marks a course that was opened again meanwhile, however slow its process was', async () => {
    const [first, slow] = [gate(), gate()];
    const turns: number[] = [];
    world.onClose = async ({ closed, turn }) => {
      turns.push(turn);
      if (closed) {
        isClosed = true;
        first.open();
        await slow.opened;
      } else isClosed = false;
    };
    const late = catalogOf(world).deleteCourse({ courseId, expectedTree: '' }, owner);
    const refused = expect(late).rejects.toMatchObject({ kind: 'conflict', reason: 'IN_PROGRESS' });
    await first.opened;
    await lapse();
    await eventually(async () => expect([isClosed, await intents()]).toEqual([false, 0]));
    slow.open();
    await refused;
    expect([isClosed, await isDeleted(), await intents()]).toEqual([false, false, 0]);
    expect(await events()).toEqual(['course-created']);
    // By these the repository knows that what the slow one sends comes too late.
    expect(turns[0]).toBeGreaterThan(0);
    expect(turns[1]).toBeGreaterThan(turns[0]!);
  });

  it('that fails in its last step is undone at once', async () => {
    const counted = gate();
    const held = world.database.tx(async (sql) => {
      const text = 'SELECT n FROM course_seq WHERE course_id = $1::uuid FOR UPDATE';
      await sql.rows({ name: 'test_hold_counter', text }, [courseId]);
      counted.open();
      // Longer than anybody waits for a lock.
      await sql.rows({ name: 'test_hold_on', text: 'SELECT pg_sleep(4.5)' });
    });
    await counted.opened;
    await expect(
      catalogOf(world).deleteCourse({ courseId, expectedTree: '' }, { ...owner, deadlineMs: 15_000 }),
    ).rejects.toMatchObject({ kind: 'unavailable', reason: 'DATABASE_UNAVAILABLE' });
    expect([isClosed, await isDeleted(), await intents()]).toEqual([false, false, 0]);
    await held;
  }, 20_000);

  it('waits for versioning with its intent while that is away', async () => {
    world.onClose = async () => {
      throw new AppError('unavailable', 'DATABASE_UNAVAILABLE');
    };
    await expect(
      catalogOf(world).deleteCourse({ courseId, expectedTree: '' }, { ...owner, deadlineMs: 3_000 }),
    ).rejects.toMatchObject({ kind: expect.stringMatching(/unavailable|deadline_exceeded/) });
    expect([await isDeleted(), await intents()]).toEqual([false, 1]);
    isClosed = true;
    world.onClose = async ({ closed }) => void (isClosed = closed);
    await lapse();
    await eventually(async () => expect([isClosed, await intents()]).toEqual([false, 0]));
  });
});

describe('restoring a course', () => {
  beforeEach(async () => {
    await catalogOf(world).deleteCourse({ courseId, expectedTree: '' }, owner);
    asked = [];
  });

  it('opens its repository first, and takes the mark away then', async () => {
    world.onClose = async ({ closed, expectedTree }, actor) => {
      expect(await isDeleted()).toBe(true);
      asked.push({ closed, expectedTree, actor });
    };
    await catalogOf(world).restoreCourse({ courseId }, root);
    expect(asked).toMatchObject([{ closed: false, expectedTree: '', actor: { sub: 'service:catalog' } }]);
    expect([await isDeleted(), await intents()]).toEqual([false, 0]);
  });

  it('that was cut off is undone: a deleted course takes no writes', async () => {
    const [first, slow] = [gate(), gate()];
    world.onClose = async ({ closed }) => {
      isClosed = closed;
      if (closed) return;
      first.open();
      await slow.opened;
    };
    const late = catalogOf(world).restoreCourse({ courseId }, root);
    const refused = expect(late).rejects.toMatchObject({ reason: 'IN_PROGRESS' });
    await first.opened;
    await lapse();
    await eventually(async () => expect([isClosed, await intents()]).toEqual([true, 0]));
    slow.open();
    await refused;
    expect([isClosed, await isDeleted()]).toEqual([true, true]);
  });
});
