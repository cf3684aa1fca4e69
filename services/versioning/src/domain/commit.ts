import { canonicalJson, hashObject } from '@coursewright/course-model/canonical';
import { shortId, toHash } from '@coursewright/platform/ids';
import type { TreeRef } from './tree-draft.js';

/** Why a commit was made. */
export type CommitKind = 'edit' | 'autosave' | 'import' | 'merge' | 'revert';

/** All kinds of commits. */
export const COMMIT_KINDS: readonly CommitKind[] = ['edit', 'autosave', 'import', 'merge', 'revert'];

/** What a commit's hash covers: never the author's name, so that a person can be renamed or forgotten. */
export interface CommitContent extends TreeRef {
  readonly parents: readonly string[];
  /** Id of the author. */
  readonly author: string;
  readonly at: Date;
  readonly message: string;
  readonly kind: CommitKind;
  /** UUID of the change set it came from, or null. */
  readonly changeSet: string | null;
}

/** The hashed form of a commit. */
export function commitObject(commit: CommitContent): Record<string, unknown> {
  const { root, index, parents, author, at, message, kind, changeSet } = commit;
  return {
    root,
    index,
    parents,
    author,
    at: at.toISOString(),
    message,
    kind,
    changeSet: changeSet === null ? null : shortId(changeSet),
  };
}

/** The version in which commits are written today. As with the objects of trees, every version ever written stays readable. */
export const COMMIT_FORMAT = 1;

/** Whether commits of this version can be read. */
export function isCommitFormat(format: number): boolean {
  return format === 1;
}

/** The hash of a commit in the version that its row names. */
export function hashCommit(commit: CommitContent, format = COMMIT_FORMAT): string {
  return toHash(hashObject('commit', format, commitObject(commit)));
}

/** Bytes of a commit's hashed form. */
export function commitSize(commit: CommitContent): number {
  return Buffer.byteLength(canonicalJson(commitObject(commit)));
}

/** The generation of a commit: one more than the greatest of its parents'; 1 for the first. */
export function generation(parents: readonly number[]): number {
  return 1 + Math.max(0, ...parents);
}
