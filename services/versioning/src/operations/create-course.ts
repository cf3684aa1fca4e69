import { AppError } from '@coursewright/platform/errors';
import { buildTree } from '../domain/build-tree.js';
import { checkFields, patchFields } from '../domain/fields.js';
import { ObjectPool } from '../domain/object-pool.js';
import type { Source } from '../domain/objects.js';
import { BranchAdvance } from './advance.js';
import { done, NO_COMMIT } from './commit.js';
import type { WriteOutcome } from './outcomes.js';
import type { Branch, CommandKey, Deps, WriteTx } from './ports.js';

/** A course to be made. */
export interface CreateCourseInput {
  readonly courseId: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly source: Source | null;
  readonly author: { readonly id: string; readonly name: string };
  readonly command: CommandKey | null;
}

/** The answer to who makes the same course again: its first commit. Another's course is not told of. */
async function madeBefore(tx: WriteTx, courseId: string, maker: string): Promise<WriteOutcome> {
  const branch = (await tx.reads.course(courseId, ''))?.branch;
  const [home] = await tx.reads.homes([courseId]);
  const first = home?.born && (await tx.reads.commits(courseId, [home.born])).get(home.born);
  if (!branch || !first) throw new AppError('internal', 'OBJECT_MISSING', { courseId });
  if (first.author !== maker) return { outcome: 'taken', ids: [courseId] };
  return done(branch, first, { unchanged: true, nodeIds: [courseId] });
}

/** The name of the branch that every course begins with. */
export const DEFAULT_BRANCH = 'main';

/**
 * Makes the repository of a course: a root node, its first commit and the branch `main`. Idempotent by the course's id for who made
 * it: the answer is its first commit again, unchanged. An id that is anybody else's, or another course's node, is taken.
 */
export async function createCourse(deps: Deps, input: CreateCourseInput): Promise<WriteOutcome> {
  const { courseId, author, source } = input;
  const checked = checkFields(input.fields, '/fields');
  const whole = checked.ok ? patchFields({}, checked.fields, 'course', '/fields') : checked;
  if (!whole.ok) return { outcome: 'refused', problems: whole.problems };
  return deps.store.write(async (tx) => {
    const at = deps.now();
    const branch: Branch = {
      id: deps.newId(),
      courseId,
      name: DEFAULT_BRANCH,
      head: Buffer.alloc(32).toString('base64url'),
      isHidden: false,
      isProtected: false,
      isClosed: false,
      metadata: {},
      parentId: null,
      base: null,
      revision: 1,
      createdBy: author.id,
      createdAt: at,
    };
    if (!(await tx.insertCourse({ courseId, defaultBranch: branch.id, createdBy: author.id, at }))) {
      return madeBefore(tx, courseId, author.id);
    }
    const homes = await tx.reads.homes([courseId]);
    if (homes.length > 0) throw new AppError('already_exists', 'ID_TAKEN', { ids: [courseId] });
    await tx.insertBranch(branch, null, []);
    const pool = new ObjectPool(tx.reads.objects(courseId));
    const tree = buildTree(pool, { id: courseId, kind: 'course', fields: whole.fields, source });
    const advance = new BranchAdvance(tx, pool, { branch, head: NO_COMMIT, isDefault: true });
    const root = {
      id: courseId,
      kind: 'course',
      what: ['added'],
      fields: whole.fields,
      parent: null,
      body: null,
      bodyChanged: false,
      bodyOnly: false,
    } as const;
    const commit = advance.add(
      { tree, changes: [root] },
      { author, message: 'Create the course', kind: 'edit', at },
      new Map(),
    );
    const outcome = done(branch, commit, { unchanged: false, nodeIds: [courseId] });
    await advance.write(
      input.command && outcome.outcome === 'done' ? [{ key: input.command, result: { ...outcome.result } }] : [],
    );
    return outcome;
  });
}
