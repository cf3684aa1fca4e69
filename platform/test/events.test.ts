import { afterEach, describe, expect, it } from '@jest/globals';

import { newId } from '@coursewright/platform/ids';
import type { Event } from '@coursewright/platform/event';
import { headers } from '@nats-io/transport-node';
import { registry } from '@coursewright/platform/metrics';
import { ensureStream, managerOf, streamOf } from '@coursewright/platform/nats';
import { createOutbox, eventSourceService } from '@coursewright/platform/outbox';
import { createLinger, readEvent } from '../src/consume-batch.js';
import { isFull, publishBatch, takeBatch, unsentText } from '../src/relay-batch.js';
import { eventually } from '@coursewright/platform/testing/eventually';
import { hasOwn, startOwnNats } from './support/own-servers.js';
import { Pair } from './support/pair.js';

const poison = ({ data }: { data: Readonly<Record<string, unknown>> }): void => {
  if (data['poison'] === true) throw new Error('poison');
};

describe('events', () => {
  let pair: Pair;
  const open = async (): Promise<Pair> => (pair = await new Pair().open());
  const course = newId();
  afterEach(() => pair.close());

  it('take effect once and in order per course, also when every one is published again', async () => {
    await open();
    const courses = Array.from({ length: 5 }, () => newId());
    await pair.relay.start();
    await pair.consumer.start();
    for (let n = 0; n < 20; n += 1) await Promise.all(courses.map((id) => pair.say(id, `w${n}`)));
    const expected = Array.from({ length: 20 }, (_, n) => `w${n}`);
    await eventually(async () => {
      for (const id of courses) expect(await pair.heard(id)).toEqual(expected);
    });
    // New ids defeat the broker's own memory of what it has seen: only the inbox stands between these and a second effect.
    await pair.sourceDb.pool.query('UPDATE outbox SET sent_at = NULL, event_id = gen_random_uuid()');
    await eventually(async () => {
      const { rows } = await pair.sourceDb.pool.query('SELECT 1 FROM outbox WHERE sent_at IS NULL');
      expect(rows).toHaveLength(0);
    });
    await pair.say(courses[0]!, 'last');
    await eventually(async () => expect(await pair.heard(courses[0]!)).toEqual([...expected, 'last']));
  });

  it('are written with their transaction or not at all', async () => {
    await open();
    const failed = pair.sourceDb.tx(async (sql) => {
      await pair.outbox.enqueue(sql, [{ type: 'said', courseId: course, at: new Date(), data: { what: 'never' } }]);
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    await pair.say(course, 'first');
    await pair.relay.start();
    await pair.consumer.start();
    await eventually(async () => expect(await pair.heard(course)).toEqual(['first']));
  });

  it('of a transaction that commits late are not stepped over', async () => {
    await open();
    await pair.relay.start();
    await pair.consumer.start();
    const slow = newId();
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const late = pair.sourceDb.tx(async (sql) => {
      await pair.outbox.enqueue(sql, [{ type: 'said', courseId: slow, at: new Date(), data: { what: 'late' } }]);
      await released;
    });
    await pair.say(course, 'early');
    await eventually(async () => expect(await pair.heard(course)).toEqual(['early']));
    release();
    await late;
    await eventually(async () => expect(await pair.heard(slow)).toEqual(['late']));
  });

  it('that waited for long are no longer told to wait once they are sent', async () => {
    await open();
    const at = new Date(Date.now() - 60_000);
    await pair.sourceDb.tx((sql) =>
      pair.outbox.enqueue(sql, [{ type: 'said', courseId: course, at, data: { what: 'old' } }]),
    );
    await pair.relay.start();
    await pair.consumer.start();
    await eventually(async () => expect(await pair.heard(course)).toEqual(['old']));
    await eventually(async () =>
      expect(await registry.getSingleMetricAsString('outbox_oldest_age_seconds')).toMatch(/seconds(\{.*\})? 0$/m),
    );
  });

  it('are taken from the outbox up to so many, or so many bytes, and one that is larger alone', async () => {
    await open();
    const sizes = async (): Promise<number[]> =>
      (await takeBatch(pair.sourceDb.pool)).map(({ data }) => String(data['text']).length);
    const say = (bytes: number, times: number): Promise<void> =>
      pair.sourceDb.tx((sql) =>
        pair.outbox.enqueue(
          sql,
          Array.from({ length: times }, () => ({
            type: 'said',
            courseId: course,
            at: new Date(),
            data: { text: 'x'.repeat(bytes) },
          })),
        ),
      );
    const sent = () => pair.sourceDb.pool.query('UPDATE outbox SET sent_at = now() WHERE sent_at IS NULL');
    expect(await sizes()).toEqual([]);
    await say(5_000_000, 2);
    expect(await sizes()).toEqual([5_000_000]);
    await sent();
    await say(1_000_000, 8);
    expect(await sizes()).toHaveLength(5);
    await sent();
    await say(1, 600);
    const batch = await takeBatch(pair.sourceDb.pool);
    expect(batch.map(({ seq }) => seq)).toEqual(Array.from({ length: 500 }, (_, n) => n + 11));
    expect(isFull(batch)).toBe(true);
  });

  it('are sent no further by a process that holds the lease no more, and their marks are left as another set them', async () => {
    await open();
    for (const what of ['one', 'two', 'three']) await pair.say(course, what);
    const { pool } = pair.sourceDb;
    const batch = await takeBatch(pool);
    const connection = await pair.nats.connected;
    await ensureStream(connection, pair.source);
    await pool.query(`UPDATE outbox SET sent_at = '2000-01-01' WHERE seq = 1`);
    let asked = 0;
    const sent = await publishBatch(pool, batch, { connection, source: pair.source, isHeld: () => (asked += 1) <= 2 });
    expect(sent).toEqual({ sent: 2 });
    const { rows } = await pool.query<{ year: string }>(
      `SELECT coalesce(extract(year FROM sent_at)::text, 'waits') AS year FROM outbox ORDER BY seq`,
    );
    expect(rows.map(({ year }) => year)).toEqual(['2000', String(new Date().getFullYear()), 'waits']);
  });

  it('that wait are found by an index, in a database that is new as in one that has kept much', async () => {
    await open();
    const { pool } = pair.sourceDb;
    const plan = async (): Promise<string> =>
      (await pool.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${unsentText}`)).rows
        .map((row) => row['QUERY PLAN'])
        .join('\n');
    expect(await plan()).not.toMatch(/Seq Scan on outbox/);
    await pool.query(
      `INSERT INTO outbox (event_id, course_id, seq, type, data, occurred_at, sent_at)
         SELECT gen_random_uuid(), gen_random_uuid(), n, 'x', '{}', now(), now() FROM generate_series(1, 20000) AS n`,
    );
    expect(await plan()).not.toMatch(/Seq Scan on outbox/);
    await pool.query('ANALYZE outbox');
    expect(await plan()).not.toMatch(/Seq Scan on outbox/);
  });

  (hasOwn.nats ? it : it.skip)(
    'go on within some seconds of a restart of the server, which has forgotten who reads (needs a nats-server here)',
    async () => {
      const server = await startOwnNats();
      try {
        pair = await new Pair().open({ natsUrl: server.url });
        await pair.relay.start();
        await pair.consumer.start();
        await pair.say(course, 'before');
        await eventually(async () => expect(await pair.heard(course)).toEqual(['before']));
        await server.kill();
        await pair.say(course, 'while it was away');
        await server.start();
        await eventually(async () => expect(await pair.heard(course)).toEqual(['before', 'while it was away']), 6_000);
        await eventually(() => expect(pair.consumer.isFollowing()).toBe(true), 6_000);
        await pair.say(course, 'after');
        await eventually(async () => expect(await pair.heard(course)).toHaveLength(3), 2_000);
        // Until the loss of the durable shows, the source's watermarks may bring events in its place.
        await eventually(async () => {
          const manager = await managerOf(await pair.nats.connected);
          const { config } = await manager.consumers.info(streamOf(pair.source), pair.durable(course));
          expect(config.mem_storage).toBe(true);
        }, 6_000);
      } finally {
        await pair.close();
        pair = { close: async () => undefined } as Pair;
        await server.remove();
      }
    },
    30_000,
  );

  it('that never reached the broker are fetched from the source at the next one', async () => {
    await open();
    await pair.say(course, 'a');
    await pair.say(course, 'lost');
    await pair.sourceDb.pool.query('UPDATE outbox SET sent_at = now() WHERE seq = 2');
    await pair.say(course, 'c');
    await pair.relay.start();
    await pair.consumer.start();
    await eventually(async () => expect(await pair.heard(course)).toEqual(['a', 'lost', 'c']));
  });

  it('come by gRPC alone when the last one never reached the broker', async () => {
    await open();
    await pair.say(course, 'only');
    await pair.sourceDb.pool.query('UPDATE outbox SET sent_at = now()');
    expect(await pair.inbox.catchUpAll()).toMatchObject({ done: 1, failed: [] });
    expect(await pair.heard(course)).toEqual(['only']);
    expect(await pair.inbox.catchUpAll()).toMatchObject({ done: 0, failed: [] });
  });

  it('survive the loss of the whole stream', async () => {
    await open();
    await pair.relay.start();
    await pair.consumer.start();
    await pair.say(course, 'before');
    await eventually(async () => expect(await pair.heard(course)).toEqual(['before']));
    await (await managerOf(await pair.nats.connected)).streams.delete(streamOf(pair.source));
    await pair.say(course, 'after');
    await eventually(async () => expect(await pair.heard(course)).toEqual(['before', 'after']), 20_000);
    await pair.say(course, 'again');
    await eventually(async () => expect(await pair.heard(course)).toEqual(['before', 'after', 'again']), 20_000);
  });

  it('that cannot take effect park their course and no other, until replayed', async () => {
    await open();
    const other = newId();
    pair.beforeEffect = poison;
    await pair.say(course, 'good');
    await pair.say(course, 'bad', { poison: true });
    await pair.say(course, 'behind');
    await pair.say(other, 'free');
    await pair.relay.start();
    await pair.consumer.start();
    await eventually(async () => expect(await pair.heard(other)).toEqual(['free']));
    await eventually(async () => expect(await pair.letters()).toEqual([{ type: 'said', seq: 2 }]), 20_000);
    expect(await pair.heard(course)).toEqual(['good']);
    // The cause is mended at the source; the course goes on where it stood.
    await pair.sourceDb.pool.query(`UPDATE outbox SET data = '{"what": "mended"}' WHERE seq = 2`);
    expect(await pair.inbox.replay(course)).toEqual({ replayed: true });
    expect(await pair.heard(course)).toEqual(['good', 'mended', 'behind']);
    expect(await pair.letters()).toEqual([]);
  });

  it('without effect move their course on as others do, and only from exactly where it stands', async () => {
    await open();
    const [busy, calm, late, parked] = [newId(), newId(), newId(), newId()];
    const event = (courseId: string, seq: number, more: { idle?: true; type?: string; epoch?: string } = {}): Event => {
      const { idle = false, type = 'said', epoch = 'e' } = more;
      const data = { what: `${seq}`, idle };
      return { id: newId(), source: pair.source, type, courseId, seq, epoch, at: new Date(), data };
    };
    const idle = { idle: true } as const;
    const others = { type: 'unheard-of' };
    await pair.inbox.apply([busy, calm, late, parked].map((id) => event(id, 1)));
    await pair.inbox.bury(event(parked, 2), 'poison');
    const mixed = [
      event(busy, 2, idle),
      event(calm, 2, idle),
      event(late, 3, idle),
      event(busy, 3),
      event(parked, 3, idle),
      event(calm, 3, others),
    ];
    expect(await pair.inbox.apply(mixed)).toEqual(['applied', 'applied', 'gap', 'applied', 'parked', 'applied']);
    expect(await pair.inbox.apply(mixed)).toEqual([
      ...['duplicate', 'duplicate', 'gap', 'duplicate', 'parked', 'duplicate'],
    ]);
    // Two in a row with a gap between, another epoch, one that is here already beside one that follows.
    expect(await pair.inbox.apply([event(calm, 4, idle), event(calm, 6, idle)])).toEqual(['applied', 'gap']);
    expect(await pair.inbox.apply([event(busy, 4, { ...idle, epoch: 'restored' })])).toEqual(['gap']);
    expect(await pair.inbox.apply([event(busy, 3, idle), event(busy, 4, idle)])).toEqual(['duplicate', 'applied']);
    expect(await pair.heard(busy)).toEqual(['1', '3']);
    expect(await pair.heard(calm)).toEqual(['1']);
    const { rows } = await pair.ownDb.pool.query(
      'SELECT course_id AS id, seq, epoch, event_id IS NOT NULL AS named FROM inbox ORDER BY array_position($1, course_id)',
      [[busy, calm, late, parked]],
    );
    expect(rows.map(({ id, seq, epoch, named }) => [id, seq, epoch, named])).toEqual([
      [busy, 4, 'e', true],
      [calm, 4, 'e', true],
      [late, 1, 'e', true],
      [parked, 1, 'e', true],
    ]);
  });

  it('without effect that come at two places at once move a course on once', async () => {
    await open();
    const courses = Array.from({ length: 30 }, newId);
    const said = (courseId: string, seq: number, idle: boolean): Event => ({
      ...{ id: newId(), source: pair.source, type: 'said', courseId, seq, epoch: 'e', at: new Date() },
      data: { what: `${seq}`, idle },
    });
    await pair.inbox.apply(courses.map((id) => said(id, 1, false)));
    const batches = Array.from({ length: 8 }, (_, n) => {
      const order = n % 2 === 0 ? courses : [...courses].reverse();
      return order.map((id) => said(id, 2, n < 6));
    });
    const outcomes = (await Promise.all(batches.map((batch) => pair.inbox.apply(batch)))).flat();
    expect(outcomes.filter((outcome) => outcome === 'applied')).toHaveLength(courses.length);
    expect(outcomes.filter((outcome) => outcome === 'duplicate')).toHaveLength(7 * courses.length);
  });

  it('are buried once, however often their burial is asked for, and not at all once they have taken effect', async () => {
    await open();
    await pair.say(course, 'done');
    await pair.inbox.catchUpAll();
    const event = {
      id: newId(),
      source: pair.source,
      type: 'said',
      courseId: course,
      seq: 2,
      at: new Date(),
      data: {},
    };
    const { rows: epochs } = await pair.ownDb.pool.query<{ epoch: string }>('SELECT epoch FROM inbox');
    const epoch = epochs[0]!.epoch;
    await pair.inbox.bury({ ...event, seq: 1, epoch }, 'too late');
    await Promise.all([1, 2, 3].map(() => pair.inbox.bury({ ...event, epoch }, 'poison')));
    const { rows } = await pair.ownDb.pool.query<{ seq: number; reason: string }>(
      'SELECT seq, reason FROM dead_letter',
    );
    expect(rows).toEqual([{ seq: 2, reason: 'poison' }]);
  });

  it('that are no longer kept are replaced by the state of their course', async () => {
    await open();
    for (const what of ['a', 'b', 'c']) await pair.say(course, what);
    await pair.sourceDb.pool.query('DELETE FROM outbox WHERE seq < 3');
    await pair.inbox.catchUpAll();
    expect(await pair.heard(course)).toEqual(['state']);
    await pair.say(course, 'd');
    await pair.inbox.catchUpAll();
    expect(await pair.heard(course)).toEqual(['state', 'd']);
  });

  it('of a new epoch bring the state first', async () => {
    await open();
    await pair.say(course, 'a');
    await pair.inbox.catchUpAll();
    // A restore: the counters start over under another epoch.
    await pair.sourceDb.pool.query(`UPDATE meta SET value = 'restored' WHERE name = 'epoch'`);
    await pair.inbox.catchUpAll();
    expect(await pair.heard(course)).toEqual(['state']);
    const { rows } = await pair.ownDb.pool.query<{ epoch: string }>('SELECT epoch FROM inbox');
    expect(rows).toEqual([{ epoch: 'restored' }]);
  });

  it('are in the state of their course up to its number, whatever happens while it is read', async () => {
    await open();
    await pair.say(course, 'one');
    const count = { name: 't_said', text: 'SELECT count(*)::int AS said FROM outbox WHERE course_id = $1::uuid' };
    const source = eventSourceService(
      pair.sourceDb,
      async (sql) => {
        await pair.say(course, 'two');
        return (await sql.rows<{ said: number }>(count, [course]))[0];
      },
      ['own'],
    );
    const getState = source.handlers['getState'] as (request: { courseId: string }) => Promise<unknown>;
    expect(await getState({ courseId: course })).toMatchObject({ seq: 1, state: { said: 1 } });
  });

  it('are published by one replica at a time, and by the next one when that stops', async () => {
    await open();
    const second = pair.newRelay();
    await pair.relay.start();
    await second.start();
    await pair.consumer.start();
    const holders = async (): Promise<string[]> => {
      const { rows } = await pair.sourceDb.pool.query<{ name: string }>(
        `SELECT r.name FROM lease l JOIN replica r ON r.id = l.replica WHERE l.name LIKE 'relay %'`,
      );
      return rows.map(({ name }) => name);
    };
    await pair.say(course, 'one');
    await eventually(async () => expect(await pair.heard(course)).toEqual(['one']));
    const [first] = await holders();
    expect(await holders()).toEqual([first]);
    await (first === 'replica-0' ? pair.relay : second).stop();
    await pair.say(course, 'taken over');
    await eventually(async () => expect(await pair.heard(course)).toEqual(['one', 'taken over']));
    expect(await holders()).not.toEqual([first]);
    await second.stop();
  });

  it('that another replica wrote than the one that publishes are published at once', async () => {
    await open();
    const other = createOutbox();
    const second = pair.newRelay(pair.sourceDb.pool, other);
    await pair.relay.start();
    await second.start();
    await pair.say(course, 'first');
    const sentAt = async (): Promise<number[]> => {
      const { rows } = await pair.sourceDb.pool.query<{ ms: number | null }>(
        `SELECT extract(epoch FROM sent_at - occurred_at)::float8 * 1000 AS ms FROM outbox ORDER BY id`,
      );
      return rows.map(({ ms }) => ms ?? Infinity);
    };
    await eventually(async () => expect(Math.max(...(await sentAt()))).toBeLessThan(Infinity));
    const enqueue = (outbox: typeof other, what: string) =>
      pair.sourceDb.tx((sql) =>
        outbox.enqueue(sql, [{ type: 'said', courseId: course, at: new Date(), data: { what } }]),
      );
    for (let n = 0; n < 20; n += 1) {
      await enqueue(other, `other ${n}`);
      await enqueue(pair.outbox, `own ${n}`);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    await eventually(async () => expect(Math.max(...(await sentAt()))).toBeLessThan(Infinity));
    // A heartbeat of 100 ms would find them too: half of them later than 50 ms.
    const late = (await sentAt()).slice(1).filter((ms) => ms > 45);
    expect(late.length).toBeLessThan(8);
    await second.stop();
  });
});

describe('the pause between batches of a consumer', () => {
  it('is short with time to spare and long without it, whatever a batch that did nothing took', () => {
    const lingerAfter = createLinger();
    expect([4, 4, 8, 16, 400].map(lingerAfter)).toEqual([10, 10, 32, 100, 100].map((ms) => expect.closeTo(ms, 0)));
    expect(lingerAfter(0.01)).toBe(10);
    expect(lingerAfter(4)).toBeLessThan(17);
  });
});

describe('a message on the subject of a source', () => {
  const message = (more: Readonly<Record<string, string>>, partition?: string, id = newId()) => {
    const head = headers();
    const attributes = {
      'ce-id': newId(),
      'ce-source': '/coursewright/versioning',
      'ce-courseseq': '1',
      'ce-time': '2026-11-25T12:00:00.000Z',
      'ce-epoch': 'e',
      ...more,
    };
    for (const [name, value] of Object.entries(attributes)) head.set(name, value);
    const subject = `cw.v1.versioning.published.${partition ?? id.slice(-1)}.${id}`;
    return { headers: head, subject, string: () => '{"commit":"x"}' };
  };

  it('is an event as the source has published it', () => {
    expect(readEvent('versioning', message({}))).toMatchObject({ type: 'published', seq: 1, data: { commit: 'x' } });
  });

  it('is none when the server says that it was copied there, or when it names another source', () => {
    // As a service could have its own stream republish what it says under the subjects of another.
    expect(readEvent('versioning', message({ 'Nats-Stream': 'CW_CATALOG' }))).toBeUndefined();
    expect(readEvent('versioning', message({ 'ce-source': '/coursewright/catalog' }))).toBeUndefined();
    expect(readEvent('versioning', message({}, 'x'))).toBeUndefined();
  });

  it.each([
    ['its own', message({ 'ce-id': 'one' })],
    ['its own, which is missing', message({ 'ce-id': '' })],
    ['its course', message({}, 'e', 'course')],
    ['its course, as nobody here writes it', message({}, 'A', newId().slice(0, -1) + 'A')],
  ])('is none when an id is no id: %s', (_whose, wrong) => {
    expect(readEvent('versioning', wrong)).toBeUndefined();
  });
});
