/** One request of a client and what came of it. Times are milliseconds of the clock of the suite, which only goes on. */
export interface Attempt {
  readonly begin: number;
  readonly end: number;
  /** Null when no answer came, or none that could be read. */
  readonly status: number | null;
  readonly reason: string;
  /** Seconds; null when the answer has none. */
  readonly retryAfter: number | null;
}

/** What a client knows of its write when it turns to the next: a 2xx, a refusal for good, or neither. */
export type Outcome = 'acknowledged' | 'refused' | 'unknown';

export type WriteKind = 'save' | 'add' | 'rename' | 'move' | 'branch';

/** A write as the client that made it saw it. Its id is the message of its commit, so that a log names the writes that are in it. */
export interface Write {
  readonly id: string;
  readonly kind: WriteKind;
  readonly course: string;
  /** Empty: the default branch. Of a branch that is made, its own name. */
  readonly branch: string;
  /** What is changed; of an added node its parent. */
  readonly node: string;
  /** Of a move: where to. */
  readonly parent?: string;
  /** Of an added node: whether something can be handed in there. */
  readonly isAssignment?: boolean;
  /** The part of `If-Match` that the owner compares. */
  readonly ifMatch?: string;
  /** Sent again under one key until it was answered for good. */
  readonly isKeyed: boolean;
  readonly attempts: readonly Attempt[];
  readonly outcome: Outcome;
  readonly commit: string | null;
  /** The same part of the answer's ETag as `ifMatch` is of the request's. */
  readonly etag: string | null;
  /** Of an added node: its id. */
  readonly made: string | null;
}

/** A lesson as somebody read it: `saved` is the id of the save whose text it has, empty for what was there at the beginning. */
export interface Read {
  readonly course: string;
  readonly branch: string;
  readonly node: string;
  readonly begin: number;
  readonly end: number;
  readonly saved: string;
}

/** An import as the client that asked for it saw it. */
export interface ImportRun {
  readonly id: string;
  readonly attempts: readonly Attempt[];
  readonly outcome: Outcome;
  readonly importId: string | null;
}

/** A commit as the history of a branch shows it. */
export interface LogEntry {
  readonly hash: string;
  readonly parents: readonly string[];
  readonly message: string;
}

/** The history of a branch, oldest first. */
export interface Log {
  readonly course: string;
  readonly branch: string;
  readonly entries: readonly LogEntry[];
}

export type ViolationKind =
  | 'lost'
  | 'doubled'
  | 'reordered'
  | 'stale'
  | 'overwritten'
  | 'shared'
  | 'forked'
  | 'resurrected'
  | 'wrong'
  | 'late'
  | 'answer';

/** A promise that was broken, with enough to find it again. */
export interface Violation {
  readonly kind: ViolationKind;
  readonly what: string;
}

/** When the first request of a write went out. */
export function beginOf(write: Pick<Write, 'attempts'>): number {
  return write.attempts[0]!.begin;
}

/** When a write was acknowledged; never, unless it was. */
export function endOf(write: Pick<Write, 'attempts' | 'outcome'>): number {
  return write.outcome === 'acknowledged' ? write.attempts.at(-1)!.end : Infinity;
}
