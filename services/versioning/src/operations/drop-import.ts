import { AppError } from '@coursewright/platform/errors';
import { allPlacements } from '../domain/index-trie.js';
import { ObjectPool } from '../domain/object-pool.js';
import type { Branch, Deps, RefMove, WriteTx } from './ports.js';

/** A failed import whose traces are to go. */
export interface DropImportInput {
  readonly courseId: string;
  /** Name of the hidden branch. */
  readonly name: string;
  /** The course was made by the import, and nobody has it in the registry. */
  readonly courseUnregistered: boolean;
  /** Id of who has it dropped. */
  readonly actor: string;
}

/** Ids of one statement: an import may have 100,000 nodes. */
const PAGE = 5_000;

/**
 * Takes away the hidden branch of an import, and the homes of its nodes that were never seen, so that their ids may be used again;
 * and the course, when the import made it and nothing but its first commit is visible. Objects of a branch that is dropped alone
 * are left to the collector. Idempotent: answers false when nothing was left to drop. Throws internal `OBJECT_MISSING`.
 */
export async function dropImport(deps: Deps, input: DropImportInput): Promise<boolean> {
  const { courseId, name, courseUnregistered } = input;
  return deps.store.write(async (tx) => {
    if (courseUnregistered) await tx.lockCourse(courseId);
    const { branch } = await tx.openBranch(courseId, name, []);
    const isThere = branch?.isHidden === true;
    if (isThere) {
      await freeIds(tx, branch);
      await tx.dropBranch(branch, lastMove(deps, branch, input));
    }
    const isCourseGone = courseUnregistered && (await dropCourse(deps, tx, input));
    return isThere || isCourseGone;
  });
}

async function freeIds(tx: WriteTx, { courseId, head }: Branch): Promise<void> {
  const commit = (await tx.reads.commits(courseId, [head])).get(head);
  if (!commit) throw new AppError('internal', 'OBJECT_MISSING', { courseId });
  const pool = new ObjectPool(tx.reads.objects(courseId));
  // In one order everywhere, as homes are written, so that two transactions never wait for each other.
  const nodes = [...(await allPlacements(pool, commit.index)).keys()].sort();
  for (let at = 0; at < nodes.length; at += PAGE) await tx.dropUnseen(courseId, nodes.slice(at, at + PAGE));
}

async function dropCourse(deps: Deps, tx: WriteTx, input: DropImportInput): Promise<boolean> {
  const { courseId } = input;
  const branch = (await tx.reads.course(courseId, ''))?.branch;
  if (!branch) return false;
  const head = (await tx.reads.commits(courseId, [branch.head])).get(branch.head);
  if (head?.parents.length !== 0 || !(await tx.hasNothingElse(courseId))) return false;
  await tx.dropBranch(branch, lastMove(deps, branch, input));
  await tx.dropCourse(courseId);
  return true;
}

function lastMove(deps: Deps, branch: Branch, { actor }: DropImportInput): RefMove {
  return { ref: branch.id, from: branch.head, to: null, actor, reason: 'drop-import', at: deps.now() };
}
