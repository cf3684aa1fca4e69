import type {
  EventSourceServiceDefinition,
  GetStateResponse,
  StoredEvent,
} from '@coursewright/proto/coursewright/common/v1/event_source';
import { AppError, isTransient } from './errors.js';
import type { Event } from './event.js';
import { newId } from './ids.js';
import { inboxStatements as statements } from './inbox-statements.js';
import type { RpcClient } from './rpc-client.js';
import { sqlState, type Database, type Sql, type TxSql } from './sql.js';

/** What an event does here, in the transaction that also records that it did. */
export type EventHandler<S extends TxSql> = (sql: S, event: Event) => Promise<void>;

export interface Subscription<S extends TxSql> {
  /** The service whose events these are. */
  readonly source: string;
  /** By event type; types without a handler are stepped over. */
  readonly handlers: Readonly<Record<string, EventHandler<S>>>;
  /** Makes the projection of one course what the source's state says; used when events are no longer kept, and to rebuild. */
  readonly applyState: (sql: S, courseId: string, state: Record<string, unknown>) => Promise<void>;
  /** Called after effects have committed, with the courses they were on: drop caches here. */
  readonly afterEffects?: (courseIds: readonly string[]) => void;
}

/** The port with transactions of type S, as both adapters offer it. */
export type DatabaseOf<S extends TxSql> = Omit<Database, 'tx'> & { tx<T>(work: (sql: S) => Promise<T>): Promise<T> };

export type Outcome = 'applied' | 'duplicate' | 'gap' | 'parked';

interface InboxRow {
  readonly course_id: string;
  readonly seq: number;
  readonly epoch: string;
  readonly parked: boolean;
}

/** Makes events take effect exactly once and in order per course, whatever the broker delivers. */
export interface Inbox {
  /** All in one transaction; an outcome for each event. Events of a parked course or behind a gap have no effect. */
  apply(events: readonly Event[]): Promise<Outcome[]>;
  /** Fetches from the source what a course lacks, until nothing is missing. Resolves to whether anything took effect. */
  catchUp(courseId: string): Promise<boolean>;
  /** Compares every course with the source's watermarks and catches up where behind. Resolves to the number of courses that were. */
  catchUpAll(): Promise<number>;
  /** Keeps an event that cannot take effect, and parks its course: no other is disturbed. */
  bury(event: Event, reason: string): Promise<void>;
  /** Takes a course out of its parking place and tries its events again. */
  replay(courseId: string): Promise<void>;
  /** Forgets, in the caller's transaction, how far this source had come. */
  forget(sql: Sql): Promise<void>;
}

/** The inbox of one consumer for one source. */
export function createInbox<S extends TxSql>(
  database: DatabaseOf<S>,
  subscription: Subscription<S>,
  source: EventSource,
): Inbox {
  return new CourseInbox(database, subscription, source);
}

/** Where the truth behind a source's events is asked for. */
export interface EventSource {
  readonly client: RpcClient<EventSourceServiceDefinition>;
  readonly token: () => Promise<string>;
}

class CourseInbox<S extends TxSql> implements Inbox {
  private readonly name: string;

  constructor(
    private readonly database: DatabaseOf<S>,
    private readonly subscription: Subscription<S>,
    private readonly source: EventSource,
  ) {
    this.name = subscription.source;
  }

  async apply(events: readonly Event[]): Promise<Outcome[]> {
    if (events.length === 0) return [];
    const touched = new Set<string>();
    const outcomes = await this.database.tx(async (sql) => {
      const courses = [...new Set(events.map((event) => event.courseId))];
      let locked = await sql.rows<InboxRow>(statements.lock, [this.name, courses]);
      if (locked.length < courses.length) {
        await sql.rows(statements.open, [this.name, courses, events[0]!.epoch]);
        locked = await sql.rows<InboxRow>(statements.lock, [this.name, courses]);
      }
      const rows = new Map(locked.map((row) => [row.course_id, { ...row, event: '' }]));
      const results: Outcome[] = [];
      for (const event of events) {
        const row = rows.get(event.courseId)!;
        const outcome = judge(row, event);
        if (outcome === 'applied') {
          await this.subscription.handlers[event.type]?.(sql, event);
          // A course that has had no event yet takes the epoch of its first.
          Object.assign(row, { seq: event.seq, event: event.id, epoch: event.epoch });
          touched.add(event.courseId);
        }
        results.push(outcome);
      }
      const moved = [...rows.values()].filter((row) => row.event !== '');
      if (moved.length > 0) {
        const ids = moved.map((row) => row.course_id);
        const seqs = moved.map((row) => row.seq);
        const eventIds = moved.map((row) => row.event);
        const epochs = moved.map((row) => row.epoch);
        await sql.rows(statements.advanceMany, [this.name, ids, seqs, eventIds, epochs]);
      }
      return results;
    });
    if (touched.size > 0) this.subscription.afterEffects?.([...touched]);
    return outcomes;
  }

  async catchUp(courseId: string): Promise<boolean> {
    for (let moved = false; ; moved = true) {
      const row = await this.look(courseId);
      if (row?.parked) return moved;
      const token = await this.source.token();
      const answer = await this.source.client.eventsSince({ courseId, afterSeq: row?.seq ?? 0 }, { token });
      const otherEpoch =
        row !== undefined && row.seq > 0 && answer.events[0] !== undefined && answer.events[0].epoch !== row.epoch;
      if (answer.expired || otherEpoch) await this.takeState(courseId, row?.seq ?? 0);
      else if (answer.events.length === 0) return moved;
      else await this.take(answer.events.map((event) => fromStored(this.name, event)));
    }
  }

  /** Applies fetched events of one course; one that is itself to blame is buried, so that no other course waits for it. */
  private async take(events: readonly Event[]): Promise<void> {
    try {
      await this.apply(events);
    } catch (error) {
      if (!isPoison(error)) throw error;
      for (const event of events) {
        const failure = await this.apply([event]).then(
          () => undefined,
          (cause: unknown) => ({ cause }),
        );
        if (failure === undefined) continue;
        if (!isPoison(failure.cause)) throw failure.cause;
        return this.bury(event, String(failure.cause));
      }
    }
  }

  async catchUpAll(): Promise<number> {
    let behind = 0;
    for (let cursor = ''; ;) {
      const page = await this.source.client.watermarks({ cursor }, { token: await this.source.token() });
      const courses = page.watermarks.map((mark) => mark.courseId);
      const known = new Map(
        (await this.database.rows<InboxRow>(statements.look, [this.name, courses])).map((row) => [row.course_id, row]),
      );
      for (const mark of page.watermarks) {
        const row = known.get(mark.courseId);
        if (row?.parked) continue;
        if (row !== undefined && row.epoch !== page.epoch) {
          await this.takeState(mark.courseId, row.seq);
          behind += 1;
        } else if ((row?.seq ?? 0) < mark.seq && (await this.catchUp(mark.courseId))) behind += 1;
      }
      if (page.next === '') return behind;
      cursor = page.next;
    }
  }

  async bury(event: Event, reason: string): Promise<void> {
    await this.database.tx(async (sql) => {
      await sql.rows(statements.open, [this.name, [event.courseId], event.epoch]);
      const [row] = await sql.rows<InboxRow>(statements.lock, [this.name, [event.courseId]]);
      // The stream and a catch-up may bring one event to its end at the same time.
      const isSettled = row!.parked || (row!.epoch === event.epoch && row!.seq >= event.seq && event.type !== 'state');
      if (isSettled) return;
      await sql.rows(statements.park, [this.name, event.courseId, reason]);
      await sql.rows(statements.dead, [
        newId(),
        this.name,
        event.courseId,
        event.seq,
        event.type,
        JSON.stringify(event.data),
        reason,
      ]);
    });
  }

  async replay(courseId: string): Promise<void> {
    await this.database.rows(statements.unpark, [this.name, courseId]);
    await this.catchUp(courseId);
    await this.database.rows(statements.resolve, [this.name, courseId]);
  }

  async forget(sql: Sql): Promise<void> {
    await sql.rows(statements.forget, [this.name]);
  }

  private async look(courseId: string): Promise<InboxRow | undefined> {
    const [row] = await this.database.rows<InboxRow>(statements.look, [this.name, [courseId]]);
    return row;
  }

  /** Takes the source's state; one that cannot take effect parks its course like an event. What fails at the source is thrown. */
  private async takeState(courseId: string, seq: number): Promise<void> {
    const answer = await this.source.client.getState({ courseId }, { token: await this.source.token() });
    try {
      await this.applyState(courseId, answer);
    } catch (error) {
      if (!isPoison(error)) throw error;
      const data = answer.state ?? {};
      const state = {
        id: newId(),
        source: this.name,
        type: 'state',
        courseId,
        seq,
        epoch: answer.epoch,
        at: new Date(),
        data,
      };
      await this.bury(state, String(error));
    }
  }

  private async applyState(courseId: string, answer: GetStateResponse): Promise<void> {
    await this.database.tx(async (sql) => {
      await sql.rows(statements.open, [this.name, [courseId], answer.epoch]);
      const [row] = await sql.rows<InboxRow>(statements.lock, [this.name, [courseId]]);
      if (row!.epoch === answer.epoch && row!.seq >= answer.seq && answer.seq > 0) return;
      await this.subscription.applyState(sql, courseId, answer.state ?? {});
      await sql.rows(statements.advance, [this.name, courseId, answer.seq, null, answer.epoch]);
    });
    this.subscription.afterEffects?.([courseId]);
  }
}

function judge(row: InboxRow, event: Event): Outcome {
  if (row.parked) return 'parked';
  if (row.seq > 0 && row.epoch !== event.epoch) return 'gap';
  if (event.seq <= row.seq) return 'duplicate';
  return event.seq === row.seq + 1 ? 'applied' : 'gap';
}

function fromStored(source: string, stored: StoredEvent): Event {
  return {
    id: stored.id,
    source,
    type: stored.type,
    courseId: stored.courseId,
    seq: stored.seq,
    epoch: stored.epoch,
    at: stored.time ?? new Date(0),
    data: stored.data ?? {},
    ...(stored.traceparent ? { traceparent: stored.traceparent } : {}),
  };
}

/** True when the event itself is to blame, so that another try would fail as well. */
export function isPoison(error: unknown): boolean {
  if (error instanceof AppError) return !isTransient(error) && error.kind !== 'conflict';
  return !passingStates.has(sqlState(error)?.slice(0, 2) ?? '');
}

// SQLSTATE classes: connection, deadlock or serialization, resources, locks, cancelled by an operator or a timeout.
const passingStates = new Set(['08', '40', '53', '55', '57']);
