import type { Body } from '@coursewright/course-model/body';
import type { Audience, LessonDocument, Source } from '@coursewright/course-model/lesson';
import type { Actor } from '@coursewright/platform/actor';
import type { CallContext, Command } from '@coursewright/platform/rpc-call';
import type { Archive, ArchiveLimits } from '../domain/archive.js';
import type { DocumentOp, ImportOp, KnownNode } from '../domain/import-ops.js';
import type { ImportReport, Loss } from '../domain/import-report.js';
import type { PlannedNode } from '../domain/import-plan.js';
import type { PackedBody, Rendering } from '../domain/body-tasks.js';

/** The call that is being served. */
export type Call = CallContext;

/** Immutable lesson documents by course and hash (base64url), as documents. */
export interface Bodies {
  /** Stores documents; answers when they are durable. Storing one again only renews the time of its last use. */
  putMany(courseId: string, bodies: readonly (Body | PackedBody)[]): Promise<void>;
  /** A document whose hash was checked. Throws internal STORED_BODY_MISSING or STORED_BODY_CORRUPT, unavailable BODY_STORE_UNAVAILABLE. */
  get(courseId: string, hash: string): Promise<LessonDocument>;
  /** Those documents that are there and sound, by hash. */
  getMany(courseId: string, hashes: readonly string[]): Promise<Map<string, LessonDocument>>;
}

/** A body that is not in the store, or lies there with another content than its hash says. */
export interface BodyProblem {
  hash: string;
  what: 'missing' | 'damaged';
}

/** The same documents as the bytes of their canonical JSON, which costs less than documents do, above all between threads. */
export interface StoredBodies extends Bodies {
  /** The bytes of a document whose hash was checked. Throws as `get`. */
  read(courseId: string, hash: string): Promise<Uint8Array>;
  /** The bytes of those documents that are there and sound, by hash. */
  readMany(courseId: string, hashes: readonly string[]): Promise<Map<string, Uint8Array>>;
  /** How many bytes these documents have, by hash; what is not there is left out. */
  sizes(courseId: string, hashes: readonly string[]): Promise<Map<string, number>>;
  /** What is wrong with these documents in the store itself, whatever is remembered of them. */
  check(courseId: string, hashes: readonly string[]): Promise<BodyProblem[]>;
}

/** A lesson's node as versioning has it at a ref. */
export interface LessonNode {
  courseId: string;
  lessonId: string;
  kind: string;
  fields: Record<string, unknown>;
  /** Hash of the body; null when there is none. */
  body: string | null;
  /** Whom the lesson is for, what is above it counted in. */
  audience: Audience;
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
  | Exclude<ImportOp, { op: 'add' } | DocumentOp>;

/** What content asks of catalog. */
export interface Catalog {
  registerCourse(course: { courseId: string; owner: string }, as: As): Promise<void>;
  /** The roles that somebody has on a course now. */
  rolesOn(courseId: string, subject: string, as: As): Promise<readonly string[]>;
  /** Whether there is a registry row of a course, be it marked as deleted. */
  isRegistered(courseId: string, as: As): Promise<boolean>;
  /** Whether a course is marked as deleted. One that takes no writes and is not may be about to be, or not after all. */
  isDeleted(courseId: string, as: As): Promise<boolean>;
}

/** Cache of rendered pages; when it is away every page is rendered. */
export interface RenderCache {
  through(key: string, render: () => Promise<Rendering>): Promise<Rendering>;
}

/** Where an import begins. */
export interface ImportStart {
  /** Head of the course's default branch; null for a new course. */
  readonly commit: string | null;
  readonly sourceId: string;
  readonly baseImport: string | null;
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
  /** What the source calls itself; null before it was read. */
  sourceId: string | null;
  /** The last import of the same source into the course before this one began; null for none. */
  baseImport: string | null;
  startedBy: Person;
  /** Who started it may write to any course by a role on the whole platform. */
  byPlatform: boolean;
  done: number;
  total: number | null;
  commit: string | null;
  report: ImportReport;
  error: { reason: string; message: string } | null;
  /** Grows with each claim: what an attempt with another one writes is not taken. */
  token: number;
  /** Times it was taken up since it last got on. */
  attempts: number;
  startedAt: Date;
  finishedAt: Date | null;
  revision: number;
}

/** A new import. */
export type NewImport = Pick<
  ImportJob,
  'id' | 'format' | 'mediaType' | 'courseId' | 'newCourse' | 'startedBy' | 'byPlatform'
> & { spoolId: string; sha256: string };

/** Who takes up an import, and for how long others keep away. */
export interface Claim {
  holder: string;
  /** The spool that the holder can read. */
  spoolId: string;
  ms: number;
  /** Imports that the holder still works on, whatever became of their lease. */
  except: readonly string[];
  /** Only imports that nobody had taken up before without getting on: others must run alone. */
  onlyFresh: boolean;
}

/** One attempt at an import: what it writes is taken only as long as no other claim has followed. */
export type Attempt = Pick<ImportJob, 'id' | 'token'>;

/** The imports in the database. Every method is one transaction. */
export interface Imports {
  /**
   * Says that the archive of a keyed command is on its way, for `ms` unless it is said again.
   * Throws conflict IN_PROGRESS while another upload with this key is, unprocessable IDEMPOTENCY_KEY_REUSED for another request.
   */
  beginUpload(upload: { id: string; ms: number }, actor: Actor, command: Command): Promise<void>;
  keepUpload(upload: { id: string; ms: number }): Promise<void>;
  endUpload(id: string): Promise<void>;
  /** Forgets uploads whose process died. */
  forgetUploads(): Promise<void>;
  /**
   * Writes the import and the result of its command, whose fingerprint the archive's hash belongs to; a repeat gets the first import.
   * Throws conflict IN_PROGRESS, unprocessable IDEMPOTENCY_KEY_REUSED.
   */
  create(
    job: NewImport,
    actor: Actor,
    command: Command | undefined,
  ): Promise<{ readonly job: ImportJob; readonly replayed: boolean }>;
  find(id: string): Promise<ImportJob | undefined>;
  /** Takes up a running import whose archive lies in this spool and that nobody works on; counts the attempt. */
  claim(claim: Claim): Promise<ImportJob | undefined>;
  /** Keeps the lease. This and the writes below answer false, and write nothing, when another claim has followed or the import has ended. */
  renew(attempt: Attempt, leaseMs: number): Promise<boolean>;
  /** Whether the attempt is still the last one. */
  holds(attempt: Attempt): Promise<boolean>;
  /** Lets another attempt be made after `delayMs`; this one does not count. */
  release(attempt: Attempt, delayMs: number): Promise<boolean>;
  steps(id: string): Promise<{ ordinal: number; commit: string }[]>;
  saveStep(
    attempt: Attempt,
    step: { ordinal: number; commit: string },
    progress: { done: number; report: ImportReport },
  ): Promise<boolean>;
  /** Remembers where an import begins, for every attempt; `busy` while another of its source and course has begun, or has ended since `start` was made. */
  saveStart(attempt: Attempt, start: ImportStart): Promise<'saved' | 'superseded' | 'busy'>;
  /** The last import of a source into a course that ended well; undefined when there is none. */
  lastOfSource(job: Pick<ImportJob, 'courseId' | 'format'>, sourceId: string): Promise<string | undefined>;
  /** Whether a course has imports of a format from before sources were remembered. */
  hasUnknownSource(job: Pick<ImportJob, 'courseId' | 'format'>): Promise<boolean>;
  /** Ends an import well, with its event. */
  finish(job: ImportJob, result: { commit: string; done: number; report: ImportReport }): Promise<boolean>;
  fail(attempt: Attempt, error: { reason: string; message: string }, report: ImportReport): Promise<boolean>;
  /** Imports that failed more than 14 days ago, by id, after `after` (empty: from the first). */
  failedLongAgo(after: string, limit: number): Promise<ImportJob[]>;
  /** Forgets a failed import. */
  forget(id: string): Promise<void>;
}

/** An archive that was written to disk: its size, its first bytes, the SHA-256 of all of it in hexadecimal. */
export interface Spooled {
  readonly size: number;
  readonly head: Uint8Array;
  readonly sha256: string;
}

/** A file of the spool that has not been written to for some time. */
export interface SpoolFile {
  /** The import it is of. */
  readonly id: string;
  readonly name: string;
  /** A whole archive, which an import may wait for; anything else was left by a process that died. */
  readonly isArchive: boolean;
}

/** Where archives wait on disk for their import. */
export interface Spool {
  /** The id of this spool, made when it was first used: processes that see the same disk see the same id. */
  id(): Promise<string>;
  /**
   * Writes a stream to disk, synced, under a name of its own until it is whole.
   * Throws too_large ARCHIVE_TOO_LARGE, insufficient_storage STORAGE_FULL.
   */
  write(id: string, chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Spooled>;
  /**
   * Unpacks an archive into a file of this attempt alone. Throws unprocessable ARCHIVE_BROKEN, ARCHIVE_UNSAFE, ARCHIVE_TOO_LARGE,
   * ARCHIVE_LOST; insufficient_storage STORAGE_FULL.
   */
  open(attempt: Attempt, mediaType: string, limits: ArchiveLimits): Promise<OpenArchive>;
  remove(id: string): Promise<void>;
  /** Files that nobody has written to for so long. */
  list(minAgeMs: number): Promise<SpoolFile[]>;
  removeFile(name: string): Promise<void>;
}

/** An unpacked archive, to be closed. */
export interface OpenArchive extends Archive {
  /** Entries that are no files and so were not unpacked. */
  readonly skipped: Iterable<Loss>;
  /** The bytes of a file, piece by piece; of one that is not there, none. */
  stream(path: string): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}
