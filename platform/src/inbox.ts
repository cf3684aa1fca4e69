import type {
  EventSourceServiceDefinition,
  StoredEvent,
} from '@coursewright/proto/coursewright/common/v1/event_source';
import { AppError, isTransient } from './errors.js';
import type { Event } from './event.js';
import { EffectError, InboxEffects, type CourseState, type InboxRow, type Outcome } from './inbox-effects.js';
import { Patience, patiencePausesMs } from './patience.js';
import type { RpcClient } from './rpc-client.js';
import type { DatabaseOf, TxSql } from './sql.js';
import type { Subscription } from './subscription.js';

/** What became of asking a source for what a course lacks; `unknown`: the source has no such course and no events of it. */
export type CaughtUp = 'level' | 'moved' | 'parked' | 'unknown';

export interface CourseFailure {
  readonly courseId: string;
  readonly reason: string;
}

/** What a round over all courses did. Courses in `failed` do not hold up the others; they are as they were. */
export interface Round {
  /** Courses that were caught up, or rebuilt. */
  readonly done: number;
  readonly failed: readonly CourseFailure[];
}

/** What became of a parked course that was tried again. */
export type Replayed = { readonly replayed: true } | { readonly replayed: false; readonly reason: string };

/** Makes events take effect exactly once and in order per course, whatever the broker delivers. */
export interface Inbox {
  /** All in one transaction; an outcome for each event. Throws EffectError when they are refused: then none has had an effect. */
  apply(events: readonly Event[]): Promise<Outcome[]>;
  /** Fetches from the source what a course lacks, until nothing is missing. What is refused too often is buried; before that it throws. */
  catchUp(courseId: string): Promise<CaughtUp>;
  /** Compares every course, or those that are ours, with the source's watermarks and catches up where behind. Throws when the source does not answer at all. */
  catchUpAll(isOurs?: (courseId: string) => boolean): Promise<Round>;
  /** Notes that an event was refused. True when that was once too often: then it is buried and its course parked. False as well when nobody knows which of several it was. */
  refused(error: EffectError): Promise<boolean>;
  /** Keeps an event that cannot take effect, and parks its course: no other is disturbed. */
  bury(event: Event, reason: string): Promise<void>;
  /** Tries the events of a parked course again. It stays parked, its dead letter open, until the first of them takes effect. */
  replay(courseId: string): Promise<Replayed>;
  /** Makes every course what the source's state says, one transaction each: what is there stays until it is replaced. */
  rebuild(): Promise<Round>;
}

/** The inbox of one consumer for one source. */
export function createInbox<S extends TxSql>(
  database: DatabaseOf<S>,
  subscription: Subscription<S>,
  source: EventSource,
): Inbox {
  return new CourseInbox(new InboxEffects(database, subscription), source);
}

/** Where the truth behind a source's events is asked for. */
export interface EventSource {
  readonly client: RpcClient<EventSourceServiceDefinition>;
  readonly token: () => Promise<string>;
}

/** So many courses in a row that meet a dead source or a dead database end a round: the rest would only wait for the same. */
const deadInARow = 5;
const triesAtARebuild = 3;
const unknownCourse = 'the source has no such course';

interface Mark {
  readonly courseId: string;
  readonly seq: number;
  readonly epoch: string;
}

class CourseInbox<S extends TxSql> implements Inbox {
  private readonly patience = new Patience();

  constructor(
    private readonly effects: InboxEffects<S>,
    private readonly source: EventSource,
  ) {}

  apply(events: readonly Event[]): Promise<Outcome[]> {
    return this.effects.apply(events);
  }

  async catchUp(courseId: string, epoch?: string): Promise<CaughtUp> {
    try {
      const result = await this.fetchAndApply(courseId, epoch);
      this.patience.forget(courseId);
      return result;
    } catch (error) {
      if (error instanceof EffectError && (await this.refused(error))) return 'parked';
      throw error;
    }
  }

  /** Asking stands outside of what may be held against an event: only EffectError tells of the event itself. */
  private async fetchAndApply(courseId: string, epoch: string | undefined): Promise<CaughtUp> {
    let before: string | undefined;
    for (let isFirst = true; ; isFirst = false) {
      const [row] = await this.effects.look([courseId]);
      if (row?.parked) return 'parked';
      const missing = await this.missing(courseId, row, isFirst ? epoch : undefined);
      if (missing !== 'state' && missing.length === 0) return isFirst ? 'level' : 'moved';
      const place = `${row?.epoch} ${row?.seq}`;
      if (place === before) throw new AppError('internal', 'INTERNAL', {}, { message: 'the source leaves out events' });
      before = place;
      if (missing === 'state') {
        const given = await this.stateOf(courseId);
        if (given === undefined) return 'unknown';
        await this.effects.takeState(courseId, given);
      } else await this.take(missing);
    }
  }

  /** The next events of a course, or `state` when they are no longer kept or of another epoch. */
  private async missing(courseId: string, row: InboxRow | undefined, epoch?: string): Promise<'state' | Event[]> {
    if (row !== undefined && epoch !== undefined && row.epoch !== epoch) return 'state';
    const seq = row?.seq ?? 0;
    const answer = await this.source.client.eventsSince(
      { courseId, afterSeq: seq },
      { token: await this.source.token() },
    );
    const isOtherEpoch = seq > 0 && answer.events[0] !== undefined && answer.events[0].epoch !== row?.epoch;
    if (answer.expired || isOtherEpoch) return 'state';
    return answer.events.map((event) => fromStored(this.effects.source, event));
  }

  private async stateOf(courseId: string): Promise<CourseState | undefined> {
    try {
      const answer = await this.source.client.getState({ courseId }, { token: await this.source.token() });
      return { seq: answer.seq, epoch: answer.epoch, state: answer.state ?? {} };
    } catch (error) {
      if (error instanceof AppError && error.kind === 'not_found') return undefined;
      throw error;
    }
  }

  /** Applies fetched events of one course together, else one by one up to the one that is refused. */
  private async take(events: readonly Event[]): Promise<void> {
    try {
      await this.effects.apply(events);
    } catch (error) {
      if (!(error instanceof EffectError && error.isRefusal)) throw error;
      for (const event of events) await this.effects.apply([event]);
    }
  }

  async refused(error: EffectError): Promise<boolean> {
    const { event, isRefusal, reason } = error;
    if (event === undefined || !isRefusal || !this.patience.isOver(event.courseId, event.seq)) return false;
    await this.effects.bury(event, reason);
    this.patience.forget(event.courseId);
    return true;
  }

  async catchUpAll(isOurs: (courseId: string) => boolean = () => true): Promise<Round> {
    const round = new RoundOf((mark) => this.catchUp(mark.courseId, mark.epoch));
    for await (const page of this.pages()) {
      const ours = page.marks.filter((mark) => isOurs(mark.courseId));
      const rows = await this.effects.look(ours.map((mark) => mark.courseId));
      const known = new Map(rows.map((row) => [row.course_id, row]));
      const isBehind = (mark: Mark): boolean => {
        const row = known.get(mark.courseId);
        return row === undefined ? mark.seq > 0 : !row.parked && (row.epoch !== mark.epoch || row.seq < mark.seq);
      };
      for (const mark of ours.filter(isBehind)) await round.take(mark);
    }
    await round.takeRefusedAgain();
    return round;
  }

  async bury(event: Event, reason: string): Promise<void> {
    await this.effects.bury(event, reason);
  }

  async replay(courseId: string): Promise<Replayed> {
    const no = (reason: string): Replayed => ({ replayed: false, reason });
    try {
      const [row] = await this.effects.look([courseId]);
      if (!row?.parked) return no('the course is not parked');
      const missing = await this.missing(courseId, row);
      if (missing === 'state') {
        if (!(await this.takeOver({ courseId, seq: 0, epoch: row.epoch }))) return no(unknownCourse);
      } else if (missing.length === 0) await this.effects.releaseLevel(courseId);
      else await this.effects.release(missing[0]!);
      const round = new RoundOf((mark) => this.catchUp(mark.courseId));
      await round.take({ courseId, seq: 0, epoch: '' });
      await round.takeRefusedAgain();
      const [after] = await this.effects.look([courseId]);
      if (after?.parked) return no(after.reason ?? '');
      return round.failed[0] === undefined ? { replayed: true } : no(round.failed[0].reason);
    } catch (error) {
      return no(reasonOf(error));
    }
  }

  async rebuild(): Promise<Round> {
    const round = new RoundOf(async (mark) => {
      if (!(await this.takeOver(mark))) await this.effects.remove(mark.courseId, mark.epoch);
      // What came while the course was parked, or between its state and now, is behind the state.
      await this.catchUp(mark.courseId);
      return 'moved';
    });
    let after = '';
    for await (const { marks, epoch, to } of this.pages()) {
      for (const mark of marks) await round.take(mark);
      // Courses that are known here and not at the source are gone there.
      const others = await this.effects.others({ after, to, among: marks.map((mark) => mark.courseId) });
      for (const courseId of others) await round.take({ courseId, seq: 0, epoch });
      after = to;
    }
    return round;
  }

  /** Replaces a course by its source's state; by nothing when it has events and no state. False when it is told of no events either. */
  private async takeOver(mark: Mark): Promise<boolean> {
    for (let tries = 0; tries < triesAtARebuild; tries += 1) {
      const given = await this.stateOf(mark.courseId);
      if (given === undefined && mark.seq === 0) return false;
      const [row] = given === undefined ? await this.effects.look([mark.courseId]) : [];
      const seq = Math.max(mark.seq, row?.epoch === mark.epoch ? row.seq : 0);
      if (await this.effects.replaceBy(mark.courseId, given ?? { ...mark, seq, state: {} })) return true;
    }
    throw new AppError('conflict', 'IN_PROGRESS', {}, { message: 'the course changes faster than it can be rebuilt' });
  }

  /** The watermarks of all courses, a page at a time; `to` is the last course of a page, empty on the last page. */
  private async *pages(): AsyncGenerator<{ marks: Mark[]; epoch: string; to: string }> {
    for (let cursor = ''; ;) {
      const page = await this.source.client.watermarks({ cursor }, { token: await this.source.token() });
      const { epoch, next } = page;
      yield { marks: page.watermarks.map(({ courseId, seq }) => ({ courseId, seq, epoch })), epoch, to: next };
      if (next === '') return;
      cursor = next;
    }
  }
}

/** Does one thing with many courses; what fails with one is noted, and the others go on. */
class RoundOf implements Round {
  done = 0;
  private readonly failures = new Map<string, { readonly mark: Mark; readonly error: unknown }>();
  private dead = 0;

  constructor(private readonly work: (mark: Mark) => Promise<CaughtUp>) {}

  get failed(): readonly CourseFailure[] {
    return [...this.failures].map(([courseId, { error }]) => ({ courseId, reason: reasonOf(error) }));
  }

  async take(mark: Mark): Promise<void> {
    try {
      const result = await this.work(mark);
      this.failures.delete(mark.courseId);
      if (result === 'moved') this.done += 1;
      if (result === 'unknown') this.failures.set(mark.courseId, { mark, error: unknownCourse });
      this.dead = 0;
    } catch (error) {
      this.failures.set(mark.courseId, { mark, error });
      this.dead = isDead(error) ? this.dead + 1 : 0;
      if (this.dead >= deadInARow) throw error;
    }
  }

  /** Tries what was refused again, with pauses, until it takes effect or is buried. */
  async takeRefusedAgain(): Promise<void> {
    for (const pause of patiencePausesMs) {
      const refused = [...this.failures.values()].filter(
        ({ error }) => error instanceof EffectError && error.isRefusal,
      );
      if (refused.length === 0) return;
      await new Promise((resolve) => setTimeout(resolve, pause + 10));
      for (const { mark } of refused) await this.take(mark);
    }
  }
}

const isDead = (error: unknown): boolean => (error instanceof EffectError ? !error.isRefusal : isTransient(error));

const reasonOf = (error: unknown): string => (error instanceof EffectError ? error.reason : String(error));

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
