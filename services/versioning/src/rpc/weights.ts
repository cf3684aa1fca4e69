import type { NodeDiff } from '../domain/diff.js';
import { weightOf } from '../domain/sizes.js';
import type { FieldValue } from '../domain/objects.js';
import type { BranchView } from '../operations/branches.js';
import type { Commit } from '../operations/ports.js';

/** What ids, hashes and times of one thing weigh in an answer. */
const FIXED = 640;

/** What a commit weighs in an answer. */
export function weightOfCommit({ message, authorName, author, parents }: Commit): number {
  return FIXED + 60 * parents.length + Buffer.byteLength(message) + Buffer.byteLength(authorName) + author.length;
}

/** What a branch weighs in an answer; its metadata are any JSON. */
export function weightOfBranch({ metadata, name, parentName }: BranchView): number {
  const json = JSON.stringify(metadata);
  // A number of one character takes nine bytes, and each value its own head.
  return FIXED + name.length + parentName.length + Buffer.byteLength(json) + 16 * (json.match(/[,:[{]/g)?.length ?? 0);
}

/** What a node of a comparison weighs in an answer: its fields on both sides, its title and those above it. */
export function weightOfDiff({ fields, path, before, after }: NodeDiff): number {
  const values = fields.map(({ pointer, from, to }) =>
    weightOf({ [`${pointer} `]: from ?? null, [pointer]: to ?? null }),
  );
  const titles = [...path, titleOf(before?.fields.title), titleOf(after?.fields.title)];
  return (
    FIXED + values.reduce((sum, one) => sum + one, 0) + titles.reduce((sum, one) => sum + 8 + Buffer.byteLength(one), 0)
  );
}

function titleOf(title: FieldValue | undefined): string {
  return typeof title === 'string' ? title : '';
}
