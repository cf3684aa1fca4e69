/** A fact, as a service's domain makes it: type, course, and its message of coursewright.events.v1 as proto3 JSON. */
export interface NewEvent {
  /** Past tense, kebab-case: "committed", "branch-created". */
  readonly type: string;
  readonly courseId: string;
  readonly at: Date;
  readonly data: Readonly<Record<string, unknown>>;
  /** The trace of the request it came from; that of the transaction unless given (transactions may serve several requests). */
  readonly traceparent?: string;
}

/** An event as consumers get it. */
export interface Event extends NewEvent {
  readonly id: string;
  /** The service that says it. */
  readonly source: string;
  /** Counts the events of this source and course from 1, without gaps. */
  readonly seq: number;
  /** Renewed by a restore from backup. */
  readonly epoch: string;
}
