import { fromHash, toHash } from '@coursewright/platform/ids';
import { isCommitFormat, type CommitKind } from '../domain/commit.js';
import { unknownFormat, type ObjectType, type StoredBytes } from '../domain/objects.js';
import type { Branch, Commit, RefLogRow } from '../operations/ports.js';

const KINDS = ['node', 'list', 'index'] as const;

/** `object.kind` of a kind of object. */
export function kindNumber(type: ObjectType): number {
  return KINDS.indexOf(type) + 1;
}

function kindName(kind: number): ObjectType {
  return KINDS[kind - 1] ?? 'node';
}

export interface ObjectRow {
  hash: Buffer;
  kind: number;
  format: number;
  data: Buffer;
}

export function toBytes({ kind, format, data }: ObjectRow): StoredBytes {
  return { type: kindName(kind), format, data: data.toString('utf8') };
}

export function hashOrNull(bytes: Buffer | null): string | null {
  return bytes === null ? null : toHash(bytes);
}

export function hexOf(hash: string): string {
  return fromHash(hash).toString('hex');
}

export interface BranchRow {
  branch_id: string;
  course_id: string;
  name: string;
  head: Buffer;
  hidden: boolean;
  protected: boolean;
  closed: boolean;
  metadata: Record<string, unknown>;
  parent_id: string | null;
  base: Buffer | null;
  revision: number;
  created_by: string;
  created_at: Date;
}

export function toBranch(row: BranchRow): Branch {
  return {
    id: row.branch_id,
    courseId: row.course_id,
    name: row.name,
    head: toHash(row.head),
    isHidden: row.hidden,
    isProtected: row.protected,
    isClosed: row.closed,
    metadata: row.metadata,
    parentId: row.parent_id,
    base: hashOrNull(row.base),
    revision: row.revision,
    createdBy: row.created_by,
    createdAt: row.created_at,
  };
}

export interface CommitRow {
  hash: Buffer;
  format: number;
  gen: number;
  root: Buffer;
  index_root: Buffer;
  parents: Buffer[];
  author_id: string;
  author_name: string;
  at: Date;
  kind: string;
  message: string;
  change_set: string | null;
  added: number;
  removed: number;
  moved: number;
  edited: number;
  units: number;
  modules: number;
  lessons: number;
  assignments: number;
}

/** Throws internal `FORMAT_UNKNOWN` for a version that this code does not know. */
export function toCommit(row: CommitRow): Commit {
  if (!isCommitFormat(row.format)) throw unknownFormat('commit', row.format);
  return commitOf(row);
}

/** A row as it is, whatever version it names. */
export function commitOf(row: CommitRow): Commit {
  const { gen, at, message, added, removed, moved, edited, units, modules, lessons, assignments } = row;
  return {
    hash: toHash(row.hash),
    format: row.format,
    gen,
    root: toHash(row.root),
    index: toHash(row.index_root),
    parents: row.parents.map(toHash),
    author: row.author_id,
    authorName: row.author_name,
    at,
    kind: row.kind as CommitKind,
    message,
    changeSet: row.change_set,
    changes: { added, removed, moved, edited },
    counts: { units, modules, lessons, assignments },
  };
}

/** A commit as a record of `jsonb_to_recordset`; hashes in hex, since SQL cannot decode base64url. */
export function fromCommit(commit: Commit): Record<string, unknown> {
  return {
    hash: hexOf(commit.hash),
    format: commit.format,
    gen: commit.gen,
    root: hexOf(commit.root),
    index_root: hexOf(commit.index),
    parents: commit.parents.map(hexOf),
    author_id: commit.author,
    author_name: commit.authorName,
    at: commit.at,
    kind: commit.kind,
    message: commit.message,
    change_set: commit.changeSet,
    ...commit.changes,
    ...commit.counts,
  };
}

export interface LogRow {
  seq: number;
  ref: string;
  old: Buffer | null;
  new: Buffer | null;
  actor: string;
  reason: string;
  at: Date;
  prev_hash: Buffer;
  hash: Buffer;
}

export function toLogRow(row: LogRow): RefLogRow {
  const { seq, ref, actor, reason, at } = row;
  return {
    seq,
    ref,
    from: hashOrNull(row.old),
    to: hashOrNull(row.new),
    actor,
    reason,
    at,
    prevHash: toHash(row.prev_hash),
    hash: toHash(row.hash),
  };
}
