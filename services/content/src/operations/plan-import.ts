import { AppError } from '@coursewright/platform/errors';
import type { Pause } from '../domain/archive.js';
import { addOps, type ImportStep, type KnownNode } from '../domain/import-ops.js';
import type { PlannedNode } from '../domain/import-plan.js';
import type { ImportBook } from '../domain/import-report.js';
import { mergeOps } from '../domain/merge-source.js';
import type { SourceBase, SourcePart } from '../domain/source-parts.js';
import type { ImportLines } from './file-ports.js';
import { requireLatestAttempt } from './import-lines.js';
import type { As, ImportJob, Imports, Versioning } from './ports.js';

/** What the planning of an import needs. */
export interface PlanDeps {
  readonly imports: Imports;
  readonly lines: ImportLines;
  readonly versioning: Versioning;
}

/** The steps of an import, and the commit at which its hidden ref starts when the course holds its source already. */
export interface Plan {
  readonly steps: AsyncIterable<ImportStep>;
  readonly start?: string;
  /** Parts that were edited both here and in the source, once all steps have come. */
  readonly refused: readonly string[];
  /** Adds one. */
  refuse(source: string, what: string): void;
}

/** A source that is about to be read. */
export interface Read {
  readonly sourceId: string;
  readonly nodes: AsyncIterable<PlannedNode>;
  readonly pause: Pause;
  readonly book: ImportBook;
  readonly as: As;
}

const PARTS_A_CALL = 5000;

/**
 * Decides what an import does: a source that is new to the course is added to it, one that came before is compared with what it said
 * then. Every attempt decides the same. Throws stale STALE when the import it is to be compared with has been followed by another, or another
 * one of the same source into the same course is under way.
 */
export async function planImport(deps: PlanDeps, job: ImportJob, read: Read): Promise<Plan> {
  const { nodes, book, pause } = read;
  await begun(deps, job, read);
  const refused: string[] = [];
  const refuse = (source: string, what: string): void => {
    refused.push(source);
    book.lose({ source, what, kept: true });
  };
  const base = job.newCourse ? undefined : await baseOf(deps, job, read);
  if (base === undefined) return { steps: addOps(nodes, { id: job.courseId, isNew: job.newCourse }), refused, refuse };
  const course = {
    id: job.courseId,
    known: base.known,
    base: base.parts,
    pause,
    tell: (source: string, what: string) => book.lose({ source, what, kept: true }),
    refuse,
  };
  return { steps: mergeOps(nodes, course), start: job.startCommit ?? '', refused, refuse };
}

/**
 * Writes down where the import begins. The base is looked up before the head: nothing that it does not know can be taken for an edit. Two
 * imports of one source at once would both find nothing of it, and add all of it twice.
 */
async function begun(deps: PlanDeps, job: ImportJob, { sourceId, as }: Read): Promise<void> {
  if (job.sourceId !== null) return;
  const baseImport = job.newCourse ? null : ((await deps.imports.lastOfSource(job, sourceId)) ?? null);
  const commit = job.newCourse ? null : await deps.versioning.head(job.courseId, as);
  const saved = await deps.imports.saveStart(job, { commit, sourceId, baseImport });
  if (saved === 'busy') throw followed('another import of the same source into this course is under way');
  requireLatestAttempt(saved === 'saved');
  Object.assign(job, { startCommit: commit, sourceId, baseImport });
}

/** What this source left in the course last time, and what the course holds of its format now. */
async function baseOf(
  deps: PlanDeps,
  job: ImportJob,
  { as, pause }: Read,
): Promise<{ parts: SourceBase; known: KnownNode[] } | undefined> {
  const isUnknown = job.baseImport === null && (await deps.imports.hasUnknownSource(job));
  if (job.baseImport === null && !isUnknown) return undefined;
  const place = { courseId: job.courseId, commit: job.startCommit ?? '', format: job.format };
  const known = await deps.versioning.listSourced(place, as);
  const parts = job.baseImport === null ? unknownParts(known) : await partsOf(deps, job.baseImport, pause);
  return { parts, known };
}

async function partsOf(deps: PlanDeps, importId: string, pause: Pause): Promise<SourceBase> {
  const parts = new Map<string, SourcePart>();
  for (let after = -1, isMore = true; isMore;) {
    const page = await deps.lines.parts(importId, after, PARTS_A_CALL);
    for (const { ordinal, part } of page) {
      parts.set(part.key, part);
      after = ordinal;
    }
    isMore = page.length === PARTS_A_CALL;
    await pause();
  }
  if (parts.size === 0) throw followed('another import of the same source has come first');
  return parts;
}

function followed(why: string): AppError {
  return new AppError('stale', 'STALE', {}, { message: `${why}; import it again` });
}

/** Imports of before sources were remembered: their parts are known by their keys alone, and whatever differs may be somebody's edit. */
function unknownParts(known: readonly KnownNode[]): SourceBase {
  const unknown = { parent: null, marks: undefined, items: null, objectives: null };
  return new Map(known.map(({ key, id, kind }) => [key, { key, nodeId: id, kind, ...unknown }]));
}
