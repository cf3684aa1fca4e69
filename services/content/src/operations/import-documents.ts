import type { LessonDocument, LessonInput } from '@coursewright/course-model/lesson';
import { emptyLesson } from '@coursewright/course-model/lesson';
import { AppError } from '@coursewright/platform/errors';
import { toHash } from '@coursewright/platform/ids';
import type { PackedBody } from '../domain/body-tasks.js';
import { withPresentIds, type DocumentOp, type ImportOp } from '../domain/import-ops.js';
import { itemsDigest, objectivesDigest, type SourceDigest } from '../domain/source-digest.js';
import type { BodyWork } from './body-work.js';
import type { Bodies, ImportJob, StoredOp } from './ports.js';

/** What documents need on their way into a course. */
export interface DocumentDeps {
  readonly bodies: Bodies;
  readonly work: Pick<BodyWork, 'normalize'>;
}

/** What becomes of an op. */
export interface Made {
  /** The op as versioning takes it; absent when it changes nothing. */
  stored?: StoredOp;
  /** To be stored before the op. */
  body?: PackedBody;
  /** What the source says of a lesson. */
  digest?: SourceDigest;
  /** What is to be said of the part. */
  told?: string;
  /** Why the import is not for this course as it is now. */
  refused?: string;
}

const NOTHING: Made = {};

/** Makes the document of an op, and decides by what the source said last time whether it is to be taken over. */
export async function makeOp(deps: DocumentDeps, job: ImportJob, op: ImportOp | undefined): Promise<Made> {
  if (op === undefined) return NOTHING;
  if (isDocument(op)) return documentOf(deps, job, op);
  if (op.op !== 'add') return { stored: op };
  if (!op.content) return { stored: { op: 'add', node: { ...op.node, body: null } } };
  const body = await bodyOf(deps, op.content, op.node.source.key);
  const digest = digestOf(body, op.content, job.format);
  return { stored: { op: 'add', node: { ...op.node, body: toHash(body.hash) } }, body, digest };
}

function isDocument(op: ImportOp): op is DocumentOp {
  return op.op === 'setBody' || op.op === 'absent';
}

async function documentOf(deps: DocumentDeps, job: ImportJob, op: DocumentOp): Promise<Made> {
  const { base, content, nodeId, presentBody } = op;
  const ours = presentBody === null ? emptyLesson() : await deps.bodies.get(job.courseId, presentBody);
  const isSameGoal = base !== undefined && base.objectives === objectivesDigest(content);
  const merged = withPresentIds(content, ours, job.format);
  const objectives = mergedObjectives(merged, { base, ours, content });
  const body = await bodyOf(deps, { ...merged, objectives: objectives ?? ours.objectives }, nodeId);
  const digest = digestOf(body, content, job.format);
  if (op.op === 'absent') {
    if (base && digest.items === base.items && isSameGoal) return { digest, told: 'was deleted here; it stays away' };
    return { digest, refused: 'was deleted here and has changed in its source since its last import' };
  }
  const hash = toHash(body.hash);
  const our = itemsDigest(ours, job.format);
  const taken: Made = { stored: { op: 'setBody', nodeId, body: hash }, body, digest };
  if (objectives === undefined)
    return { digest, refused: 'was edited here (objectives) and has changed in its source since its last import' };
  if (hash === presentBody) return { digest };
  if (our === digest.items) return isSameGoal ? { digest } : taken;
  if (base && our === base.items) return taken;
  if (base && digest.items === base.items) return { digest, told: 'was edited here (content); that stays' };
  return { digest, refused: 'was edited here (content) and has changed in its source since its last import' };
}

type Objectives = NonNullable<LessonInput['objectives']>;

/**
 * The objectives of a lesson: ours where the source has not changed its own since it last came, the source's where nobody has changed them
 * here, undefined where both have. When nobody knows what the source said, those of both.
 */
function mergedObjectives(
  { objectives = [] }: LessonInput,
  of: { base: SourceDigest | undefined; ours: LessonDocument; content: LessonInput },
): Objectives | undefined {
  if (of.base === undefined) return objectives;
  const [our, their] = [objectivesDigest(of.ours), objectivesDigest(of.content)];
  if (of.base.objectives === their || our === their) return of.ours.objectives;
  // The planned ones come first, with the ids that they have here.
  return our === of.base.objectives ? objectives.slice(0, of.content.objectives?.length ?? 0) : undefined;
}

function digestOf(body: PackedBody, content: LessonInput, format: string): SourceDigest {
  const doc = JSON.parse(Buffer.from(body.bytes).toString()) as LessonDocument;
  return { items: itemsDigest(doc, format), objectives: objectivesDigest(content) };
}

/** The body of a document whose items have their ids, so that no seed is ever used. */
async function bodyOf(deps: DocumentDeps, content: LessonInput, of: string): Promise<PackedBody> {
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
