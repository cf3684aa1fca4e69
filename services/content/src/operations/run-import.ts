import { can } from '@coursewright/course-model/access';
import type { Body } from '@coursewright/course-model/body';
import type { LessonInput } from '@coursewright/course-model/lesson';
import { normalizeLesson } from '@coursewright/course-model/normalize-lesson';
import { AppError } from '@coursewright/platform/errors';
import { toHash } from '@coursewright/platform/ids';
import type { Archive, ArchiveLimits } from '../domain/archive.js';
import { addOps, updateOps, withPresentIds, type ImportOp, type KnownNode } from '../domain/import-ops.js';
import { addLoss, emptyReport, type ImportReport } from '../domain/import-report.js';
import { readOlxCourse } from '../domain/olx/read-course.js';
import type { As, Bodies, Catalog, ImportJob, Imports, Spool, StoredOp, Versioning } from './ports.js';

/** What the running of an import needs. */
export interface ImportDeps {
  readonly bodies: Bodies;
  readonly versioning: Versioning;
  readonly catalog: Catalog;
  readonly imports: Imports;
  readonly spool: Spool;
  readonly limits: ArchiveLimits;
  /** Most ops of one commit and bodies of one call; 1,000 and 500 unless told. */
  readonly step?: { readonly ops: number; readonly bodies: number };
}

const STEP = { ops: 1000, bodies: 500 };
const BYTES_A_CALL = 4 * 1024 * 1024;
/** So many ops are made between two chances for other work of the process. */
const OPS_A_TURN = 20;

/**
 * Runs an import to its end: changes go to a hidden ref in commits of at most 1,000 ops, bodies before them, then one graft brings
 * them into the course. Into a course that holds parts of the same source the hidden ref starts at its head: parts are found
 * again by their source and brought up to date, and the graft is refused when the head has moved on meanwhile. Every step has its
 * own command id and makes the same thing when it is repeated, so that an import that died anywhere is simply run again. Stops
 * between two steps when the signal is aborted.
 *
 * @throws AppError unprocessable with the reason why the archive cannot be imported; stale STALE; unavailable when a service is
 *   away, for another attempt
 */
export async function runImport(
  deps: ImportDeps,
  job: ImportJob,
  signal: AbortSignal,
  report: ImportReport = emptyReport(),
): Promise<void> {
  const archive = await deps.spool.open(job.id, job.mediaType, deps.limits);
  try {
    const title = await begin(deps, job, archive);
    const plan = await planOf(deps, job, { archive, report });
    const { done, steps } = await applyAll(deps, job, { ...plan, report, signal });
    for (const loss of archive.skipped) addLoss(report, loss);
    if (!job.newCourse) await askRoleAnew(deps, job);
    const graft = { importId: job.id, courseId: job.courseId, message: `Import ${title}`, ...startOf(plan.start) };
    // No step, no difference: then there is nothing to bring in, and no commit to be made.
    const commit =
      steps === 0
        ? await deps.versioning.head(job.courseId, as(job))
        : (await deps.versioning.graft(graft, as(job, 'graft'))).commit;
    if (job.newCourse) {
      await deps.catalog.registerCourse({ courseId: job.courseId, owner: job.startedBy.sub }, as(job, 'register'));
    }
    await deps.imports.finish(job, { commit, done, report });
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
async function begin(deps: ImportDeps, job: ImportJob, archive: Archive): Promise<string> {
  const [root] = readOlxCourse(archive, job.id, emptyReport());
  if (!root) throw new AppError('internal', 'INTERNAL', {}, { message: 'a course without a root' });
  if (job.newCourse) {
    const course = { courseId: job.courseId, fields: root.fields, source: root.source };
    await deps.versioning.createCourse(course, as(job, 'create'));
  } else await askRoleAnew(deps, job);
  return String(root.fields['title']);
}

/** Accepted jobs go on without their starter; whether he still may is asked before a ref moves. */
async function askRoleAnew(deps: ImportDeps, job: ImportJob): Promise<void> {
  const roles = await deps.catalog.rolesOn(job.courseId, job.startedBy.sub, as(job));
  if (!can(roles, 'course.write')) {
    throw new AppError(
      'permission_denied',
      'FORBIDDEN',
      {},
      { message: 'who started the import may no longer write to the course' },
    );
  }
}

/** The ops of the import, and the commit at which its hidden ref starts when the course holds parts of the source already. */
async function planOf(
  deps: ImportDeps,
  job: ImportJob,
  { archive, report }: { archive: Archive; report: ImportReport },
): Promise<{ ops: Iterable<ImportOp>; start?: string }> {
  const known = job.newCourse ? [] : await knownParts(deps, job);
  const parts = new Set(known.filter((node) => node.parentId !== null).map((node) => node.key));
  let overlaps = false;
  // The source is read an extra time only where it matters: parts of its format are in the course.
  if (parts.size > 0)
    for (const node of readOlxCourse(archive, job.id, emptyReport())) overlaps ||= parts.has(node.source.key);
  const nodes = readOlxCourse(archive, job.id, report);
  if (!overlaps) return { ops: addOps(nodes, job.courseId) };
  const gone = (node: KnownNode) => {
    addLoss(report, {
      source: node.key,
      what: 'is in the course but no longer in the archive; it was left as it is',
      kept: true,
    });
  };
  const start = job.startCommit ?? '';
  return { ops: updateOps(nodes, { id: job.courseId, known }, gone), start };
}

/** What the course holds of the format at the commit at which the import began, the same at every attempt. */
async function knownParts(deps: ImportDeps, job: ImportJob): Promise<KnownNode[]> {
  if (job.startCommit === null) {
    job.startCommit = await deps.versioning.head(job.courseId, as(job));
    await deps.imports.saveStart(job.id, job.startCommit);
  }
  const place = { courseId: job.courseId, commit: job.startCommit, format: job.format };
  return deps.versioning.listSourced(place, as(job));
}

interface Applying {
  ops: Iterable<ImportOp>;
  start?: string;
  report: ImportReport;
  signal: AbortSignal;
}

/** Applies all ops, step by step; answers how many. Steps that were made before are only counted. */
async function applyAll(
  deps: ImportDeps,
  job: ImportJob,
  { ops, start, report, signal }: Applying,
): Promise<{ done: number; steps: number }> {
  const made = new Set((await deps.imports.steps(job.id)).map((step) => step.ordinal));
  const most = deps.step ?? STEP;
  let ordinal = 1;
  let done = 0;
  let step: StoredOp[] = [];
  let bodies: Body[] = [];
  let bytes = 0;
  // Bodies are stored while the source is read on; all of a step are durable before its commit.
  let storing: Promise<void> = Promise.resolve();
  const store = async (): Promise<void> => {
    await storing;
    if (bodies.length === 0) return;
    storing = deps.bodies.putMany(job.courseId, bodies);
    // A failure is met where the promise is awaited next; until then it must not count as unhandled.
    storing.catch(() => undefined);
    bodies = [];
    bytes = 0;
  };
  const commit = async (): Promise<void> => {
    if (!made.has(ordinal) && step.length > 0) {
      if (signal.aborted) throw new AppError('unavailable', 'STOPPED');
      await store();
      await storing;
      const request = { importId: job.id, courseId: job.courseId, ops: step, ...startOf(start) };
      const result = await deps.versioning.applyStep(request, as(job, String(ordinal)));
      await deps.imports.saveStep(job.id, { ordinal, commit: result.commit }, { done, report });
      made.add(ordinal);
    }
    ordinal++;
    step = [];
  };
  let read = 0;
  for (const op of ops) {
    if (++read % OPS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    const body = made.has(ordinal) ? undefined : await bodyOf(deps, job, op);
    const stored = storedOp(op, body);
    if (body && stored) {
      bodies.push(body);
      bytes += body.size;
      if (bodies.length >= most.bodies || bytes >= BYTES_A_CALL) await store();
    }
    // An op that turns out to change nothing still has its place in the step, so that a repeat cuts the steps alike.
    step.push(...(stored ? [stored] : []));
    done++;
    if (done % most.ops === 0) await commit();
  }
  if (done % most.ops !== 0) await commit();
  return { done, steps: made.size };
}

function storedOp(op: ImportOp, body: Body | undefined): StoredOp | undefined {
  const hash = body && toHash(body.hash);
  if (op.op === 'add') return { op: 'add', node: { ...op.node, body: hash ?? null } };
  if (op.op !== 'setBody') return op;
  return hash === undefined || hash === op.presentBody ? undefined : { op: 'setBody', nodeId: op.nodeId, body: hash };
}

async function bodyOf(deps: ImportDeps, job: ImportJob, op: ImportOp): Promise<Body | undefined> {
  if (op.op === 'add') return op.content && bodyFrom(op.content, op.node.source.key);
  if (op.op !== 'setBody') return undefined;
  if (op.presentBody === null) return bodyFrom(op.content, op.nodeId);
  return bodyFrom(withPresentIds(op.content, await deps.bodies.get(job.courseId, op.presentBody)), op.nodeId);
}

function bodyFrom(content: LessonInput, of: string): Body {
  const result = normalizeLesson(content, null, () => {
    throw new AppError('internal', 'INTERNAL', {}, { message: `an item of ${of} has no id` });
  });
  if (result.ok) return result.body;
  const [problem] = result.problems;
  const message = `${of}${problem?.pointer ?? ''} ${problem?.message ?? ''}`;
  throw new AppError('unprocessable', 'IMPORT_CONTENT_INVALID', {}, { message, fields: result.problems });
}
