import { isAtMost } from '@coursewright/course-model/text-length';
import { AppError } from '@coursewright/platform/errors';
import { branchCreated } from '../domain/events.js';
import { aheadBehind } from '../domain/history.js';
import { isHidden, nameProblem } from '../domain/names.js';
import type { Branch, CommandKey, Deps, VersioningReads, WriteTx } from './ports.js';
import { resolveRef } from './refs.js';

/** A branch with where it stands against the branch it was made from. */
export interface BranchView extends Branch {
  readonly parentName: string;
  readonly ahead: number;
  readonly behind: number;
  readonly isDefault: boolean;
}

const MAX_METADATA = 16_384;

/** A branch to be made. */
export interface CreateBranchInput {
  readonly courseId: string;
  readonly name: string;
  /** Any ref; empty means the default branch. */
  readonly from: string;
  readonly isProtected: boolean;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly createdBy: string;
  readonly command: CommandKey | null;
}

/**
 * Makes a branch at a commit: one row, whatever the size of the course, and the event `branch-created`. Idempotent by its command. Throws
 * invalid_argument `NAME_INVALID`, already_exists `NAME_TAKEN`, conflict `COURSE_CLOSED`, not_found `COURSE_NOT_FOUND`, `REF_NOT_FOUND`.
 */
export async function createBranch(deps: Deps, input: CreateBranchInput): Promise<BranchView> {
  const problem = nameProblem(input.name);
  if (problem !== null) {
    const fields = [{ pointer: '/name', code: 'name', message: problem }];
    throw new AppError('invalid_argument', 'NAME_INVALID', { name: input.name }, { fields, message: problem });
  }
  if (!isAtMost(JSON.stringify(input.metadata), MAX_METADATA)) {
    throw new AppError(
      'invalid_argument',
      'METADATA_TOO_LARGE',
      {},
      { fields: [{ pointer: '/metadata', code: 'too_large', message: `at most ${MAX_METADATA} characters of JSON` }] },
    );
  }
  const { courseId, name, isProtected, metadata, createdBy, command } = input;
  return deps.store.write(async (tx) => {
    const { branch: main, states } = await tx.openBranch(courseId, '', [command]);
    // Before a course was closed the command may have been done, while this one waited for the course's lock.
    const waited = main?.isClosed === true && states[0]?.state === 'fresh';
    const [kept] = waited ? await tx.findCommands([command]) : states;
    if (kept?.state === 'done') return fromKept(kept.result);
    if (kept?.state === 'in_progress') throw new AppError('conflict', 'IN_PROGRESS', { retryAfterSeconds: 1 });
    if (kept?.state === 'reused') throw new AppError('unprocessable', 'IDEMPOTENCY_KEY_REUSED');
    // After the command: a repeat is answered even when the ref is gone.
    const from = await startOf(tx, courseId, input.from, main);
    if (main?.isClosed) throw new AppError('conflict', 'COURSE_CLOSED');
    const branch: Branch = {
      id: deps.newId(),
      courseId,
      name,
      head: from.commit,
      isHidden: false,
      isProtected,
      isClosed: false,
      metadata,
      parentId: from.branchId === '' ? null : from.branchId,
      base: from.commit,
      revision: 1,
      createdBy,
      createdAt: deps.now(),
    };
    const move = {
      ref: branch.id,
      from: null,
      to: branch.head,
      actor: createdBy,
      reason: 'branch',
      at: branch.createdAt,
    };
    const parentName = from.branchId === '' ? '' : from.name;
    const made = { ...branch, parentName, ahead: 0, behind: 0, isDefault: false };
    const results = command ? [{ key: command, result: toKept(made) }] : [];
    if (!(await tx.insertBranch(branch, move, results))) throw new AppError('already_exists', 'NAME_TAKEN', { name });
    await tx.enqueue([branchCreated(branch)]);
    return made;
  });
}

/** Where a branch is to begin. `main` is the default branch as it was just locked: most branches begin there, and nothing is read twice. */
async function startOf(
  tx: WriteTx,
  courseId: string,
  ref: string,
  main: Branch | null,
): Promise<{ readonly commit: string; readonly branchId: string; readonly name: string }> {
  if (main && (ref === '' || ref === main.name)) return { commit: main.head, branchId: main.id, name: main.name };
  const { commit, branchId, name } = await resolveRef(tx.reads, courseId, ref);
  return { commit: commit.hash, branchId, name };
}

/**
 * A branch as its command keeps it, so that a repeat answers what the first did however far the branch has come since. It is the JSON of
 * the contract's Branch: the gateway reads it too.
 */
function toKept(made: BranchView): Record<string, unknown> {
  const { id, name, courseId, head, parentName, base, metadata, createdBy, createdAt, revision } = made;
  const { isProtected, isDefault, ahead, behind } = made;
  return {
    ...{ id, name, courseId, head, parent: parentName, base, ahead, behind, createdBy, metadata, revision },
    ...{ protected: isProtected, createdAt: createdAt.toISOString(), defaultBranch: isDefault },
  };
}

function fromKept(kept: Readonly<Record<string, unknown>>): BranchView {
  const { parent, protected: isProtected, defaultBranch, createdAt, ...same } = kept;
  return {
    ...(same as unknown as BranchView),
    parentId: null,
    parentName: String(parent),
    isProtected: isProtected === true,
    isHidden: false,
    isClosed: false,
    isDefault: defaultBranch === true,
    createdAt: new Date(String(createdAt)),
  };
}

/** One branch by name; empty means the default one. Throws not_found `COURSE_NOT_FOUND`, `BRANCH_NOT_FOUND`. */
export async function getBranch(reads: VersioningReads, courseId: string, name: string): Promise<BranchView> {
  const course = await reads.course(courseId, name);
  if (!course) throw new AppError('not_found', 'COURSE_NOT_FOUND', { courseId });
  if (!course.branch || isHidden(course.branch.name)) throw new AppError('not_found', 'BRANCH_NOT_FOUND', { name });
  return viewOf(reads, course.branch, course.defaultBranch);
}

/** The visible branches of a course by name, after `after`. Throws not_found `COURSE_NOT_FOUND`. */
export async function listBranches(
  reads: VersioningReads,
  courseId: string,
  page: { readonly after: string; readonly limit: number },
): Promise<{ readonly branches: readonly BranchView[]; readonly next: string | null }> {
  const course = await reads.course(courseId, '');
  if (!course) throw new AppError('not_found', 'COURSE_NOT_FOUND', { courseId });
  const rows = await reads.branches(courseId, page.after, page.limit + 1);
  const shown = rows.slice(0, page.limit);
  const branches = await Promise.all(shown.map((branch) => viewOf(reads, branch, course.defaultBranch)));
  return { branches, next: rows.length > page.limit ? (shown.at(-1)?.name ?? null) : null };
}

async function viewOf(reads: VersioningReads, branch: Branch, defaultBranch?: string): Promise<BranchView> {
  const { courseId, parentId, head } = branch;
  const [parent] = parentId === null ? [] : await reads.branchesById(courseId, [parentId]);
  const counts = parent ? await aheadBehind(reads.links(courseId), head, parent.head) : { ahead: 0, behind: 0 };
  const isDefault = (defaultBranch ?? (await reads.course(courseId, ''))?.defaultBranch) === branch.id;
  return { ...branch, parentName: parent?.name ?? '', ...counts, isDefault };
}
