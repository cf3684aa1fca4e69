import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { EventSourceServiceDefinition } from '@coursewright/proto/coursewright/common/v1/event_source';
import { createConsumer, type EventConsumer } from '@coursewright/platform/consume';
import { durableOf } from '@coursewright/platform/durables';
import type { Event } from '@coursewright/platform/event';
import { createInbox, type EventSource, type Inbox } from '@coursewright/platform/inbox';
import { createTokenMinter, createTokenVerifier } from '@coursewright/platform/internal-token';
import { createLogger } from '@coursewright/platform/logger';
import { createLeases, type Leases } from '@coursewright/platform/leases';
import { managerOf, openNats, streamOf, type Nats } from '@coursewright/platform/nats';
import { createOutbox, eventSourceService, type Outbox } from '@coursewright/platform/outbox';
import { partitionOf } from '@coursewright/platform/partitions';
import { createRelay, type Relay } from '@coursewright/platform/relay';
import { openChannel } from '@coursewright/platform/rpc-client';
import { createRpcServer } from '@coursewright/platform/rpc-server';
import { openDatabase, type PgDatabase, type TxSql } from '@coursewright/platform/sql';
import type { Subscription } from '@coursewright/platform/subscription';
import { createTestKeys } from '@coursewright/platform/testing/keys';
import type pg from 'pg';
import { createTestDatabase, testServers, type TestDatabase } from '@coursewright/platform/testing/servers';

export const logger = createLogger('test', 'silent');
export const commonSql = readFileSync(new URL('../../sql/common.sql', import.meta.url), 'utf8');
const effects = `CREATE TABLE effect (course_id uuid, seq bigint, what text, PRIMARY KEY (course_id, seq))`;
const insertEffect = { name: 'effect', text: 'INSERT INTO effect VALUES ($1::uuid, $2::bigint, $3::text)' };
const clearEffects = { name: 'effect_clear', text: 'DELETE FROM effect WHERE course_id = $1::uuid' };

export interface Letter {
  readonly type: string;
  readonly seq: number;
}

/** A source and a consumer with a database each, joined by NATS and gRPC as two services are. */
export class Pair {
  readonly source = `t${randomBytes(4).toString('hex')}`;
  readonly outbox: Outbox = createOutbox();
  /** What the source answers for its state: `{from: 'state'}` unless set; undefined: it has no such course. */
  readonly states = new Map<string, Record<string, unknown> | undefined>();
  /** Called before the source is asked; what it throws is what the asker gets. */
  beforeAsking: (method: string, courseId: string) => unknown = () => undefined;
  /** Called before an event or a state takes effect; what it throws is what the handler throws. */
  beforeEffect: (event: Pick<Event, 'courseId' | 'data' | 'type'>) => unknown = () => undefined;
  private readonly leases: Leases[] = [];
  private readonly closers: (() => Promise<unknown>)[] = [];
  sourceDb!: PgDatabase;
  ownDb!: PgDatabase;
  eventSource!: EventSource;
  inbox!: Inbox;
  nats!: Nats;
  relay!: Relay;
  consumer!: EventConsumer;

  async open(options: { natsUrl?: string } = {}): Promise<this> {
    const keys = await createTestKeys(['own']);
    const minter = await createTokenMinter(keys.private['own']!);
    const databases = await Promise.all([createTestDatabase('source'), createTestDatabase('own')]);
    [this.sourceDb, this.ownDb] = databases.map((database: TestDatabase) => openDatabase({ url: database.url })) as [
      PgDatabase,
      PgDatabase,
    ];
    for (const database of [this.sourceDb, this.ownDb]) await database.pool.query(commonSql);
    await this.ownDb.pool.query(effects);
    const server = createRpcServer({
      host: '127.0.0.1',
      port: 0,
      services: [eventSourceService(this.sourceDb, async (_sql, courseId) => this.stateOf(courseId), ['own'])],
      verifier: createTokenVerifier(keys.public),
      logger,
    });
    const channel = openChannel(this.source, `127.0.0.1:${await server.start()}`);
    const client = channel.client(EventSourceServiceDefinition);
    const asked = new Proxy(client, {
      get: (target, method: keyof typeof client) => async (request: { courseId?: string }, options: object) => {
        await this.beforeAsking(method, request.courseId ?? '');
        return (target[method] as (request: object, options: object) => Promise<unknown>)(request, options);
      },
    });
    this.eventSource = { client: asked, token: () => minter.mintOwn() };
    this.inbox = createInbox(this.ownDb, this.subscription(), this.eventSource);
    this.nats = openNats(options.natsUrl ?? testServers().nats, 'test', logger);
    this.relay = this.newRelay();
    const { inbox, nats, source } = this;
    const leases = this.newLeases(this.ownDb.pool);
    this.consumer = createConsumer({ consumer: 'own', source, inbox, nats, leases, logger });
    this.closers.push(
      () => this.consumer.stop(),
      () => this.relay.stop(),
      () => Promise.all(this.leases.map((one) => one.stop())),
      async () => (await managerOf(await nats.connected)).streams.delete(streamOf(source)).catch(() => undefined),
      () => nats.close(),
      async () => channel.close(),
      () => server.stop(0),
      () => this.sourceDb.close(),
      () => this.ownDb.close(),
      () => Promise.all(databases.map((database) => database.drop())),
    );
    return this;
  }

  newRelay(pool = this.sourceDb.pool, outbox = this.outbox): Relay {
    const leases = this.newLeases(pool);
    return createRelay({ source: this.source, pool, outbox, nats: this.nats, leases, logger });
  }

  /** The durable that a course's events come by. */
  durable(courseId: string): string {
    return durableOf({ consumer: 'own', source: this.source }, partitionOf(courseId));
  }

  /** Leases of another replica; asked of their database from the first moment that somebody can have asked something. */
  private newLeases(pool: pg.Pool): Leases {
    const leases = createLeases({ pool, replica: `replica-${this.leases.length}`, logger, everyMs: 100, ttlMs: 1_000 });
    this.leases.push(leases);
    setImmediate(() => void leases.start());
    return leases;
  }

  say(courseId: string, what: string, more: object = {}): Promise<void> {
    return this.sourceDb.tx((sql) =>
      this.outbox.enqueue(sql, [{ type: 'said', courseId, at: new Date(), data: { what, ...more } }]),
    );
  }

  /** Says it so that the broker never hears of it. */
  async sayUnheard(courseId: string, what: string, more: object = {}): Promise<void> {
    await this.sourceDb.tx(async (sql) => {
      await this.outbox.enqueue(sql, [{ type: 'said', courseId, at: new Date(), data: { what, ...more } }]);
      const sent = {
        name: 'sent',
        text: 'UPDATE outbox SET sent_at = now() WHERE course_id = $1::uuid AND sent_at IS NULL',
      };
      await sql.rows(sent, [courseId]);
    });
  }

  /** What became of a course here, in order. */
  async heard(courseId: string): Promise<string[]> {
    const { rows } = await this.ownDb.pool.query<{ what: string }>(
      'SELECT what FROM effect WHERE course_id = $1 ORDER BY seq',
      [courseId],
    );
    return rows.map((row) => row.what);
  }

  /** Dead letters that are not resolved. */
  async letters(): Promise<Letter[]> {
    const { rows } = await this.ownDb.pool.query<Letter>(
      'SELECT type, seq FROM dead_letter WHERE resolved_at IS NULL ORDER BY created_at',
    );
    return rows;
  }

  async isParked(courseId: string): Promise<boolean> {
    const { rows } = await this.ownDb.pool.query<{ parked: boolean }>(
      'SELECT parked_at IS NOT NULL AS parked FROM inbox WHERE course_id = $1',
      [courseId],
    );
    return rows[0]?.parked ?? false;
  }

  async close(): Promise<void> {
    for (const close of this.closers) await close();
  }

  private stateOf(courseId: string): Record<string, unknown> | undefined {
    return this.states.has(courseId) ? this.states.get(courseId) : { from: 'state' };
  }

  private subscription(): Subscription<TxSql> {
    return {
      source: this.source,
      types: ['said'],
      isIdle: ({ data }) => data['idle'] === true,
      apply: async (sql, courses) => {
        for (const event of courses.flatMap(({ events }) => events)) {
          await this.beforeEffect(event);
          await sql.rows(insertEffect, [event.courseId, event.seq, event.data['what']]);
        }
      },
      applyState: async (sql, courseId, data) => {
        await this.beforeEffect({ courseId, data, type: 'state' });
        await sql.rows(clearEffects, [courseId]);
        if (data['from'] !== undefined) await sql.rows(insertEffect, [courseId, 0, data['from']]);
      },
    };
  }
}
