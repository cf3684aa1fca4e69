import type { Event } from './event.js';
import { newId } from './ids.js';
import { inboxStatements as statements } from './inbox-statements.js';
import { isPassing, type DatabaseOf, type TxSql } from './sql.js';
import type { CourseEvents, Subscription } from './subscription.js';

export type Outcome = 'applied' | 'duplicate' | 'gap' | 'parked';

/** How far a course has come here. */
export interface InboxRow {
  readonly course_id: string;
  readonly seq: number;
  readonly epoch: string;
  readonly parked: boolean;
  readonly reason: string | null;
}

/** The state of a course at its source, as of an event. */
export interface CourseState {
  readonly seq: number;
  readonly epoch: string;
  /** Empty when the source has no such course. */
  readonly state: Readonly<Record<string, unknown>>;
}

/** Thrown when events could not take effect. Everything else that is thrown here is never an event's fault. */
export class EffectError extends Error {
  override readonly name = 'EffectError';
  /** The event that had no effect; undefined when they were several, each of which has to be tried by itself. */
  readonly event: Event | undefined;
  /** An event itself may be to blame: it would be refused again. */
  readonly isRefusal: boolean;

  constructor(events: readonly Event[], cause: unknown) {
    super(`no effect of ${[...new Set(events.map(({ source, type }) => `${source}.${type}`))].join(', ')}`, { cause });
    this.event = events.length === 1 ? events[0] : undefined;
    this.isRefusal = !isPassing(cause);
  }

  get reason(): string {
    return String(this.cause);
  }
}

/** Writes effects together with how far they have come, one transaction each time. Asks nobody. */
export class InboxEffects<S extends TxSql> {
  readonly source: string;

  constructor(
    private readonly database: DatabaseOf<S>,
    private readonly subscription: Subscription<S>,
  ) {
    this.source = subscription.source;
  }

  /**
   * Applies events in one transaction; an outcome for each. Events of a parked course or behind a gap have no effect.
   * Throws EffectError when they are refused: then none has had one. Courses that bring only events without any are let go on ahead, by one
   * statement for all of them: most saves say nothing that most services want to know.
   */
  async apply(events: readonly Event[]): Promise<Outcome[]> {
    const passed = await this.stepOver(events);
    const left = passed.size === 0 ? events : events.filter(({ courseId }) => !passed.has(courseId));
    const results = (left.length === 0 ? [] : await this.applyTogether(left)).values();
    return events.map(({ courseId }) => (passed.has(courseId) ? 'applied' : results.next().value!));
  }

  /** The courses that were exactly where their events go on from. What is not goes the long way, which says why. */
  private async stepOver(events: readonly Event[]): Promise<ReadonlySet<string>> {
    const runs = idleRuns(events, (event) => this.isIdle(event));
    if (runs.length === 0) return new Set();
    const columns = [
      runs.map(({ first }) => first.courseId),
      runs.map(({ first }) => first.seq - 1),
      runs.map(({ last }) => last.seq),
      runs.map(({ last }) => last.id),
      runs.map(({ last }) => last.epoch),
    ];
    const rows = await this.database.rows<{ course_id: string }>(statements.stepOver, [this.source, ...columns]);
    return new Set(rows.map((row) => row.course_id));
  }

  /** What cannot even be read is not idle: it will be refused, which parks its course and holds up no other. */
  private isIdle(event: Event): boolean {
    const { types, isIdle } = this.subscription;
    if (!types.includes(event.type)) return true;
    try {
      return isIdle?.(event) === true;
    } catch {
      return false;
    }
  }

  private applyTogether(events: readonly Event[]): Promise<Outcome[]> {
    return this.database.tx(async (sql) => {
      const courses = [...new Set(events.map((event) => event.courseId))];
      let locked = await sql.rows<InboxRow>(statements.lock, [this.source, courses]);
      if (locked.length < courses.length) {
        await sql.rows(statements.open, [this.source, courses, events[0]!.epoch]);
        locked = await sql.rows<InboxRow>(statements.lock, [this.source, courses]);
      }
      const rows = new Map(locked.map((row) => [row.course_id, { ...row, event: '' }]));
      const results = events.map((event) => {
        const row = rows.get(event.courseId)!;
        const outcome = judge(row, event);
        // A course that has had no event yet takes the epoch of its first.
        if (outcome === 'applied') Object.assign(row, { seq: event.seq, event: event.id, epoch: event.epoch });
        return outcome;
      });
      await this.takeEffect(
        sql,
        events.filter((_event, n) => results[n] === 'applied'),
      );
      const moved = [...rows.values()].filter((row) => row.event !== '');
      if (moved.length > 0) {
        const columns = (['course_id', 'seq', 'event', 'epoch'] as const).map((name) => moved.map((row) => row[name]));
        await sql.rows(statements.advanceMany, [this.source, ...columns]);
      }
      return results;
    });
  }

  /** The next event of a parked course: when it takes effect, the course goes on and its dead letter is resolved in that transaction. */
  release(event: Event): Promise<void> {
    return this.database.tx(async (sql) => {
      const row = await this.lockOne(sql, event.courseId, event.epoch);
      if (row.parked && judge({ ...row, parked: false }, event) === 'applied') {
        await this.takeEffect(sql, [event]);
        await sql.rows(statements.advance, [this.source, event.courseId, event.seq, event.id, event.epoch]);
        await this.unpark(sql, event.courseId, event.seq);
      }
    });
  }

  /** Lets a parked course go on when its source has nothing more for it. */
  releaseLevel(courseId: string): Promise<void> {
    return this.database.tx((sql) => this.unpark(sql, courseId, null));
  }

  /** Takes a state in place of events that are no longer kept. */
  takeState(courseId: string, given: CourseState): Promise<void> {
    return this.database.tx(async (sql) => {
      const row = await this.lockOne(sql, courseId, given.epoch);
      if (row.parked || (row.epoch === given.epoch && row.seq >= given.seq && given.seq > 0)) return;
      await this.become(sql, courseId, { row, given });
    });
  }

  /**
   * Makes a course what a state says whatever is here, a parked one too, and resolves its dead letters: they are part of the state.
   * False when more has taken effect here meanwhile than the state knows of: then nothing is done.
   */
  replaceBy(courseId: string, given: CourseState): Promise<boolean> {
    return this.database.tx(async (sql) => {
      const row = await this.lockOne(sql, courseId, given.epoch);
      if (row.epoch === given.epoch && row.seq > given.seq) return false;
      await this.become(sql, courseId, { row, given });
      await this.unpark(sql, courseId, null);
      return true;
    });
  }

  /** Makes a course what it is without the source ever having had it. */
  remove(courseId: string, epoch: string): Promise<void> {
    return this.database.tx(async (sql) => {
      const row = await this.lockOne(sql, courseId, epoch);
      await this.become(sql, courseId, { row, given: { seq: 0, epoch, state: {} } });
      await this.unpark(sql, courseId, null);
      await sql.rows(statements.remove, [this.source, courseId]);
    });
  }

  /** Keeps an event that cannot take effect, and parks its course. False when it has taken effect or is kept already. */
  bury(event: Event, reason: string): Promise<boolean> {
    return this.database.tx(async (sql) => {
      const row = await this.lockOne(sql, event.courseId, event.epoch);
      // The stream and a catch-up may bring one event to its end at the same time.
      const isSettled = row.parked || (row.epoch === event.epoch && row.seq >= event.seq && event.type !== 'state');
      if (isSettled) return false;
      await sql.rows(statements.park, [this.source, event.courseId, reason]);
      const { courseId, seq, type, data } = event;
      await sql.rows(statements.dead, [newId(), this.source, courseId, seq, type, JSON.stringify(data), reason]);
      return true;
    });
  }

  look(courses: readonly string[]): Promise<InboxRow[]> {
    return this.database.rows<InboxRow>(statements.look, [this.source, courses]);
  }

  /** Courses known here between two ids (the upper one empty: to the end) that are not among these. */
  async others(range: { after: string; to: string; among: readonly string[] }): Promise<string[]> {
    const values = [this.source, range.after || firstId, range.to || lastId, range.among];
    return (await this.database.rows<{ course_id: string }>(statements.others, values)).map((row) => row.course_id);
  }

  private async takeEffect(sql: S, events: readonly Event[]): Promise<void> {
    const effective = events.filter((event) => !this.isIdle(event));
    if (effective.length === 0) return;
    try {
      await this.subscription.apply(sql, byCourse(effective));
    } catch (error) {
      throw new EffectError(effective, error);
    }
  }

  private async become(sql: S, courseId: string, change: { row: InboxRow; given: CourseState }): Promise<void> {
    const { row, given } = change;
    try {
      await this.subscription.applyState(sql, courseId, given.state);
    } catch (error) {
      const { epoch, state: data } = given;
      const event = { id: newId(), source: this.source, type: 'state', courseId, seq: row.seq, epoch, at: new Date() };
      throw new EffectError([{ ...event, data }], error);
    }
    await sql.rows(statements.advance, [this.source, courseId, given.seq, null, given.epoch]);
  }

  private async unpark(sql: S, courseId: string, upTo: number | null): Promise<void> {
    await sql.rows(statements.unpark, [this.source, courseId]);
    await sql.rows(statements.resolve, [this.source, courseId, upTo]);
  }

  private async lockOne(sql: S, courseId: string, epoch: string): Promise<InboxRow> {
    await sql.rows(statements.open, [this.source, [courseId], epoch]);
    const [row] = await sql.rows<InboxRow>(statements.lock, [this.source, [courseId]]);
    return row!;
  }
}

const firstId = '00000000-0000-0000-0000-000000000000';
const lastId = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

function byCourse(events: readonly Event[]): CourseEvents[] {
  const courses = new Map<string, Event[]>();
  for (const event of events) {
    const own = courses.get(event.courseId);
    if (own === undefined) courses.set(event.courseId, [event]);
    else own.push(event);
  }
  return [...courses].map(([courseId, own]) => ({ courseId, events: own }));
}

interface Run {
  readonly first: Event;
  readonly last: Event;
}

/** Of each course whose events are all idle and follow each other, the first and the last. The very first of a course opens its row, in a transaction. */
function idleRuns(events: readonly Event[], isIdle: (event: Event) => boolean): Run[] {
  const runs = new Map<string, Run | undefined>();
  for (const event of events) {
    const run = runs.get(event.courseId);
    const follows = run !== undefined && event.seq === run.last.seq + 1 && event.epoch === run.last.epoch;
    const begins = !runs.has(event.courseId) && event.seq > 1;
    const fits = (follows || begins) && isIdle(event);
    runs.set(event.courseId, fits ? { first: run?.first ?? event, last: event } : undefined);
  }
  return [...runs.values()].filter((run) => run !== undefined);
}

function judge(row: InboxRow, event: Event): Outcome {
  if (row.parked) return 'parked';
  if (row.seq > 0 && row.epoch !== event.epoch) return 'gap';
  if (event.seq <= row.seq) return 'duplicate';
  return event.seq === row.seq + 1 ? 'applied' : 'gap';
}
