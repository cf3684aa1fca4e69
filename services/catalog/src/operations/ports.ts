import type { Actor } from '@coursewright/platform/actor';
import type { Cache } from '@coursewright/platform/cache';
import type { ErrorKind } from '@coursewright/platform/errors';
import type { Logger } from '@coursewright/platform/logger';
import type { Outbox } from '@coursewright/platform/outbox';
import type { Command } from '@coursewright/platform/rpc-call';
import type { Database, Sql, TxSql } from '@coursewright/platform/sql';
import type { Card, CardKind, ShownCourse } from '../domain/card.js';
import type { Course } from '../domain/course.js';
import type { CourseFacts } from '../domain/facts.js';
import type { ListQuery, Scope } from '../domain/list-query.js';
import type { Member } from '../domain/member.js';

/** The rows of the truth: courses and their members. */
export interface Registry {
  find(sql: Sql, courseId: string): Promise<Course | undefined>;
  /** The course with its row locked until the transaction ends. */
  lock(sql: TxSql, courseId: string): Promise<Course | undefined>;
  /** False when the course is there already. */
  insert(sql: TxSql, course: Course): Promise<boolean>;
  update(sql: TxSql, course: Course): Promise<void>;
  /** The member, and whether he has just become one. */
  putMember(sql: TxSql, courseId: string, member: Member): Promise<{ member: Member; added: boolean }>;
  /** In order of subject and role, after the given pair. */
  listMembers(sql: Sql, courseId: string, page: MemberPage): Promise<Member[]>;
  /** Everything about one subject's access in one statement. */
  readAccess(sql: Sql, courseId: string, subject: string): Promise<AccessRow | undefined>;
  /** Whether a subject owns a course or has one of these roles on any. */
  hasRoleAnywhere(sql: Sql, subject: string, roles: readonly string[]): Promise<boolean>;
}

export interface MemberPage {
  readonly after?: { readonly subject: string; readonly role: string };
  readonly limit: number;
}

export interface AccessRow {
  readonly course: Course;
  readonly roles: readonly string[];
}

/** A course that is being made. */
export interface Intent {
  /** Also the id of the course. */
  readonly id: string;
  /** The subject of the call: the owner of the command. */
  readonly actor: string;
  /** Who will own the course. */
  readonly person: { readonly sub: string; readonly name?: string };
  readonly command?: Command;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly attempts: number;
  readonly createdAt: Date;
}

/** How an intent ended. */
export type IntentEnd = 'done' | 'refused' | 'failed';

/** The rows of courses that are being made. Who works on one holds it by a lease. */
export interface Intents {
  insert(sql: TxSql, intent: Intent, leaseMs: number): Promise<void>;
  /** The open intent of a command, its row locked. */
  findOpen(sql: Sql, actor: string, key: string): Promise<Intent | undefined>;
  /** Locks an intent; undefined when it is closed. */
  lockOpen(sql: TxSql, id: string): Promise<Intent | undefined>;
  close(sql: Sql, id: string, end: IntentEnd, reason: string): Promise<void>;
  /** Ends a lease after so many milliseconds from now. */
  lease(sql: Sql, id: string, ms: number): Promise<void>;
  /** Takes up to so many open intents that nobody holds. */
  claim(sql: Sql, options: { limit: number; leaseMs: number }): Promise<Intent[]>;
  /** Removes intents that were closed more than a week ago. */
  prune(sql: Sql): Promise<void>;
}

/** A client's key with the request that it is bound to. */
export interface KeyClaim {
  readonly actor: string;
  readonly key: string;
  readonly fingerprint: string;
}

/** The rows of clients' keys. */
export interface KeyClaims {
  /** Binds a key to a request for 7 days, unless it is bound already. Resolves to the fingerprint that it is bound to. */
  claim(sql: Sql, claim: KeyClaim): Promise<string>;
  /** Removes up to so many keys that are bound no longer; resolves to how many. */
  prune(sql: Sql, limit: number): Promise<number>;
}

/** A course that is being deleted or restored; who works on it holds it by a token. */
export interface DeletionIntent {
  readonly courseId: string;
  readonly token: string;
}

/** The rows of courses that are being deleted or restored. */
export interface Deletions {
  /**
   * Writes an intent, or prolongs its lease. Resolves to its turn, which grows with each who takes charge of a course; undefined when the
   * course has an intent of another's.
   */
  hold(sql: Sql, intent: DeletionIntent & { readonly leaseMs: number }): Promise<number | undefined>;
  /** Removes an intent; false when it is another's by now, or gone. */
  end(sql: Sql, intent: DeletionIntent): Promise<boolean>;
  /** Takes up to so many whose lease has run out, under a new token. */
  claim(sql: Sql, options: { limit: number; leaseMs: number; token: string }): Promise<DeletionIntent[]>;
}

/** The rows that events make, and the cards that follow from them and the registry. */
export interface Projection {
  /** Makes everybody who writes cards of these courses wait for this transaction. Takes them in one order, whichever they are named in. */
  lock(sql: TxSql, courseIds: readonly string[]): Promise<void>;
  /** What is known of each of these courses, of one moment. */
  read(sql: Sql, courseIds: readonly string[]): Promise<ReadonlyMap<string, Known>>;
  /** Courses after this one, by id, whose cards were made in an older way than `cardForm`. */
  outdated(sql: Sql, after: string, limit: number): Promise<string[]>;
  /** Replaces facts and the changed cards, and removes cards whose kind is not in `kinds`. At most one change of each course. */
  write(sql: TxSql, changes: readonly ProjectionChange[]): Promise<void>;
}

/** What is known of a course, and its row in the registry. */
export interface Known {
  readonly course: Course | undefined;
  readonly facts: CourseFacts;
}

export interface ProjectionChange {
  readonly courseId: string;
  readonly facts: CourseFacts;
  readonly changed: readonly Card[];
  readonly kinds: readonly CardKind[];
}

/** Reads pages of cards. */
export interface Cards {
  page(query: ListQuery, scope: Scope): Promise<CardPage>;
  facets(query: ListQuery, scope: Scope): Promise<Facet[]>;
}

/** Cards in order, each with the value it is sorted by; one more than the limit when there are more. */
export type CardPage = readonly { readonly shown: ShownCourse; readonly sortValue: string | number }[];

export interface Facet {
  readonly name: string;
  readonly values: readonly { readonly value: string; readonly count: number }[];
}

/** Versioning, as far as this service needs it. */
export interface Repositories {
  /**
   * Makes a course's repository; the same id makes the same one. Resolves to its first commit.
   * Throws what versioning refuses it with.
   */
  create(intent: Intent, limits: { deadlineMs: number }): Promise<string>;
  /**
   * Closes a repository to writes, or opens it; doing so again changes nothing. Throws not_found COURSE_NOT_FOUND, stale STALE when the
   * default branch has not the expected tree (empty: whatever it has), conflict IN_PROGRESS when a later turn was there before.
   */
  setClosed(
    course: {
      readonly courseId: string;
      readonly closed: boolean;
      readonly expectedTree: string;
      readonly turn: number;
    },
    limits: { deadlineMs: number },
  ): Promise<void>;
}

/** Kinds of refusal that another try would only repeat. */
export const definiteRefusals: readonly ErrorKind[] = [
  'invalid_argument',
  'unprocessable',
  'too_large',
  'already_exists',
  'permission_denied',
  'unsupported_media_type',
  'gone',
  'unimplemented',
];

/** What operations work with. */
export interface Deps {
  readonly database: Database;
  readonly outbox: Outbox;
  readonly registry: Registry;
  readonly intents: Intents;
  readonly keys: KeyClaims;
  readonly deletions: Deletions;
  readonly projection: Projection;
  readonly cards: Cards;
  readonly repositories: Repositories;
  readonly cache: Cache;
  readonly logger: Logger;
  readonly now: () => Date;
  readonly newId: () => string;
}

/** On whose behalf an operation runs, and under which command. */
export interface Caller {
  readonly actor: Actor;
  readonly command?: Command;
}
