import { can } from '@coursewright/course-model/access';
import { AppError } from '@coursewright/platform/errors';
import type { ArchiveLimits, Pause } from '../domain/archive.js';
import type { FileKeeper } from '../domain/olx/course-files.js';
import type { ImportOp } from '../domain/import-ops.js';
import { ImportBook } from '../domain/import-report.js';
import { readOlxCourse } from '../domain/olx/read-course.js';
import { BodyQueue } from './body-queue.js';
import type { BodyWork } from './body-work.js';
import { makeOp } from './import-documents.js';
import { createKeeper, requireLatestAttempt, dryRun, yieldAndSaveLines, saveLines } from './import-lines.js';
import { planImport, type Plan } from './plan-import.js';
import type { Files, ImportLines } from './file-ports.js';
import type { As, Bodies, Catalog, ImportJob, Imports, OpenArchive, Spool, StoredOp, Versioning } from './ports.js';

/** What the running of an import needs. */
export interface ImportDeps {
  readonly bodies: Bodies;
  readonly work: Pick<BodyWork, 'normalize'>;
  readonly versioning: Versioning;
  readonly catalog: Catalog;
  readonly imports: Imports;
  readonly lines: ImportLines;
  readonly files: Files;
  readonly spool: Spool;
  readonly limits: ArchiveLimits;
  /** Most ops of one commit and bodies of one call; 1,000 and 500 unless told. */
  readonly step?: { readonly ops: number; readonly bodies: number };
}

const STEP = { ops: 1000, bodies: 500 };
const BYTES_A_CALL = 3 * 1024 * 1024;
const OP_BYTES = 200;

/** One attempt at an import as it runs. */
interface Running {
  readonly job: ImportJob;
  readonly archive: OpenArchive;
  readonly book: ImportBook;
  readonly keeper: FileKeeper;
  readonly pause: Pause;
  /** Passes as long as this attempt is the last one; asked before anything outside of it is touched. */
  readonly stillOurs: () => Promise<void>;
}

/**
 * Runs an import to its end: changes go to a hidden ref in commits of at most 1,000 ops, bodies before them, then one graft brings
 * them into the course. Into a course into which the same source came before, the hidden ref starts at its head, and what the source said
 * last time is the base of the comparison (`merge-source.ts`): what was edited both here and there refuses the import, and so does a
 * head that has moved on meanwhile. Every step has its
 * own command id and makes the same thing when it is repeated, so that an import that died anywhere is simply run again. Stops
 * between two steps, with the signal's reason, when that is aborted, and when another attempt has followed.
 *
 * @throws AppError unprocessable with the reason why the archive cannot be imported; stale STALE; conflict SUPERSEDED when another
 *   attempt has followed; unavailable and insufficient_storage for another attempt later
 */
export async function runImport(
  deps: ImportDeps,
  job: ImportJob,
  signal: AbortSignal,
  book = new ImportBook(),
): Promise<void> {
  const archive = await deps.spool.open(job, job.mediaType, deps.limits);
  const stillOurs = async (): Promise<void> => {
    signal.throwIfAborted();
    requireLatestAttempt(await deps.imports.holds(job));
  };
  const pause = yieldAndSaveLines(deps, job, book);
  const running: Running = { job, archive, book, keeper: createKeeper(deps.files, archive), pause, stillOurs };
  try {
    const { title, sourceId } = await begin(deps, running);
    const nodes = readOlxCourse({ ...running, importId: job.id });
    const plan = await planImport(deps, job, { sourceId, nodes, pause, book, as: as(job) });
    const { done, commits } = await applyAll(deps, running, plan);
    for (const loss of archive.skipped) {
      book.lose(loss);
      await pause();
    }
    await saveLines(deps, job, book);
    if (plan.refused.length > 0) throw editedHere(plan.refused);
    if (!job.newCourse) await askRoleAnew(deps, job);
    const graft = { importId: job.id, courseId: job.courseId, message: `Import ${title}`, ...startOf(plan.start) };
    await stillOurs();
    // No commit, no difference: then there is nothing to bring in, and no commit to be made.
    const commit =
      commits === 0
        ? await deps.versioning.head(job.courseId, as(job))
        : (await deps.versioning.graft(graft, as(job, 'graft'))).commit;
    if (job.newCourse) {
      await stillOurs();
      await deps.catalog.registerCourse({ courseId: job.courseId, owner: job.startedBy.sub }, as(job, 'register'));
    }
    requireLatestAttempt(await deps.imports.finish(job, { commit, done, report: book.report }));
  } finally {
    await archive.close();
  }
}

/** On behalf of who started the import; a step that writes has a command of its own. */
function as(job: ImportJob, step?: string): As {
  if (step === undefined) return { person: job.startedBy };
  const id = `${job.id}/${step}`;
  return { person: job.startedBy, command: { id, fingerprint: id, kept: 'client' } };
}

function startOf(start: string | undefined): { start?: string } {
  return start === undefined ? {} : { start };
}

const MOST_NAMED = 10;

/** That parts were edited both here and in the source, with the first of them; the report has them all. */
function editedHere(refused: readonly string[]): AppError {
  const named = `${refused.slice(0, MOST_NAMED).join(', ')}${refused.length > MOST_NAMED ? ', …' : ''}`;
  const message = `${refused.length} parts were edited here and have changed in the source since its last import: ${named}; nothing was imported`;
  return new AppError('stale', 'STALE', { parts: refused.slice(0, MOST_NAMED) }, { message });
}

/** Makes the repository of a new course; answers what is imported: its title, and what it calls itself. */
async function begin(
  deps: ImportDeps,
  { job, stillOurs, ...running }: Running,
): Promise<{ title: string; sourceId: string }> {
  const first = await readOlxCourse({ ...dryRun(running), importId: job.id }).next();
  if (first.done) throw new AppError('internal', 'INTERNAL', {}, { message: 'a course without a root' });
  const root = first.value;
  await stillOurs();
  if (job.newCourse) {
    const course = { courseId: job.courseId, fields: root.fields, source: root.source };
    await deps.versioning.createCourse(course, as(job, 'create'));
  } else await askRoleAnew(deps, job);
  return { title: String(root.fields['title']), sourceId: root.sourceId ?? root.source.key };
}

/**
 * Accepted jobs go on without who started them; whether they still may is asked before a ref moves. A platform admin's right comes
 * with the token, and nobody keeps a list of platform admins that could be asked anew: it stands as it was when the job was accepted.
 */
async function askRoleAnew(deps: ImportDeps, job: ImportJob): Promise<void> {
  if (job.byPlatform) return;
  const roles = await deps.catalog.rolesOn(job.courseId, job.startedBy.sub, as(job));
  if (can(roles, 'course.write')) return;
  const message = 'who started the import may no longer write to the course';
  throw new AppError('permission_denied', 'FORBIDDEN', {}, { message });
}

/** Applies all steps, in commits of so many ops; answers how many ops there were. Commits that were made before are only counted. */
async function applyAll(
  deps: ImportDeps,
  { job, book, pause, stillOurs }: Running,
  plan: Plan,
): Promise<{ done: number; commits: number }> {
  const { steps, start } = plan;
  const made = new Set((await deps.imports.steps(job.id)).map((step) => step.ordinal));
  const most = deps.step ?? STEP;
  const store = new BodyQueue(deps.bodies, job.courseId, most.bodies);
  let ordinal = 1;
  let done = 0;
  let taken = 0;
  let bytes = 0;
  let ops: StoredOp[] = [];
  const commit = async (): Promise<void> => {
    if (!made.has(ordinal) && ops.length > 0) {
      await stillOurs();
      // Bodies are stored while the source is read on; all of a step are durable before its commit.
      await store.drain();
      const request = { importId: job.id, courseId: job.courseId, ops, ...startOf(start) };
      const result = await deps.versioning.applyStep(request, as(job, String(ordinal)));
      await saveLines(deps, job, book);
      requireLatestAttempt(
        await deps.imports.saveStep(job, { ordinal, commit: result.commit }, { done, report: book.report }),
      );
      made.add(ordinal);
    }
    ordinal++;
    ops = [];
    taken = 0;
    bytes = 0;
  };
  for await (const { op, part } of steps) {
    await pause();
    const own = op === undefined ? 0 : opBytes(op);
    // By bytes too: fields of a thousand nodes may be more than one call can carry.
    if (op && (taken >= most.ops || (taken > 0 && bytes + own > BYTES_A_CALL))) await commit();
    // What a commit of before has added need not be made again; what is compared is, for the comparison's sake.
    const isMade = made.has(ordinal);
    const { stored, body, digest, told, refused } = isMade && op?.op === 'add' ? {} : await makeOp(deps, job, op);
    await pause();
    if (body && stored && !isMade) await store.put(body);
    const source = part?.key ?? '';
    if (told !== undefined) book.lose({ source, what: told, kept: true });
    if (refused !== undefined) plan.refuse(source, refused);
    if (part) book.remember({ ...part, items: digest?.items ?? null, objectives: digest?.objectives ?? null });
    if (!op) continue;
    // An op that turns out to change nothing still has its place in the step, so that a repeat cuts the steps alike.
    ops.push(...(stored ? [stored] : []));
    done++;
    taken++;
    bytes += own;
  }
  if (taken > 0) await commit();
  return { done, commits: made.size };
}

/** About how much of a call an op takes; the same at every attempt. */
function opBytes(op: ImportOp): number {
  if (op.op === 'add') return JSON.stringify(op.node).length;
  return op.op === 'setBody' || op.op === 'absent' ? OP_BYTES : JSON.stringify(op).length;
}
