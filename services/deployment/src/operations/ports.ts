import type { Logger } from '@coursewright/platform/logger';
import type { Sql, TxSql } from '@coursewright/platform/sql';
import type { Content } from '../domain/content.js';

/** The contents of courses, and which courses have to be listed anew. */
export interface Contents<Tx extends TxSql> {
  put(tx: Tx, contents: readonly Content[]): Promise<void>;
  /** Marks nodes of a course as removed; rows are kept. */
  markRemoved(tx: Tx, removed: { courseId: string; nodeIds: readonly string[]; at: Date }): Promise<void>;
  /** Makes the contents of a course exactly these. */
  replace(tx: Tx, all: { courseId: string; contents: readonly Content[]; at: Date }): Promise<void>;
  /** Present contents in order of their id, after the given one. */
  list(sql: Sql, page: { courseId: string; after: string | undefined; limit: number }): Promise<Content[]>;
}

/** A course whose contents are to be listed anew at a commit; an empty commit means the present head. */
export interface SyncJob {
  readonly courseId: string;
  readonly commit: string;
  readonly attempts: number;
  readonly requestedAt: Date;
}

/** The courses that wait for being listed anew. */
export interface SyncJobs<Tx extends TxSql> {
  /** Makes a course wait, or moves its aim to a newer commit. */
  request(tx: Tx, job: Omit<SyncJob, 'attempts'>): Promise<void>;
  /** Moves the aim of a course that waits already. False when it does not wait. */
  moveAim(tx: Tx, job: Omit<SyncJob, 'attempts'>): Promise<boolean>;
  /** Forgets that a course waits. */
  cancel(tx: Tx, courseId: string): Promise<void>;
  /** Takes the next course nobody works on, for so long. */
  claim(tx: Tx, leaseMs: number): Promise<SyncJob | undefined>;
  /** Removes a job, unless its aim has moved meanwhile. Locks it; false when it was not removed. */
  finish(tx: Tx, job: SyncJob): Promise<boolean>;
  /** Ends the lease of a job after so many milliseconds from now. */
  lease(tx: Tx, courseId: string, ms: number): Promise<void>;
}

/** Versioning, as far as this service needs it. */
export interface Trees {
  /** All submittable nodes of a course's tree at a commit; empty means the head of the default branch. Waits for `onPage` after each page. */
  listSubmittable(courseId: string, commit: string, onPage: () => Promise<void>): Promise<Content[]>;
}

/** What the synchroniser works with. */
export interface SyncDeps<Tx extends TxSql> {
  readonly database: { tx<T>(work: (tx: Tx) => Promise<T>): Promise<T> };
  readonly contents: Contents<Tx>;
  readonly jobs: SyncJobs<Tx>;
  readonly trees: Trees;
  readonly logger: Logger;
}
