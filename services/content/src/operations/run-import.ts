import { can } from '@coursewright/course-model/access';
import type { Body } from '@coursewright/course-model/body';
import { normalizeLesson } from '@coursewright/course-model/normalize-lesson';
import { AppError } from '@coursewright/platform/errors';
import { toHash } from '@coursewright/platform/ids';
import type { ArchiveLimits } from '../domain/archive.js';
import type { PlannedNode } from '../domain/import-plan.js';
import { addLoss, emptyReport, type ImportReport } from '../domain/import-report.js';
import { readOlxCourse } from '../domain/olx/read-course.js';
import type { AddedNode, As, Bodies, Catalog, ImportJob, Imports, Spool, Versioning } from './ports.js';

/** What the running of an import needs. */
export interface ImportDeps {
  readonly bodies: Bodies;
  readonly versioning: Versioning;
  readonly catalog: Catalog;
  readonly imports: Imports;
  readonly spool: Spool;
  readonly limits: ArchiveLimits;
  /** Most nodes of one commit and bodies of one call; 1,000 and 500 unless told. */
  readonly step?: { readonly nodes: number; readonly bodies: number };
}

const STEP = { nodes: 1000, bodies: 500 };
const BYTES_A_CALL = 4 * 1024 * 1024;
/** So many nodes are made between two chances for other work of the process. */
const NODES_A_TURN = 20;

/**
 * Runs an import to its end: nodes go to a hidden ref in commits of at most 1,000, their bodies before them, then one graft puts
 * them into the course. Every step has its own command id and makes the same thing when it is repeated, so that an import that
 * died anywhere is simply run again. Stops between two steps when the signal is aborted.
 *
 * @throws AppError unprocessable with the reason why the archive cannot be imported; unavailable when a service is away, for
 *   another attempt
 */
export async function runImport(
  deps: ImportDeps,
  job: ImportJob,
  signal: AbortSignal,
  report: ImportReport = emptyReport(),
): Promise<void> {
  const archive = await deps.spool.open(job.id, job.mediaType, deps.limits);
  try {
    const nodes = readOlxCourse(archive, job.id, report);
    const first = nodes.next();
    if (first.done) throw new AppError('internal', 'INTERNAL', {}, { message: 'a course without a root' });
    const root = await begin(deps, job, first.value);
    const done = await addAll(deps, job, { nodes, root, report, signal });
    for (const loss of archive.skipped) addLoss(report, loss);
    if (!job.newCourse) await askRoleAnew(deps, job);
    const message = `Import ${String(first.value.fields['title'])}`.slice(0, 500);
    const command = commandOf(job, 'graft');
    const { commit } = await deps.versioning.graft(
      { importId: job.id, courseId: job.courseId, message },
      as(job, command),
    );
    if (job.newCourse) {
      await deps.catalog.registerCourse(
        { courseId: job.courseId, owner: job.startedBy.sub },
        as(job, commandOf(job, 'register')),
      );
    }
    await deps.imports.finish(job, { commit, done: done + 1, report });
  } finally {
    await archive.close();
  }
}

function as(job: ImportJob, command?: { id: string; fingerprint: string; kept: 'client' }): As {
  return { person: job.startedBy, ...(command ? { command } : {}) };
}

function commandOf(job: ImportJob, step: string) {
  const id = `${job.id}/${step}`;
  return { id, fingerprint: id, kept: 'client' as const };
}

/** Makes the repository of a new course, or makes sure that the course is there; answers the id of its root. */
async function begin(deps: ImportDeps, job: ImportJob, root: PlannedNode): Promise<string> {
  if (job.newCourse) {
    const course = { courseId: job.courseId, fields: root.fields, source: root.source };
    await deps.versioning.createCourse(course, as(job, commandOf(job, 'create')));
  } else if (job.startCommit === null) {
    await askRoleAnew(deps, job);
    await deps.imports.saveStart(job.id, await deps.versioning.head(job.courseId, as(job)));
  }
  return root.id;
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

interface Adding {
  nodes: Iterable<PlannedNode>;
  root: string;
  report: ImportReport;
  signal: AbortSignal;
}

/** Adds all nodes below the root, step by step; answers how many. Steps that were made before are only counted. */
async function addAll(deps: ImportDeps, job: ImportJob, { nodes, root, report, signal }: Adding): Promise<number> {
  const made = new Set((await deps.imports.steps(job.id)).map((step) => step.ordinal));
  const most = deps.step ?? STEP;
  let ordinal = 1;
  let done = 0;
  let step: AddedNode[] = [];
  let bodies: Body[] = [];
  let bytes = 0;
  const store = async (): Promise<void> => {
    if (bodies.length > 0) await deps.bodies.putMany(job.courseId, bodies);
    bodies = [];
    bytes = 0;
  };
  const commit = async (): Promise<void> => {
    if (step.length === 0) return;
    if (!made.has(ordinal)) {
      if (signal.aborted) throw new AppError('unavailable', 'STOPPED');
      await store();
      const added = { importId: job.id, courseId: job.courseId, nodes: step };
      const result = await deps.versioning.addNodes(added, as(job, commandOf(job, String(ordinal))));
      await deps.imports.saveStep(job.id, { ordinal, commit: result.commit }, { done, report });
    }
    ordinal++;
    step = [];
  };
  for (const node of nodes) {
    const body = node.content === undefined || made.has(ordinal) ? undefined : bodyOfNode(node);
    if (body) {
      bodies.push(body);
      bytes += body.size;
      if (bodies.length >= most.bodies || bytes >= BYTES_A_CALL) await store();
    }
    const { content: _content, ...rest } = node;
    // Below a course that is there already, what hangs under the plan's root hangs under that course.
    const parentId = node.parentId === root ? job.courseId : node.parentId;
    step.push({ ...rest, parentId, body: body ? toHash(body.hash) : null });
    done++;
    if (step.length >= most.nodes) await commit();
    if (done % NODES_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await commit();
  return done;
}

function bodyOfNode(node: PlannedNode): Body {
  const result = normalizeLesson(node.content, null, () => {
    throw new AppError('internal', 'INTERNAL', {}, { message: `an item of ${node.source.key} has no id` });
  });
  if (result.ok) return result.body;
  const [problem] = result.problems;
  const message = `${node.source.key}${problem?.pointer ?? ''} ${problem?.message ?? ''}`;
  throw new AppError('unprocessable', 'IMPORT_CONTENT_INVALID', {}, { message, fields: result.problems });
}
