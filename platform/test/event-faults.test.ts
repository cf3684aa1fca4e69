import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { EventsSinceResponse } from '@coursewright/proto/coursewright/common/v1/event_source';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import { inboxCommands } from '@coursewright/platform/inbox-commands';
import { managerOf, openNats, streamOf } from '@coursewright/platform/nats';
import { patiencePausesMs } from '@coursewright/platform/patience';
import { openDatabase } from '@coursewright/platform/sql';
import { eventually } from '@coursewright/platform/testing/eventually';
import { openGate } from '@coursewright/platform/testing/gate';
import { testServers } from '@coursewright/platform/testing/servers';
import { hasOwn, startOwnNats } from './support/own-servers.js';
import { logger, Pair } from './support/pair.js';

const mib = 1024 * 1024;
let pair: Pair;
afterEach(() => pair.close());
const open = async (options?: { natsUrl: string }): Promise<Pair> => (pair = await new Pair().open(options));
/** Two courses, in the order in which a round takes them. */
const two = (): [string, string] => [newId(), newId()].sort() as [string, string];
const poison = ({ data }: { data: Readonly<Record<string, unknown>> }): void => {
  if (data['poison'] === true) throw new Error('poison');
};
const unsent = async (): Promise<number> =>
  (await pair.sourceDb.pool.query('SELECT 1 FROM outbox WHERE sent_at IS NULL')).rows.length;
const mend = (courseId: string, seq: number, what: string): Promise<unknown> =>
  pair.sourceDb.pool.query('UPDATE outbox SET data = $3 WHERE course_id = $1 AND seq = $2', [
    courseId,
    seq,
    JSON.stringify({ what }),
  ]);

describe('a course in trouble', () => {
  it('does not keep others from being caught up, and is caught up itself when the trouble is over', async () => {
    await open();
    const [sick, well] = two();
    await pair.sayUnheard(sick, 'a');
    await pair.sayUnheard(well, 'b');
    pair.beforeAsking = (method, courseId) => {
      if (courseId === sick) throw new AppError('internal', 'INTERNAL');
    };
    const round = await pair.inbox.catchUpAll();
    expect(round.done).toBe(1);
    expect(round.failed).toMatchObject([{ courseId: sick, reason: expect.stringContaining('INTERNAL') }]);
    expect(await pair.heard(well)).toEqual(['b']);
    await pair.consumer.start();
    await new Promise((resolve) => setTimeout(resolve, 500));
    pair.beforeAsking = () => undefined;
    // No new event and no timer of minutes is needed.
    await eventually(async () => expect(await pair.heard(sick)).toEqual(['a']), 5_000);
    expect(await pair.letters()).toEqual([]);
  });

  it('does not keep others from being rebuilt, keeps what it has, and is named in the answer', async () => {
    await open();
    const [sick, well] = two();
    for (const id of [sick, well]) await pair.sayUnheard(id, 'grown');
    await pair.inbox.catchUpAll();
    pair.beforeAsking = (method, courseId) => {
      if (method === 'getState' && courseId === sick) throw new AppError('internal', 'INTERNAL');
    };
    const round = await pair.inbox.rebuild();
    expect(round.done).toBe(1);
    expect(round.failed).toMatchObject([{ courseId: sick }]);
    expect(await pair.heard(sick)).toEqual(['grown']);
    expect(await pair.heard(well)).toEqual(['state']);
    pair.beforeAsking = () => undefined;
    await pair.say(sick, 'goes on');
    await pair.inbox.catchUpAll();
    expect(await pair.heard(sick)).toEqual(['grown', 'goes on']);
  });

  it('and every other one is there for readers at each moment of a rebuild', async () => {
    await open();
    const courses = Array.from({ length: 4 }, () => newId()).sort();
    for (const id of courses) await pair.sayUnheard(id, 'grown');
    await pair.inbox.catchUpAll();
    const seen: number[] = [];
    pair.beforeAsking = async () => {
      const { rows } = await pair.ownDb.pool.query('SELECT DISTINCT course_id FROM effect');
      seen.push(rows.length);
    };
    expect(await pair.inbox.rebuild()).toMatchObject({ done: 4, failed: [] });
    expect(new Set(seen)).toEqual(new Set([4]));
  });

  it('is removed by a rebuild when its source has no such course any more, and stepped over by a catch-up', async () => {
    await open();
    const [purged, well] = two();
    await pair.sayUnheard(purged, 'was');
    await pair.inbox.catchUpAll();
    await pair.sayUnheard(purged, 'gone');
    await pair.sayUnheard(purged, 'gone too');
    await pair.sayUnheard(well, 'is');
    await pair.sourceDb.pool.query('DELETE FROM outbox WHERE course_id = $1 AND seq < 3', [purged]);
    pair.states.set(purged, undefined);
    expect(await pair.inbox.catchUpAll()).toMatchObject({ done: 1, failed: [{ courseId: purged }] });
    expect(await pair.heard(purged)).toEqual(['was']);
    expect(await pair.heard(well)).toEqual(['is']);
    expect(await pair.inbox.rebuild()).toMatchObject({ done: 2, failed: [] });
    expect(await pair.heard(purged)).toEqual([]);
    for (const table of ['course_seq', 'outbox'])
      await pair.sourceDb.pool.query(`DELETE FROM ${table} WHERE course_id = $1`, [purged]);
    await pair.inbox.rebuild();
    const { rows } = await pair.ownDb.pool.query('SELECT 1 FROM inbox WHERE course_id = $1', [purged]);
    expect(rows).toEqual([]);
  });
});

describe('a command of the operators', () => {
  it.each(['rebuild', 'catch-up'])(
    '%s answers what was done and what failed, and goes on with other sources, when one source is away',
    async (name) => {
      await open();
      const well = await new Pair().open();
      try {
        const course = newId();
        await pair.sayUnheard(course, 'grown');
        await pair.inbox.catchUpAll();
        await well.sayUnheard(newId(), 'heard');
        pair.beforeAsking = () => {
          throw new AppError('unavailable', 'SERVICE_UNAVAILABLE');
        };
        const inboxes = new Map([
          ['away', pair.inbox],
          ['well', well.inbox],
        ]);
        const answer = await inboxCommands(pair.ownDb, inboxes)[name]?.(new URLSearchParams());
        expect(answer).toEqual({
          [name === 'rebuild' ? 'rebuilt' : 'caughtUp']: { away: 0, well: 1 },
          failures: 1,
          failed: [{ source: 'away', courseId: '', reason: expect.stringContaining('SERVICE_UNAVAILABLE') }],
        });
        expect(await pair.heard(course)).toEqual(['grown']);
      } finally {
        await well.close();
      }
    },
  );
});

describe('the largest legal events', () => {
  const numbers = Object.fromEntries(
    Array.from({ length: 60 }, (_, n) => [`numbers${n}`, Array.from({ length: 200 }, () => 1)]),
  );
  const rootFields = { title: 'T'.repeat(500), ...numbers, text: 'x'.repeat(38_000) };
  // A control character takes six bytes in JSON, and nothing takes more.
  const nodes = Array.from({ length: 200 }, () => ({
    ...{ id: newId(), kind: 'NODE_KIND_LESSON', what: ['added', 'body'], title: '\u0001'.repeat(500) },
    ...{ submittable: false, parentId: newId(), body: 'h'.repeat(43) },
  }));
  const small = { rootFields: numbers };

  it('are published, and come from the source in answers far below the limit of a message', async () => {
    await open();
    expect(Buffer.byteLength(JSON.stringify(rootFields))).toBeGreaterThan(60_000);
    const course = newId();
    for (let n = 0; n < 6; n += 1) await pair.sayUnheard(course, `large ${n}`, { rootFields, nodes });
    // Together more than a message may hold.
    for (let n = 0; n < 80; n += 1) await pair.sayUnheard(course, `small ${n}`, small);
    let after = 0;
    const sizes: number[] = [];
    for (;;) {
      const answer = await pair.eventSource.client.eventsSince(
        { courseId: course, afterSeq: after },
        { token: await pair.eventSource.token() },
      );
      if (answer.events.length === 0) break;
      sizes.push(EventsSinceResponse.encode(answer).finish().length);
      after = answer.events.at(-1)!.seq;
    }
    expect(after).toBe(86);
    expect(Math.max(...sizes)).toBeLessThan(3 * mib);
    expect(await pair.inbox.catchUpAll()).toMatchObject({ done: 1, failed: [] });
    expect(await pair.heard(course)).toHaveLength(86);
    await pair.relay.start();
    await pair.consumer.start();
    const published = newId();
    await pair.say(published, 'over the broker', { rootFields, nodes });
    await eventually(async () => {
      expect(await unsent()).toBe(0);
      expect(await pair.heard(published)).toEqual(['over the broker']);
    });
  });
});

describe('a dead letter', () => {
  it('is not made of what fails at the source: a wrong key for some seconds buries nothing', async () => {
    await open();
    const [course, other] = two();
    let refusals = 0;
    await pair.say(course, 'a');
    await pair.sayUnheard(course, 'unheard');
    await pair.relay.start();
    await pair.consumer.start();
    await eventually(async () => expect(await pair.heard(course)).toEqual(['a', 'unheard']));
    pair.beforeAsking = (method) => {
      refusals += 1;
      throw new AppError(
        method === 'eventsSince' && refusals % 2 === 0 ? 'too_large' : 'unauthenticated',
        'TOKEN_INVALID',
      );
    };
    await pair.sayUnheard(course, 'lost');
    await pair.say(course, 'behind a gap');
    await pair.say(other, 'free');
    await eventually(async () => expect(await pair.heard(other)).toEqual(['free']));
    // Longer than what a handler refuses would be borne.
    const end = performance.now() + 5_000;
    await eventually(async () => {
      expect(await pair.letters()).toEqual([]);
      expect([refusals > 6, performance.now() > end]).toEqual([true, true]);
    }, 20_000);
    pair.beforeAsking = () => undefined;
    await eventually(
      async () => expect(await pair.heard(course)).toEqual(['a', 'unheard', 'lost', 'behind a gap']),
      15_000,
    );
  });

  it('is not made of a refusal that passes, in a catch-up as little as in the stream', async () => {
    await open();
    const course = newId();
    let failures = 2;
    pair.beforeEffect = () => {
      if (failures-- > 0) throw new Error('a blip');
    };
    await pair.sayUnheard(course, 'in the end');
    expect(await pair.inbox.catchUpAll()).toMatchObject({ done: 1, failed: [] });
    expect(await pair.heard(course)).toEqual(['in the end']);
    expect(await pair.letters()).toEqual([]);
  });

  it('is not made of trouble of the own database, however long', async () => {
    await open();
    const course = newId();
    const codes = ['40P01', '40001', '57P01', '53300', '25006', 'P2028', 'P2034', 'P2024', 'XX000'];
    await pair.sayUnheard(course, 'in the end');
    // Longer than a refusal would be borne.
    const end = performance.now() + 500 + patiencePausesMs.reduce((sum, pause) => sum + pause, 0);
    for (let n = 0; n < codes.length || performance.now() < end; n += 1) {
      const code = codes[n % codes.length]!;
      pair.beforeEffect = () => {
        throw Object.assign(new Error(code), { code });
      };
      await expect(pair.inbox.catchUp(course)).rejects.toMatchObject({ isRefusal: false });
    }
    pair.beforeEffect = () => undefined;
    expect(await pair.inbox.catchUp(course)).toBe('moved');
    expect(await pair.letters()).toEqual([]);
  });

  it('is not made sooner because many messages of one course are refused at once', async () => {
    await open();
    const course = newId();
    pair.beforeEffect = poison;
    await pair.sayUnheard(course, 'bad', { poison: true });
    for (let n = 0; n < 20; n += 1) await expect(pair.inbox.catchUp(course)).rejects.toThrow();
    expect(await pair.letters()).toEqual([]);
    await pair.inbox.catchUpAll();
    expect(await pair.letters()).toEqual([{ type: 'said', seq: 1 }]);
  });

  it('stays open, its course parked, when a replay fails again; the replay says why', async () => {
    await open();
    const course = newId();
    pair.beforeEffect = poison;
    await pair.sayUnheard(course, 'bad', { poison: true });
    await pair.inbox.catchUpAll();
    expect(await pair.inbox.replay(course)).toEqual({ replayed: false, reason: 'Error: poison' });
    expect(await pair.isParked(course)).toBe(true);
    expect(await pair.letters()).toEqual([{ type: 'said', seq: 1 }]);
    pair.beforeAsking = () => {
      throw new AppError('unavailable', 'SERVICE_UNAVAILABLE');
    };
    expect(await pair.inbox.replay(course)).toMatchObject({ replayed: false });
    expect(await pair.letters()).toEqual([{ type: 'said', seq: 1 }]);
    pair.beforeAsking = () => undefined;
    await mend(course, 1, 'mended');
    expect(await pair.inbox.replay(course)).toEqual({ replayed: true });
    expect(await pair.inbox.replay(course)).toEqual({ replayed: false, reason: 'the course is not parked' });
    expect(await pair.heard(course)).toEqual(['mended']);
    expect(await pair.letters()).toEqual([]);
  });

  it('of a first poison event is resolved alone when there is a second one behind it', async () => {
    await open();
    const course = newId();
    pair.beforeEffect = poison;
    await pair.sayUnheard(course, 'bad', { poison: true });
    await pair.sayUnheard(course, 'good');
    await pair.sayUnheard(course, 'bad as well', { poison: true });
    await pair.inbox.catchUpAll();
    await mend(course, 1, 'mended');
    expect(await pair.inbox.replay(course)).toEqual({ replayed: false, reason: 'Error: poison' });
    expect(await pair.heard(course)).toEqual(['mended', 'good']);
    expect(await pair.letters()).toEqual([{ type: 'said', seq: 3 }]);
    expect(await pair.isParked(course)).toBe(true);
    await mend(course, 3, 'mended, too');
    expect(await pair.inbox.replay(course)).toEqual({ replayed: true });
    expect(await pair.heard(course)).toEqual(['mended', 'good', 'mended, too']);
    const { rows } = await pair.ownDb.pool.query<{ n: number }>(
      'SELECT count(*) AS n FROM dead_letter WHERE resolved_at IS NOT NULL',
    );
    expect(rows).toEqual([{ n: 2 }]);
  });

  it('of a state is resolved by a replay that takes the state, and by a rebuild', async () => {
    await open();
    const [first, second] = two();
    pair.beforeEffect = poison;
    for (const id of [first, second]) {
      for (const what of ['a', 'b']) await pair.sayUnheard(id, what);
      pair.states.set(id, { from: 'broken', poison: true });
    }
    await pair.sourceDb.pool.query('DELETE FROM outbox WHERE seq < 2');
    await pair.inbox.catchUpAll();
    expect(await pair.letters()).toMatchObject([{ type: 'state' }, { type: 'state' }]);
    pair.states.clear();
    expect(await pair.inbox.replay(first)).toEqual({ replayed: true });
    expect(await pair.letters()).toMatchObject([{ type: 'state' }]);
    await pair.inbox.rebuild();
    expect(await pair.letters()).toEqual([]);
    for (const id of [first, second]) expect(await pair.heard(id)).toEqual(['state']);
  });
});

describe('an event', () => {
  it.each([
    ['others are being published goes out right after them', 'relay_mark'],
    ['the outbox has just been found empty goes out at once', 'relay_unsent'],
  ])('that is enqueued while %s', async (_when, point) => {
    await open();
    const pool = openDatabase({ url: pair.sourceDb.pool.options.connectionString! }).pool;
    const looks: number[] = [];
    let isArmed = false;
    let markReached: () => void = () => undefined;
    const reached = new Promise<void>((resolve) => (markReached = resolve));
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const query = pool.query.bind(pool) as (...args: unknown[]) => Promise<{ rows: unknown[] }>;
    Object.assign(pool, {
      async query(...args: unknown[]) {
        const { name } = args[0] as { name?: string };
        if (name === 'relay_unsent') looks.push(performance.now());
        const result = await query(...args);
        // The look that finds nothing is the last one before a pause.
        const isPoint = name === point && (point === 'relay_mark' || result.rows.length === 0);
        if (isArmed && isPoint) {
          markReached();
          await released;
        }
        return result;
      },
    });
    const relay = pair.newRelay(pool);
    try {
      await relay.start();
      await eventually(() => expect(looks.length).toBeGreaterThan(0));
      // By now nothing but an event wakes it.
      await new Promise((resolve) => setTimeout(resolve, 300));
      isArmed = true;
      await pair.say(newId(), 'first');
      await reached;
      await pair.say(newId(), 'meanwhile');
      const before = looks.length;
      const at = performance.now();
      release();
      await eventually(() => expect(looks.length).toBeGreaterThan(before));
      expect(looks[before]! - at).toBeLessThan(100);
    } finally {
      release();
      await relay.stop();
      await pool.end();
    }
  });
});

describe('damage of the stream store', () => {
  const hear = async (course: string, all: string[]): Promise<void> => {
    await eventually(async () => expect(await pair.heard(course)).toEqual(all), 12_000);
    await eventually(() => expect([pair.relay.isWell(), pair.consumer.isFollowing()]).toEqual([true, true]), 12_000);
  };
  const course = newId();
  const start = async (options?: { natsUrl: string }): Promise<void> => {
    await open(options);
    await pair.relay.start();
    await pair.consumer.start();
    await pair.say(course, 'before');
    await hear(course, ['before']);
  };

  it('by deleting a stream, with nothing to publish, is noticed and mended within seconds', async () => {
    await start();
    const manager = await managerOf(await pair.nats.connected);
    await pair.sayUnheard(course, 'lost with the stream');
    await manager.streams.delete(streamOf(pair.source));
    await hear(course, ['before', 'lost with the stream']);
    await eventually(async () => expect(await manager.streams.info(streamOf(pair.source))).toBeDefined());
    await pair.say(course, 'after');
    await hear(course, ['before', 'lost with the stream', 'after']);
  });

  it('is told of while the stream cannot be made anew, and what happens meanwhile takes effect all the same', async () => {
    await start();
    const manager = await managerOf(await pair.nats.connected);
    const subjects = [`cw.v1.${pair.source}.>`];
    await pair.sayUnheard(course, 'lost with the stream');
    // Another stream has its subjects, so that none of its name can be made.
    await eventually(async () => {
      await manager.streams.delete(streamOf(pair.source)).catch(() => undefined);
      await manager.streams.add({ name: `${streamOf(pair.source)}_OTHER`, subjects });
    });
    await eventually(async () => expect(await pair.heard(course)).toEqual(['before', 'lost with the stream']), 7_000);
    await eventually(() => expect([pair.relay.isWell(), pair.consumer.isFollowing()]).toEqual([false, false]), 5_000);
    await pair.sayUnheard(course, 'while there is none');
    const all = ['before', 'lost with the stream', 'while there is none'];
    await eventually(async () => expect(await pair.heard(course)).toEqual(all), 15_000);
    await manager.streams.delete(`${streamOf(pair.source)}_OTHER`);
    await hear(course, all);
  });

  it('that leaves events waiting is told of after some seconds, and they go out when they can', async () => {
    await start();
    const manager = await managerOf(await pair.nats.connected);
    await manager.streams.update(streamOf(pair.source), { max_msgs: 1 });
    await pair.say(course, 'held back');
    await eventually(() => expect(pair.relay.isWell()).toBe(false), 8_000);
    expect(await unsent()).toBe(1);
    // The relay, which brings its stream up to date at each failure, may put back at the same moment what it has just read.
    await eventually(async () => {
      await manager.streams.update(streamOf(pair.source), { max_msgs: -1 });
      expect(await unsent()).toBe(0);
    });
    await hear(course, ['before', 'held back']);
  });

  it('that was mended while nobody looked, by another process on the same durable, is noticed', async () => {
    const way = await openGate(testServers().nats);
    try {
      const { username, password } = new URL(testServers().nats);
      await start({ natsUrl: Object.assign(new URL(way.url), { username, password }).href });
      const past = openNats(testServers().nats, 'test', logger);
      const manager = await managerOf(await past.connected);
      const { created, config } = await manager.consumers.info(streamOf(pair.source), pair.durable(course));
      await eventually(() => expect(Date.now() - Date.parse(created)).toBeGreaterThan(5_000));
      await pair.sayUnheard(course, 'lost with the durable');
      await way.cut();
      await manager.consumers.delete(streamOf(pair.source), pair.durable(course));
      await manager.consumers.add(streamOf(pair.source), config);
      await past.close();
      await way.mend();
      await hear(course, ['before', 'lost with the durable']);
    } finally {
      await pair.close();
      pair = { close: async () => undefined } as Pair;
      await way.close();
    }
  });

  it('by deleting a durable is noticed and mended within seconds', async () => {
    await start();
    const manager = await managerOf(await pair.nats.connected);
    await pair.sayUnheard(course, 'lost with the durable');
    await manager.consumers.delete(streamOf(pair.source), pair.durable(course));
    await hear(course, ['before', 'lost with the durable']);
    await pair.say(course, 'after');
    await hear(course, ['before', 'lost with the durable', 'after']);
  });

  const itWithNats = hasOwn.nats ? it : it.skip;
  itWithNats(
    'by removing its files under a living server (needs a nats-server here) is noticed and mended',
    async () => {
      const server = await startOwnNats();
      try {
        await start({ natsUrl: server.url });
        rmSync(join(server.dir, 'jetstream'), { recursive: true });
        // The server goes on with files that have no name any more, until it needs a new one.
        const words = Array.from({ length: 40 }, (_, n) => `${n} ${'x'.repeat(300_000)}`);
        let sawTrouble = false;
        const watching = setInterval(() => (sawTrouble ||= !pair.relay.isWell() || !pair.consumer.isFollowing()), 20);
        for (const word of words) await pair.say(course, word);
        await hear(course, ['before', ...words]);
        clearInterval(watching);
        expect(sawTrouble).toBe(true);
        await server.kill();
        await pair.say(course, 'while it was away');
        await server.start();
        await hear(course, ['before', ...words, 'while it was away']);
      } finally {
        await pair.close();
        pair = { close: async () => undefined } as Pair;
        await server.remove();
      }
    },
  );
});
