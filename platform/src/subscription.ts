import type { Event } from './event.js';
import type { TxSql } from './sql.js';

/** Events of one course, in their order. */
export interface CourseEvents {
  readonly courseId: string;
  readonly events: readonly Event[];
}

/** What the events of one source do here. */
export interface Subscription<S extends TxSql> {
  /** The service whose events these are. */
  readonly source: string;
  /** The types of event that may do something; others are stepped over. */
  readonly types: readonly string[];
  /**
   * True when the event alone, whatever is here, says that it has no effect: it is stepped over, and needs no transaction. Left out, every
   * event of these types has one.
   */
  readonly isIdle?: (event: Event) => boolean;
  /**
   * What events do, in the transaction that also records that they did. All courses of a batch come together, each once, so that one
   * statement can serve all of them.
   */
  readonly apply: (sql: S, courses: readonly CourseEvents[]) => Promise<void>;
  /**
   * Makes the projection of one course what the source's state says; used when events are no longer kept, and to rebuild.
   * An empty state says that the source has no such course.
   */
  readonly applyState: (sql: S, courseId: string, state: Record<string, unknown>) => Promise<void>;
}
