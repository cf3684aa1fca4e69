import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { EventSourceServiceDefinition } from '@coursewright/proto/coursewright/common/v1/event_source';
import type pg from 'pg';
import { createConsumer, type EventConsumer } from '@coursewright/platform/consume';
import type { Event } from '@coursewright/platform/event';
import { newId } from '@coursewright/platform/ids';
import { createInbox, type Inbox } from '@coursewright/platform/inbox';
import { createTokenMinter, createTokenVerifier, type TokenMinter } from '@coursewright/platform/internal-token';
import { createLogger } from '@coursewright/platform/logger';
import { managerOf, openNats, streamOf, type Nats } from '@coursewright/platform/nats';
import { createOutbox, eventSourceService, type Outbox } from '@coursewright/platform/outbox';
import { createRelay, type Relay } from '@coursewright/platform/relay';
import { openChannel, type Channel } from '@coursewright/platform/rpc-client';
import { createRpcServer, type RpcServer } from '@coursewright/platform/rpc-server';
import { openDatabase, type PgDatabase, type TxSql } from '@coursewright/platform/sql';
import { eventually } from '@coursewright/platform/testing/eventually';
import { createTestKeys } from '@coursewright/platform/testing/keys';
import { createTestDatabase, testServers, type TestDatabase } from '@coursewright/platform/testing/servers';

const logger = createLogger('test', 'silent');
const commonSql = readFileSync(new URL('../sql/common.sql', import.meta.url), 'utf8');
const effects = `CREATE TABLE effect (course_id uuid, seq bigint, what text, PRIMARY KEY (course_id, seq))`;
const insertEffect = { name: 'effect', text: 'INSERT INTO effect VALUES ($1::uuid, $2::bigint, $3::text)' };

/** A source and a consumer with a database each, joined by NATS and gRPC as two services are. */
class Pair {
  readonly source = `t${randomBytes(4).toString('hex')}`;
  readonly outbox: Outbox = createOutbox();
  poisoned = new Set<string>();
  private readonly closers: (() => Promise<unknown>)[] = [];
  sourceDb!: PgDatabase;
  ownDb!: PgDatabase;
  inbox!: Inbox;
  nats!: Nats;
  relay!: Relay;
  consumer!: EventConsumer;

  async open(keys: {
    minter: TokenMinter;
    server: (served: Parameters<typeof createRpcServer>[0]['services']) => RpcServer;
  }): Promise<this> {
    const databases = await Promise.all([createTestDatabase('source'), createTestDatabase('own')]);
    [this.sourceDb, this.ownDb] = databases.map((database: TestDatabase) => openDatabase({ url: database.url })) as [
      PgDatabase,
      PgDatabase,
    ];
    for (const database of [this.sourceDb, this.ownDb]) await database.pool.query(commonSql);
    await this.ownDb.pool.query(effects);
    const state = async (): Promise<Record<string, unknown>> => ({ from: 'state' });
    const server = keys.server([eventSourceService(this.sourceDb, state, ['own'])]);
    const channel: Channel = openChannel(this.source, `127.0.0.1:${await server.start()}`);
    const effect = async (sql: TxSql, event: Event): Promise<void> => {
      if (this.poisoned.has(event.id) || event.data['poison'] === true) throw new Error('poison');
      await sql.rows(insertEffect, [event.courseId, event.seq, event.data['what']]);
    };
    const subscription = {
      source: this.source,
      handlers: { said: effect },
      applyState: async (sql: TxSql, courseId: string, value: Record<string, unknown>) => {
        await sql.rows(insertEffect, [courseId, 0, value['from']]);
      },
    };
    const client = channel.client(EventSourceServiceDefinition);
    this.inbox = createInbox(this.ownDb, subscription, { client, token: () => keys.minter.mintOwn() });
    this.nats = openNats(testServers().nats, 'test', logger);
    this.relay = createRelay({
      source: this.source,
      pool: this.sourceDb.pool,
      outbox: this.outbox,
      nats: this.nats,
      logger,
    });
    this.consumer = createConsumer({
      consumer: 'own',
      source: this.source,
      inbox: this.inbox,
      nats: this.nats,
      logger,
    });
    this.closers.push(
      () => this.consumer.stop(),
      () => this.relay.stop(),
      async () =>
        (await managerOf(await this.nats.connected)).streams.delete(streamOf(this.source)).catch(() => undefined),
      () => this.nats.close(),
      async () => channel.close(),
      () => server.stop(0),
      () => this.sourceDb.close(),
      () => this.ownDb.close(),
      () => Promise.all(databases.map((database) => database.drop())),
    );
    return this;
  }

  say(courseId: string, what: string, more: object = {}): Promise<void> {
    return this.sourceDb.tx((sql) =>
      this.outbox.enqueue(sql, [{ type: 'said', courseId, at: new Date(), data: { what, ...more } }]),
    );
  }

  async heard(courseId: string): Promise<string[]> {
    const { rows } = await this.ownDb.pool.query<{ what: string }>(
      'SELECT what FROM effect WHERE course_id = $1 ORDER BY seq',
      [courseId],
    );
    return rows.map((row) => row.what);
  }

  async close(): Promise<void> {
    for (const close of this.closers) await close();
  }
}

describe('events', () => {
  let minter: TokenMinter;
  let pair: Pair;
  let verifier: ReturnType<typeof createTokenVerifier>;
  const server = (services: Parameters<typeof createRpcServer>[0]['services']): RpcServer =>
    createRpcServer({ host: '127.0.0.1', port: 0, services, verifier, logger });
  const open = async (): Promise<Pair> => (pair = await new Pair().open({ minter, server }));
  const course = newId();

  beforeAll(async () => {
    const keys = await createTestKeys(['own']);
    minter = await createTokenMinter(keys.private['own']!);
    verifier = createTokenVerifier(keys.public);
  });
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
    expect(await pair.inbox.catchUpAll()).toBe(1);
    expect(await pair.heard(course)).toEqual(['only']);
    expect(await pair.inbox.catchUpAll()).toBe(0);
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
    await pair.say(course, 'good');
    await pair.say(course, 'bad', { poison: true });
    await pair.say(course, 'behind');
    await pair.say(other, 'free');
    await pair.relay.start();
    await pair.consumer.start();
    await eventually(async () => expect(await pair.heard(other)).toEqual(['free']));
    await eventually(async () => {
      const { rows } = await pair.ownDb.pool.query<{ type: string; seq: number }>(
        'SELECT type, seq FROM dead_letter WHERE resolved_at IS NULL',
      );
      expect(rows).toEqual([{ type: 'said', seq: 2 }]);
    }, 20_000);
    expect(await pair.heard(course)).toEqual(['good']);
    // The cause is mended at the source; the course goes on where it stood.
    await pair.sourceDb.pool.query(`UPDATE outbox SET data = '{"what": "mended"}' WHERE seq = 2`);
    await pair.inbox.replay(course);
    expect(await pair.heard(course)).toEqual(['good', 'mended', 'behind']);
    const { rows } = await pair.ownDb.pool.query('SELECT 1 FROM dead_letter WHERE resolved_at IS NULL');
    expect(rows).toHaveLength(0);
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
    expect(await pair.heard(course)).toEqual(['state', 'a']);
    const { rows } = await pair.ownDb.pool.query<{ epoch: string }>('SELECT epoch FROM inbox');
    expect(rows).toEqual([{ epoch: 'restored' }]);
  });

  it('wait for a relay that holds the lock alone', async () => {
    await open();
    const second = createRelay({
      source: pair.source,
      pool: pair.sourceDb.pool,
      outbox: pair.outbox,
      nats: pair.nats,
      logger,
    });
    await pair.relay.start();
    await second.start();
    const locks = async (): Promise<number> => {
      const { rows } = await pair.sourceDb.pool.query<pg.QueryResultRow>(
        `SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database WHERE locktype = 'advisory' AND granted AND d.datname = current_database()`,
      );
      return rows.length;
    };
    await eventually(async () => expect(await locks()).toBe(1));
    await pair.relay.stop();
    await pair.say(course, 'taken over');
    await pair.consumer.start();
    await eventually(async () => expect(await pair.heard(course)).toEqual(['taken over']));
    await second.stop();
  });
});
