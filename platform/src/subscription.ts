import type { Event } from './event.js';
import type { TxSql } from './sql.js';

/** What an event does here, in the transaction that also records that it did. */
export type EventHandler<S extends TxSql> = (sql: S, event: Event) => Promise<void>;

/** What the events of one source do here. */
export interface Subscription<S extends TxSql> {
  /** The service whose events these are. */
  readonly source: string;
  /** By event type; types without a handler are stepped over. */
  readonly handlers: Readonly<Record<string, EventHandler<S>>>;
  /**
   * True when the event alone, whatever is here, says that it has no effect: it is stepped over, and needs no transaction. Left out, every
   * event with a handler has one.
   */
  readonly isIdle?: (event: Event) => boolean;
  /**
   * Makes the projection of one course what the source's state says; used when events are no longer kept, and to rebuild.
   * An empty state says that the source has no such course.
   */
  readonly applyState: (sql: S, courseId: string, state: Record<string, unknown>) => Promise<void>;
}
