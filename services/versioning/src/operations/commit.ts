import { AppError } from '@coursewright/platform/errors';
import { applyOps } from '../domain/apply-ops.js';
import { buildTree } from '../domain/build-tree.js';
import { COMMIT_FORMAT } from '../domain/commit.js';
import { NO_COUNTS } from '../domain/kinds.js';
import { isHidden } from '../domain/names.js';
import { ObjectPool } from '../domain/object-pool.js';
import { MAX_OPS, type Expectation, type Op } from '../domain/ops.js';
import type { TreeRef } from '../domain/tree-draft.js';
import { BranchAdvance, type Authorship } from './advance.js';
import type { WriteOutcome, WriteResult } from './outcomes.js';
import type { Branch, CommandKey, CommandResult, Commit, Deps, WriteTx } from './ports.js';
import { isReachable } from './refs.js';

/** A change as a caller asks for it. */
export interface CommitInput extends Omit<Authorship, 'at'> {
  readonly courseId: string;
  /** Name of the branch; empty means the default one. */
  readonly branch: string;
  /** The head that the caller read; empty means the present one. */
  readonly base: string;
  /** Refuse unless this is the present head; empty means any. */
  readonly expectedHead: string;
  readonly expect: readonly Expectation[];
  readonly ops: readonly Op[];
  /** For hidden branches that do not exist yet: the commit they start at; empty means an empty course. */
  readonly start: string;
  /** Whether the author may write to protected branches. */
  readonly mayPassProtection: boolean;
  readonly command: CommandKey | null;
  /** Aborted when nobody waits for the answer any more; a change that has not begun then is dropped. */
  readonly signal?: AbortSignal;
}

/**
 * Applies changes of one branch in one transaction, one after the other, each with its own outcome: as if each had come alone.
 * Atomic: commits, objects, head, events and the commands' results are written together. A repeated command gets its first result.
 * Every input must be of the same course and branch, and no command may occur twice.
 */
export async function commitGroup(deps: Deps, inputs: readonly CommitInput[]): Promise<WriteOutcome[]> {
  const first = inputs[0];
  if (!first) return [];
  return deps.store.write(async (tx) => {
    const keys = inputs.map(({ command }) => command);
    const { branch, states } = await tx.openBranch(first.courseId, first.branch, keys);
    const outcomes: (WriteOutcome | null)[] = states.map((state) => {
      if (state.state === 'done') return { outcome: 'done', result: state.result as unknown as WriteResult };
      if (state.state === 'in_progress') return { outcome: 'in_progress' };
      return state.state === 'reused' ? { outcome: 'key_reused' } : null;
    });
    if (!outcomes.includes(null)) return outcomes as WriteOutcome[];
    const pool = new ObjectPool(tx.reads.objects(first.courseId));
    const opened = await openAt(deps, { tx, pool, branch }, first);
    if ('outcome' in opened)
      return orFirstResults(
        tx,
        keys,
        outcomes.map((outcome) => outcome ?? opened),
      );
    const results: CommandResult[] = [];
    for (const [i, input] of inputs.entries()) {
      if (outcomes[i]) continue;
      const outcome = await commitOne(deps, tx, { pool, ...opened }, input).catch((error: unknown): WriteOutcome => ({
        outcome: 'failed',
        error,
      }));
      outcomes[i] = outcome;
      if (outcome.outcome === 'done' && input.command)
        results.push({ key: input.command, result: { ...outcome.result } });
    }
    if (opened.isNew) {
      // A branch is made for what is written to it: a refused change leaves none behind.
      const isFresh = (i: number): boolean => states[i]?.state === 'fresh';
      const isDone = outcomes.some((outcome, i) => outcome?.outcome === 'done' && isFresh(i));
      if (!isDone) return orFirstResults(tx, keys, outcomes as WriteOutcome[]);
      if (!(await tx.insertBranch(opened.branch, null, [])))
        return outcomes.map((outcome, i) => (isFresh(i) || !outcome ? { outcome: 'in_progress' } : outcome));
      // The insertion has taken the course's lock: what is read from here on is what it stays.
      if ((await tx.reads.course(first.courseId, ''))?.branch?.isClosed !== false)
        throw new AppError('conflict', 'COURSE_CLOSED');
    }
    const told = await orFirstResults(tx, keys, outcomes as WriteOutcome[]);
    await opened.advance.write(results);
    return told;
  });
}

const REFUSED: ReadonlySet<WriteOutcome['outcome']> = new Set([
  'stale',
  'gone',
  'taken',
  'refused',
  'missing',
  'protected',
  'closed',
] as const);

/**
 * What was refused is looked up once more: its command may have been done while this transaction waited to begin, and may itself be why
 * it is refused now.
 */
async function orFirstResults(
  tx: WriteTx,
  keys: readonly (CommandKey | null)[],
  outcomes: readonly WriteOutcome[],
): Promise<WriteOutcome[]> {
  const refused = keys.map((key, i) => (REFUSED.has(outcomes[i]?.outcome ?? 'failed') ? key : null));
  if (refused.every((key) => key === null)) return [...outcomes];
  const states = await tx.findCommands(refused);
  return outcomes.map((outcome, i) => {
    const state = states[i];
    if (state?.state === 'done') return { outcome: 'done', result: state.result as unknown as WriteResult };
    return state?.state === 'reused' ? { outcome: 'key_reused' } : outcome;
  });
}

interface Opened {
  readonly branch: Branch;
  /** The head as the transaction found it. */
  readonly start: Commit;
  /** Not in the database yet. */
  readonly isNew: boolean;
  readonly advance: BranchAdvance;
}

/** Reads the head of the locked branch; a hidden branch is made when it is not there. */
async function openAt(
  deps: Deps,
  { tx, pool, branch }: { readonly tx: WriteTx; readonly pool: ObjectPool; readonly branch: Branch | null },
  input: CommitInput,
): Promise<Opened | WriteOutcome> {
  const { courseId } = input;
  if (branch) {
    if (branch.isClosed) return { outcome: 'closed' };
    const head = (await tx.reads.commits(courseId, [branch.head])).get(branch.head);
    if (!head) return { outcome: 'missing', what: 'commit', name: branch.head };
    const isDefault = input.branch === '' || (await isDefaultBranch(tx, branch));
    return { branch, start: head, isNew: false, advance: new BranchAdvance(tx, pool, { branch, head, isDefault }) };
  }
  const course = await tx.reads.course(courseId, '');
  if (!course) return { outcome: 'missing', what: 'course', name: courseId };
  if (!isHidden(input.branch)) return { outcome: 'missing', what: 'branch', name: input.branch };
  if (course.branch?.isClosed) return { outcome: 'closed' };
  return startHidden(deps, tx, pool, input);
}

async function isDefaultBranch(tx: WriteTx, branch: Branch): Promise<boolean> {
  if (branch.isHidden) return false;
  return (await tx.reads.course(branch.courseId, ''))?.defaultBranch === branch.id;
}

async function startHidden(
  deps: Deps,
  tx: WriteTx,
  pool: ObjectPool,
  input: CommitInput,
): Promise<Opened | WriteOutcome> {
  const { courseId, author, start } = input;
  const known = start === '' ? NO_COMMIT : (await tx.reads.commits(courseId, [start])).get(start);
  if (!known || (start !== '' && !(await isReachable(tx.reads, courseId, known, { near: '', hiddenToo: false }))))
    return { outcome: 'missing', what: 'commit', name: start };
  const branch: Branch = {
    id: deps.newId(),
    courseId,
    name: input.branch,
    head: start === '' ? EMPTY_HASH : start,
    isHidden: true,
    isProtected: false,
    isClosed: false,
    metadata: {},
    parentId: null,
    base: start === '' ? null : start,
    revision: 1,
    createdBy: author.id,
    createdAt: deps.now(),
  };
  const advance = new BranchAdvance(tx, pool, { branch, head: known, isDefault: false });
  if (start === '') {
    const tree = buildTree(pool, { id: courseId, kind: 'course', fields: {} });
    advance.add(
      { tree, changes: [] },
      { author, message: 'Start an import', kind: 'import', at: deps.now() },
      new Map(),
    );
  }
  return { branch, start: known, isNew: true, advance };
}

const EMPTY_HASH = Buffer.alloc(32).toString('base64url');

/** What stands before the first commit of a branch that starts with an empty course. */
export const NO_COMMIT: Commit = {
  hash: '',
  format: COMMIT_FORMAT,
  gen: 0,
  root: '',
  index: '',
  parents: [],
  author: '',
  authorName: '',
  at: new Date(0),
  kind: 'edit',
  message: '',
  changeSet: null,
  changes: { added: 0, removed: 0, moved: 0, edited: 0 },
  counts: NO_COUNTS,
};

async function commitOne(
  deps: Deps,
  tx: WriteTx,
  at: Opened & { readonly pool: ObjectPool },
  input: CommitInput,
): Promise<WriteOutcome> {
  const { branch, advance, pool } = at;
  const head = advance.head;
  if (branch.isProtected && !input.mayPassProtection) return { outcome: 'protected', branch: branch.name };
  if (input.ops.length > MAX_OPS) {
    return { outcome: 'refused', problems: [{ pointer: '/ops', code: 'too_many', message: `at most ${MAX_OPS} ops` }] };
  }
  const base = await baseOf(tx, at, input);
  if (!base) return { outcome: 'missing', what: 'commit', name: input.base };
  const applied = await applyOps(pool, {
    head: treeOf(head),
    base: treeOf(base),
    ops: input.ops,
    expect: input.expect,
  });
  const isHeadMoved = input.expectedHead !== '' && input.expectedHead !== head.hash;
  if (applied.outcome === 'unchanged') return done(branch, head, { unchanged: true, nodeIds: applied.nodes });
  if (isHeadMoved) return { outcome: 'stale', head: head.hash };
  if (applied.outcome === 'stale') return { ...applied, head: head.hash };
  if (applied.outcome === 'taken') return { outcome: 'taken', ids: [applied.id] };
  if (applied.outcome !== 'changed') return applied;
  const added = applied.changes.filter((change) => change.what.includes('added')).map(({ id }) => id);
  const homes = await advance.homes(added);
  const foreign = added.filter((id) => (homes.get(id)?.courseId ?? input.courseId) !== input.courseId);
  if (foreign.length > 0) return { outcome: 'taken', ids: foreign.slice(0, 20) };
  const { author, message, kind, traceparent } = input;
  const commit = advance.add(
    { tree: applied.tree, changes: applied.changes },
    { author, message, kind, at: deps.now(), traceparent },
    homes,
  );
  return done(branch, commit, { unchanged: false, nodeIds: applied.nodes });
}

/** The commit that the writer read; undefined when the course has none of that name that he can have read. */
async function baseOf(
  tx: WriteTx,
  { advance, start, branch }: Opened,
  input: CommitInput,
): Promise<Commit | undefined> {
  const { courseId, base } = input;
  if (base === '' || base === advance.head.hash) return advance.head;
  const commit = (await tx.reads.commits(courseId, [base])).get(base);
  const reach = { near: start.hash, hiddenToo: branch.isHidden };
  return commit && (await isReachable(tx.reads, courseId, commit, reach)) ? commit : undefined;
}

/** The tree of a commit. */
export function treeOf({ root, index }: TreeRef): TreeRef {
  return { root, index };
}

/** The outcome of a write that was done, or had nothing to do. */
export function done(
  branch: Branch,
  commit: Commit,
  { unchanged, nodeIds }: { unchanged: boolean; nodeIds: readonly string[] },
): WriteOutcome {
  const { courseId, id, name } = branch;
  return {
    outcome: 'done',
    result: {
      courseId,
      branchId: id,
      branch: name,
      commit: commit.hash,
      tree: commit.root,
      unchanged,
      at: commit.at.toISOString(),
      nodeIds,
    },
  };
}
