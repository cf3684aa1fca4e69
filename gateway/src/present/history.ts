import type { BodyDiff, ContentChange } from '@coursewright/proto/coursewright/content/v1/content';
import type { CommitInfo, CompareItem, Place } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import { kindOf, orNull, timeOf } from './common.js';

/** A commit. */
export function commitJson(commit: CommitInfo): Record<string, unknown> {
  const { added = 0, removed = 0, moved = 0, edited = 0 } = commit.changes ?? {};
  return {
    hash: commit.hash,
    courseId: commit.courseId,
    parents: commit.parents,
    tree: commit.tree,
    author: { id: commit.authorId, name: commit.authorName },
    at: timeOf(commit.at),
    kind: commit.kind,
    message: commit.message,
    changes: { added, removed, moved, edited },
  };
}

/**
 * A node that differs, with what differs in its document when that is known. Hashes of documents are left out: whoever may not read
 * the graders' parts of one could check a guess of them against its hash.
 */
export function compareItemJson(item: CompareItem, body: ShownDiff | undefined): Record<string, unknown> {
  return {
    nodeId: item.nodeId,
    kind: kindOf(item.kind),
    ...(item.fromKind === NodeKind.UNSPECIFIED ? {} : { fromKind: kindOf(item.fromKind) }),
    title: item.title,
    path: item.path,
    changes: item.changes,
    fields: item.fields.map(({ pointer, from, to }) => ({
      pointer,
      from: (from ?? null) as unknown,
      to: (to ?? null) as unknown,
    })),
    ...(item.from ? { from: placeJson(item.from) } : {}),
    ...(item.to ? { to: placeJson(item.to) } : {}),
    ...(body?.content ? { content: body.content } : {}),
    ...(body?.truncated ? { contentTruncated: true } : {}),
  };
}

function placeJson(place: Place): Record<string, unknown> {
  return { parentId: orNull(place.parentId), position: place.position };
}

/** What differs in a document, as far as there is room for it. */
export interface ShownDiff {
  readonly content?: readonly Record<string, unknown>[];
  readonly truncated: boolean;
}

/** The difference of two documents, in the words of the API. */
export function shownDiff(diff: BodyDiff): ShownDiff {
  return { content: diff.changes.map(contentJson), truncated: diff.truncated };
}

function contentJson(change: ContentChange): Record<string, unknown> {
  const { pointer, hunks } = change;
  const from = change.from as unknown;
  const to = change.to as unknown;
  return {
    pointer,
    change: change.change,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(hunks.length === 0
      ? {}
      : {
          hunks: hunks.map((hunk) => ({
            from: { start: hunk.from?.start ?? 0, lines: hunk.from?.lines ?? 0 },
            to: { start: hunk.to?.start ?? 0, lines: hunk.to?.lines ?? 0 },
            lines: hunk.lines,
          })),
        }),
  };
}
