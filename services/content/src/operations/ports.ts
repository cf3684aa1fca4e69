import type { Body } from '@coursewright/course-model/body';
import type { LessonDocument, Source } from '@coursewright/course-model/lesson';
import type { Actor } from '@coursewright/platform/actor';
import type { CallContext, Command } from '@coursewright/platform/rpc-call';
import type { Archive, ArchiveLimits } from '../domain/archive.js';
import type { ImportOp, KnownNode } from '../domain/import-ops.js';
import type { ImportReport, Loss } from '../domain/import-report.js';
import type { PlannedNode } from '../domain/import-plan.js';
import type { RenderedPage } from '../domain/render.js';

/** The call that is being served. */
export type Call = CallContext;

/** Immutable lesson documents by course and hash (base64url). */
export interface Bodies {
  /** Stores documents; answers when they are durable. Storing one again only renews the time of its last use. */
  putMany(courseId: string, bodies: readonly Body[]): Promise<void>;
  /** A document whose hash was checked. Throws internal STORED_BODY_MISSING or STORED_BODY_CORRUPT, unavailable BODY_STORE_UNAVAILABLE. */
  get(courseId: string, hash: string): Promise<LessonDocument>;
  /** Those documents that are there and sound, by hash. */
  getMany(courseId: string, hashes: readonly string[]): Promise<Map<string, LessonDocument>>;
}

/** A lesson's node as versioning has it at a ref. */
export interface LessonNode {
  courseId: string;
  lessonId: string;
  kind: string;
  fields: Record<string, unknown>;
  /** Hash of the body; null when there is none. */
  body: string | null;
  /** The commit that last changed the lesson at this ref. */
  commit: string;
  /** The commit of the ref, and the branch's name when the ref is one. */
  head: string;
  refKind: string;
  refName: string;
  updatedAt: Date | undefined;
  updatedBy: string;
}

/** On whose behalf a call to another service goes out: a call being served, or a job of somebody. */
export type As = { readonly call: Call } | { readonly person: Person; readonly command?: Command };

/** Somebody, as jobs remember him. */
export interface Person {
  readonly sub: string;
  readonly name?: string;
}

/** What content asks of versioning. Errors are those of versioning, or unavailable SERVICE_UNAVAILABLE. */
export interface Versioning {
  getLesson(place: { courseId: string; lessonId: string; ref: string }, as: As): Promise<LessonNode>;
  /** Gives a node another body; only if its body is still `expectedBody` (a hash or "none"), when that is given. */
  setBody(change: BodyChange, as: As): Promise<Made>;
  /** The commit that the served call's command made when it came before; undefined when this is the first time. */
  madeBefore(call: Call): Promise<Made | undefined>;
  createCourse(course: { courseId: string; fields: Record<string, unknown>; source: Source }, as: As): Promise<void>;
  head(courseId: string, as: As): Promise<string>;
  /** The nodes at a commit that came from sources of a format, in document order; the root too. */
  listSourced(place: { courseId: string; commit: string; format: string }, as: As): Promise<KnownNode[]>;
  /** One step of an import on its hidden ref; `start`: the commit at which that ref begins, absent for an empty one. */
  applyStep(
    step: { importId: string; courseId: string; start?: string; ops: readonly StoredOp[] },
    as: As,
  ): Promise<{ commit: string }>;
  /** Puts the children of the hidden root into the course; with `start` the whole hidden tree, if the head is still there. */
  graft(
    graft: { importId: string; courseId: string; start?: string; message: string },
    as: As,
  ): Promise<{ commit: string }>;
  /**
   * Takes away the hidden ref of a failed import and frees the ids of its nodes that nobody saw; with `courseUnregistered` also the
   * course that it made, if only its first commit is visible. What is gone already is a success.
   */
  dropImport(what: { importId: string; courseId: string; courseUnregistered: boolean }, as: As): Promise<void>;
}

/** What a change of a lesson's body came to. */
export interface Made {
  commit: string;
  /** Name of the branch. */
  branch: string;
  at: Date;
  unchanged: boolean;
}

/** A change of a lesson's body. */
export interface BodyChange {
  courseId: string;
  lessonId: string;
  branch: string;
  base: string;
  body: string;
  expectedBody?: string;
  expectedHead?: string;
  message: string;
  kind: string;
}

/** A node that an import adds, its document already stored. */
export type AddedNode = Omit<PlannedNode, 'content'> & { body: string | null };

/** A change of an import with hashes in place of documents, which are stored already. */
export type StoredOp =
  | { op: 'add'; node: AddedNode }
  | { op: 'setBody'; nodeId: string; body: string }
  | Exclude<ImportOp, { op: 'add' | 'setBody' }>;

/** What content asks of catalog. */
export interface Catalog {
  registerCourse(course: { courseId: string; owner: string }, as: As): Promise<void>;
  /** The roles that somebody has on a course now. */
  rolesOn(courseId: string, subject: string, as: As): Promise<readonly string[]>;
  /** Whether there is a registry row of a course, be it marked as deleted. */
  isRegistered(courseId: string, as: As): Promise<boolean>;
}

/** Cache of rendered pages; when it is away every page is rendered. */
export interface RenderCache {
  through(key: string, render: () => Promise<RenderedPage>): Promise<RenderedPage>;
}

/** An import as it stands. */
export interface ImportJob {
  id: string;
  format: string;
  mediaType: string;
  state: 'running' | 'done' | 'failed';
  courseId: string;
  newCourse: boolean;
  startCommit: string | null;
  startedBy: Person;
  done: number;
  total: number | null;
  commit: string | null;
  report: ImportReport;
  error: { reason: string; message: string } | null;
  attempts: number;
  startedAt: Date;
  finishedAt: Date | null;
  revision: number;
}

/** A new import. */
export type NewImport = Pick<ImportJob, 'id' | 'format' | 'mediaType' | 'courseId' | 'newCourse' | 'startedBy'> & {
  spoolId: string;
};

/** Who works on an import, and for how long others keep away. */
export interface Lease {
  holder: string;
  /** The spool that the holder can read. */
  spoolId: string;
  ms: number;
}

/** The imports in the database. Every method is one transaction. */
export interface Imports {
  /** The import that this command made before, if it did. Throws conflict IN_PROGRESS, unprocessable IDEMPOTENCY_KEY_REUSED. */
  recall(actor: Actor, command: Command | undefined): Promise<ImportJob | undefined>;
  /** Writes the import and the result of its command; a repeat of the command gets the first import. */
  create(job: NewImport, actor: Actor, command: Command | undefined): Promise<ImportJob>;
  find(id: string): Promise<ImportJob | undefined>;
  /** Takes a running import whose archive lies in this spool and that nobody works on. */
  claim(lease: Lease): Promise<ImportJob | undefined>;
  /** Keeps the lease; false when somebody else has it by now. */
  renew(id: string, holder: string, leaseMs: number): Promise<boolean>;
  /** Lets another attempt be made after `delayMs`. */
  release(id: string, holder: string, delayMs: number): Promise<void>;
  steps(id: string): Promise<{ ordinal: number; commit: string }[]>;
  saveStep(
    id: string,
    step: { ordinal: number; commit: string },
    progress: { done: number; report: ImportReport },
  ): Promise<void>;
  saveStart(id: string, startCommit: string): Promise<void>;
  /** Ends an import well, with its event. */
  finish(job: ImportJob, result: { commit: string; done: number; report: ImportReport }): Promise<void>;
  fail(id: string, error: { reason: string; message: string }, report: ImportReport): Promise<void>;
  /** Imports that failed more than 14 days ago, by id, after `after` (empty: from the first). */
  failedLongAgo(after: string, limit: number): Promise<ImportJob[]>;
  /** Forgets a failed import. */
  forget(id: string): Promise<void>;
}

/** Where archives wait on disk for their import. */
export interface Spool {
  /** The id of this spool, made when it was first used: processes that see the same disk see the same id. */
  id(): Promise<string>;
  /** Writes a stream to disk, synced. Throws too_large ARCHIVE_TOO_LARGE. Answers its size and first bytes. */
  write(id: string, chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<{ size: number; head: Uint8Array }>;
  /** Unpacks an archive. Throws unprocessable ARCHIVE_BROKEN, ARCHIVE_UNSAFE, ARCHIVE_TOO_LARGE, ARCHIVE_LOST. */
  open(id: string, mediaType: string, limits: ArchiveLimits): Promise<OpenArchive>;
  remove(id: string): Promise<void>;
  /** Ids of archives on disk. */
  list(): Promise<string[]>;
}

/** An unpacked archive, to be closed. */
export interface OpenArchive extends Archive {
  /** Entries that are no files and so were not unpacked. */
  readonly skipped: readonly Loss[];
  close(): Promise<void>;
}
