import { can } from '@coursewright/course-model/access';
import type { LessonInput } from '@coursewright/course-model/lesson';
import { AppError } from '@coursewright/platform/errors';
import { toHash } from '@coursewright/platform/ids';
import type { ArchiveLimits, Pause } from '../domain/archive.js';
import type { FileKeeper } from '../domain/olx/course-files.js';
import type { PackedBody } from '../domain/body-tasks.js';
import { addOps, updateOps, withPresentIds, type ImportOp, type KnownNode } from '../domain/import-ops.js';
import { ImportBook } from '../domain/import-report.js';
import { readOlxCourse } from '../domain/olx/read-course.js';
import { BodyQueue } from './body-queue.js';
import type { BodyWork } from './body-work.js';
import { createKeeper, last, lookedAt, pauseWithLines, saveLines } from './import-lines.js';
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
 * them into the course. Into a course that holds parts of the same source the hidden ref starts at its head: parts are found
 * again by their source and brought up to date, and the graft is refused when the head has moved on meanwhile. Every step has its
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
    last(await deps.imports.holds(job));
  };
  const pause = pauseWithLines(deps, job, book);
  const running: Running = { job, archive, book, keeper: createKeeper(deps.files, archive), pause, stillOurs };
  try {
    const title = await begin(deps, running);
    const plan = await planOf(deps, running);
    const { done, steps } = await applyAll(deps, running, plan);
    for (const loss of archive.skipped) {
      book.lose(loss);
      await pause();
    }
    await saveLines(deps, job, book);
    if (!job.newCourse) await askRoleAnew(deps, job);
    const graft = { importId: job.id, courseId: job.courseId, message: `Import ${title}`, ...startOf(plan.start) };
    await stillOurs();
    // No step, no difference: then there is nothing to bring in, and no commit to be made.
    const commit =
      steps === 0
        ? await deps.versioning.head(job.courseId, as(job))
        : (await deps.versioning.graft(graft, as(job, 'graft'))).commit;
    if (job.newCourse) {
      await stillOurs();
      await deps.catalog.registerCourse({ courseId: job.courseId, owner: job.startedBy.sub }, as(job, 'register'));
    }
    last(await deps.imports.finish(job, { commit, done, report: book.report }));
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

/** Makes the repository of a new course; answers the title of what is imported. */
async function begin(deps: ImportDeps, { job, stillOurs, ...running }: Running): Promise<string> {
  const first = await readOlxCourse({ ...lookedAt(running), importId: job.id }).next();
  if (first.done) throw new AppError('internal', 'INTERNAL', {}, { message: 'a course without a root' });
  const root = first.value;
  await stillOurs();
  if (job.newCourse) {
    const course = { courseId: job.courseId, fields: root.fields, source: root.source };
    await deps.versioning.createCourse(course, as(job, 'create'));
  } else await askRoleAnew(deps, job);
  return String(root.fields['title']);
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

/** The ops of the import, and the commit at which its hidden ref starts when the course holds parts of the source already. */
interface Plan {
  readonly ops: AsyncIterable<ImportOp>;
  readonly start?: string;
}

async function planOf(deps: ImportDeps, { job, ...running }: Running): Promise<Plan> {
  const { book, pause } = running;
  const known = job.newCourse ? [] : await knownParts(deps, job);
  const parts = new Set<string>();
  for (const node of known) if (node.parentId !== null) parts.add(node.key);
  await pause();
  let overlaps = false;
  // The source is read an extra time only where it matters: parts of its format are in the course.
  if (parts.size > 0) {
    for await (const node of readOlxCourse({ ...lookedAt(running), importId: job.id })) {
      overlaps = parts.has(node.source.key);
      if (overlaps) break;
    }
  }
  const nodes = readOlxCourse({ ...running, importId: job.id });
  if (!overlaps) return { ops: addOps(nodes, job.courseId) };
  const course = {
    id: job.courseId,
    known,
    pause,
    tell: (node: KnownNode, what: string) => book.lose({ source: node.key, what, kept: true }),
  };
  return { ops: updateOps(nodes, course), start: job.startCommit ?? '' };
}

/** What the course holds of the format at the commit at which the import began, the same at every attempt. */
async function knownParts(deps: ImportDeps, job: ImportJob): Promise<KnownNode[]> {
  if (job.startCommit === null) {
    const head = await deps.versioning.head(job.courseId, as(job));
    last(await deps.imports.saveStart(job, head));
    job.startCommit = head;
  }
  const place = { courseId: job.courseId, commit: job.startCommit, format: job.format };
  return deps.versioning.listSourced(place, as(job));
}

/** Applies all ops, step by step; answers how many. Steps that were made before are only counted. */
async function applyAll(
  deps: ImportDeps,
  { job, book, pause, stillOurs }: Running,
  { ops, start }: Plan,
): Promise<{ done: number; steps: number }> {
  const made = new Set((await deps.imports.steps(job.id)).map((step) => step.ordinal));
  const most = deps.step ?? STEP;
  const store = new BodyQueue(deps.bodies, job.courseId, most.bodies);
  let ordinal = 1;
  let done = 0;
  let taken = 0;
  let bytes = 0;
  let step: StoredOp[] = [];
  const commit = async (): Promise<void> => {
    if (!made.has(ordinal) && step.length > 0) {
      await stillOurs();
      // Bodies are stored while the source is read on; all of a step are durable before its commit.
      await store.drain();
      const request = { importId: job.id, courseId: job.courseId, ops: step, ...startOf(start) };
      const result = await deps.versioning.applyStep(request, as(job, String(ordinal)));
      await saveLines(deps, job, book);
      last(await deps.imports.saveStep(job, { ordinal, commit: result.commit }, { done, report: book.report }));
      made.add(ordinal);
    }
    ordinal++;
    step = [];
    taken = 0;
    bytes = 0;
  };
  for await (const op of ops) {
    await pause();
    const own = opBytes(op);
    // By bytes too: fields of a thousand nodes may be more than one call can carry.
    if (taken >= most.ops || (taken > 0 && bytes + own > BYTES_A_CALL)) await commit();
    const body = made.has(ordinal) ? undefined : await bodyOf(deps, job, op);
    const stored = storedOp(op, body);
    await pause();
    if (body && stored) await store.put(body);
    // An op that turns out to change nothing still has its place in the step, so that a repeat cuts the steps alike.
    step.push(...(stored ? [stored] : []));
    done++;
    taken++;
    bytes += own;
  }
  if (taken > 0) await commit();
  return { done, steps: made.size };
}

/** About how much of a call an op takes; the same at every attempt. */
function opBytes(op: ImportOp): number {
  if (op.op === 'add') return JSON.stringify(op.node).length;
  return op.op === 'setBody' ? OP_BYTES : JSON.stringify(op).length;
}

function storedOp(op: ImportOp, body: PackedBody | undefined): StoredOp | undefined {
  const hash = body && toHash(body.hash);
  if (op.op === 'add') return { op: 'add', node: { ...op.node, body: hash ?? null } };
  if (op.op !== 'setBody') return op;
  return hash === undefined || hash === op.presentBody ? undefined : { op: 'setBody', nodeId: op.nodeId, body: hash };
}

async function bodyOf(deps: ImportDeps, job: ImportJob, op: ImportOp): Promise<PackedBody | undefined> {
  if (op.op === 'add') return op.content && bodyFrom(deps, op.content, op.node.source.key);
  if (op.op !== 'setBody') return undefined;
  if (op.presentBody === null) return bodyFrom(deps, op.content, op.nodeId);
  const present = await deps.bodies.get(job.courseId, op.presentBody);
  return bodyFrom(deps, withPresentIds(op.content, present), op.nodeId);
}

/** The body of a document whose items have their ids, so that no seed is ever used. */
async function bodyFrom(deps: ImportDeps, content: LessonInput, of: string): Promise<PackedBody> {
  const sent = Buffer.from(JSON.stringify(content));
  try {
    return await deps.work.normalize({ sent, present: null, seed: of });
  } catch (error) {
    if (!(error instanceof AppError) || (error.kind !== 'invalid_argument' && error.kind !== 'too_large')) throw error;
    const [problem] = error.fields;
    const message = `${of}${problem?.pointer ?? ''} ${problem?.message ?? ''}`;
    throw new AppError('unprocessable', 'IMPORT_CONTENT_INVALID', {}, { message, fields: error.fields });
  }
}
