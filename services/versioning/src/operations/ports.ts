import type { NewEvent } from '@coursewright/platform/event';
import type { ChangeCounts } from '../domain/changes.js';
import type { CommitContent } from '../domain/commit.js';
import type { CommitMark, DescentMemo, LinkReader } from '../domain/history.js';
import type { BytesReader } from '../domain/integrity.js';
import type { Counts } from '../domain/kinds.js';
import type { KeptRefs } from '../domain/ref-check.js';
import type { ObjectReader, Stored } from '../domain/objects.js';
import type { HiddenNodes } from '../domain/viewer.js';

/** A commit as it is kept. */
export interface Commit extends CommitContent {
  readonly hash: string;
  /** Version of the form that its hash covers. */
  readonly format: number;
  readonly gen: number;
  /** Shown beside the author's id; not hashed. */
  readonly authorName: string;
  readonly changes: ChangeCounts;
  /** How many nodes of each kind its tree has. */
  readonly counts: Counts;
}

/** A branch as it is kept. */
export interface Branch {
  readonly id: string;
  readonly courseId: string;
  readonly name: string;
  readonly head: string;
  readonly isHidden: boolean;
  readonly isProtected: boolean;
  /** The course takes no writes: it is being deleted, or deleted. */
  readonly isClosed: boolean;
  readonly metadata: Readonly<Record<string, unknown>>;
  /** The branch it was made from, and the commit it was made at. */
  readonly parentId: string | null;
  readonly base: string | null;
  readonly revision: number;
  readonly createdBy: string;
  readonly createdAt: Date;
}

/** A course's repository with the branch that was asked for. */
export interface CourseRow {
  readonly courseId: string;
  readonly defaultBranch: string;
  readonly published: string | null;
  readonly publishedVersion: number;
  readonly latestVersion: number;
  /** The branch asked for; null when there is none of that name. */
  readonly branch: Branch | null;
}

/** A movement of a visible ref, as the log keeps it. */
export interface RefMove {
  /** Id of the branch, or `published`. */
  readonly ref: string;
  readonly from: string | null;
  readonly to: string | null;
  readonly actor: string;
  readonly reason: string;
  readonly at: Date;
}

/** A row of the ref log; hashes chain the rows of a course. */
export interface RefLogRow extends RefMove {
  readonly seq: number;
  readonly prevHash: string;
  readonly hash: string;
}

/** Where a node belongs; `born` is null until a commit of a visible branch has it. */
export interface Home {
  readonly node: string;
  readonly courseId: string;
  readonly born: string | null;
}

/** A row of a node's history. */
export interface NodeCommit {
  readonly node: string;
  readonly gen: number;
  readonly commit: string;
  readonly what: number;
}

/** Names a write, so that its repeat gets the first answer. */
export interface CommandKey {
  readonly actor: string;
  readonly id: string;
  readonly fingerprint: string;
  readonly kept: 'client' | 'minted';
}

/** What is known of a write's command at the start of its transaction. */
export type CommandState =
  | { readonly state: 'fresh' | 'in_progress' | 'reused' }
  | { readonly state: 'done'; readonly result: Readonly<Record<string, unknown>> };

/** The result of a write, to be kept with its command. */
export interface CommandResult {
  readonly key: CommandKey;
  readonly result: Readonly<Record<string, unknown>>;
}

/** New commits of one branch, oldest first, and all that is written with them. */
export interface Advance {
  readonly courseId: string;
  readonly branch: Branch;
  readonly head: string;
  readonly commits: readonly Commit[];
  readonly objects: readonly Stored[];
  readonly history: readonly NodeCommit[];
  readonly homes: readonly Home[];
  /** Nodes of a hidden branch that this advance makes visible. */
  readonly born: readonly { readonly commit: string; readonly nodes: readonly string[] }[];
  /** Nodes that the commits keep from learners. */
  readonly restricted: readonly string[];
  /** Hashes of the bodies the commits brought in. */
  readonly bodies: readonly string[];
  /** The movements of the branch for the log, one for each commit; none for a hidden one. */
  readonly moves: readonly RefMove[];
  readonly results: readonly CommandResult[];
}

/** What a writing transaction can do. */
export interface WriteTx {
  /** Reads on the transaction's own connection: one that holds a connection must not wait for another. */
  readonly reads: VersioningReads;
  /**
   * Locks a branch against other writers, and the course (shared) against the collector; takes these commands for the rest of the
   * transaction, and tells what is known of each. Empty name: the default branch.
   */
  openBranch(
    courseId: string,
    name: string,
    keys: readonly (CommandKey | null)[],
  ): Promise<{ readonly branch: Branch | null; readonly states: readonly CommandState[] }>;
  /**
   * What is known of commands by now. Who waits in `openBranch` for the course's lock has looked at the rows of commands before: one that
   * was finished meanwhile seems fresh there, and is found here.
   */
  findCommands(keys: readonly (CommandKey | null)[]): Promise<readonly CommandState[]>;
  rememberCommands(results: readonly CommandResult[]): Promise<void>;
  /** False when it is there. The ref log of a course that was dropped goes on where it ended. */
  insertCourse(course: { courseId: string; defaultBranch: string; createdBy: string; at: Date }): Promise<boolean>;
  /** Adds a branch, with the results of commands; false when the name is taken, and then the transaction must not go on. */
  insertBranch(branch: Branch, move: RefMove | null, results: readonly CommandResult[]): Promise<boolean>;
  /**
   * Writes commits and moves the branch. Answers the number of the last movement in the course's ref log; 0 when there was none to log.
   * Throws already_exists `ID_TAKEN` when a node turns out to live in another course.
   */
  advance(change: Advance): Promise<number>;
  /** Keeps every other writer away from a course until the transaction ends; to be taken before a branch is opened. */
  lockCourse(courseId: string): Promise<void>;
  /** Notes who closes or opens a course; false when somebody who took charge later has done so. The course must be locked. */
  takeClosingTurn(courseId: string, turn: number): Promise<boolean>;
  /** Closes every branch of a course to writes, or opens them. The course must be locked. */
  setClosed(courseId: string, isClosed: boolean): Promise<void>;
  /** Takes a branch away and logs it. */
  dropBranch(branch: Branch, move: RefMove): Promise<void>;
  /** Frees the ids of those of a course's nodes that no visible commit ever had. */
  dropUnseen(courseId: string, nodes: readonly string[]): Promise<void>;
  /** Whether a course has no branch but its default one, no version, no tag, and was never published. */
  hasNothingElse(courseId: string): Promise<boolean>;
  /** Deletes all rows of a course whose tree is its root alone; its ref log and its events stay. */
  dropCourse(courseId: string): Promise<void>;
  /** Last of all: takes the course's event counter. */
  enqueue(events: readonly NewEvent[]): Promise<void>;
}

/** Where an operation reads: outside a transaction it sees what is committed, inside one also what that wrote. */
export interface VersioningReads {
  /** The objects of a course; what was read or written lately is answered from memory. */
  objects(courseId: string): ObjectReader;
  /** What a check of a course reads: rows as they are, past every cache. */
  integrity(courseId: string): IntegrityReads;
  /** One indexed row: the course with a branch of this name (empty: the default one). */
  course(courseId: string, branch: string): Promise<CourseRow | null>;
  commits(courseId: string, hashes: readonly string[]): Promise<ReadonlyMap<string, Commit>>;
  links(courseId: string): LinkReader;
  /** What earlier walks over a course's history found. */
  descents(courseId: string): DescentMemo;
  /** Commits that were found in the history of a visible ref: refs only go forward, so they stay there. */
  reached(courseId: string): { has(hash: string): boolean; add(hash: string): void };
  /** What was found to be hidden from learners, by commit. */
  hidden(courseId: string): {
    get(hash: string): HiddenNodes | undefined;
    set(hash: string, hidden: HiddenNodes): void;
  };
  /** Ids of all nodes that some commit of the course kept from learners. */
  restricted(courseId: string): Promise<string[]>;
  /** Of these commits, those that were published until another one took their place within so many milliseconds. */
  replaced(courseId: string, hashes: readonly string[], withinMs: number): Promise<string[]>;
  /** The commit that a version's number stands for. */
  versionCommit(courseId: string, number: number): Promise<string | null>;
  /** The commit that a tag stands for. */
  tagCommit(courseId: string, name: string): Promise<string | null>;
  branchesById(courseId: string, ids: readonly string[]): Promise<Branch[]>;
  /** Visible branches by name, after `after`. */
  branches(courseId: string, after: string, limit: number): Promise<Branch[]>;
  homes(ids: readonly string[]): Promise<Home[]>;
  /** For each node its newest rows of history before a mark (see `newestFirst`), at most `limit`, those with any of the bits in `what`. */
  nodeCommits(courseId: string, asks: readonly HistoryAsk[], page: HistoryPage): Promise<NodeCommit[]>;
  /** The number of the last movement of a ref in the course's log; 0 when it has none. */
  lastMove(courseId: string, ref: string): Promise<number>;
  refLog(courseId: string, after: number, limit: number): Promise<RefLogRow[]>;
  /** Every commit that a ref (visible or hidden branch, version, tag, published) names. */
  refHeads(courseId: string): Promise<string[]>;
  /** Every commit that a visible ref names. */
  visibleHeads(courseId: string): Promise<string[]>;
}

/** A commit's row as it is, unchecked, with what its parents' rows say. */
export interface StoredCommit {
  readonly commit: Commit;
  /** The greatest generation of its parents; null when none is there. */
  readonly parentGen: number | null;
  /** The counts of its first parent; null when there is none. */
  readonly parentCounts: Counts | null;
}

/** Reads of one course past every cache. */
export interface IntegrityReads {
  readonly bytes: BytesReader;
  commits(hashes: readonly string[]): Promise<StoredCommit[]>;
  /** All commits of the course in the order of `newestFirst`, after a mark. */
  commitsBefore(before: CommitMark, limit: number): Promise<StoredCommit[]>;
  /** The refs and the end of the log at one moment; null when there is no such course. */
  refs(): Promise<KeptRefs | null>;
  /** Of a page of the history of nodes the rows whose commit is not there, or has another generation. `after` is empty, then `next`. */
  history(
    after: string,
    limit: number,
  ): Promise<{
    readonly stray: readonly { readonly node: string; readonly commit: string }[];
    readonly next: string | null;
  }>;
}

/** The bodies of a course, which are content's. */
export interface Bodies {
  /** Of these bodies (at most 500) those that are not there, or not what their hash says. Throws unavailable `SERVICE_UNAVAILABLE`. */
  check(
    courseId: string,
    hashes: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly { readonly hash: string; readonly what: 'missing' | 'damaged' }[]>;
}

/** A node whose history is asked for, and the mark its rows come before. */
export interface HistoryAsk {
  readonly node: string;
  readonly before: CommitMark;
}

/** Which rows of the history of nodes are asked for, and how many of each. */
export interface HistoryPage {
  readonly what: number;
  readonly limit: number;
}

/** All that versioning keeps. */
export interface VersioningStore extends VersioningReads {
  /** Runs work in one transaction; all of it is committed, or nothing. */
  write<T>(work: (tx: WriteTx) => Promise<T>): Promise<T>;
}

/** What operations are given. */
export interface Deps {
  readonly store: VersioningStore;
  readonly bodies: Bodies;
  readonly now: () => Date;
  readonly newId: () => string;
}
