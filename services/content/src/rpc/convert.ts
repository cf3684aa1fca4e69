import type {
  BodyDiff as BodyDiffMessage,
  Import,
  KeptPart as KeptPartMessage,
  Lesson,
  RenderedLesson as RenderedLessonMessage,
} from '@coursewright/proto/coursewright/content/v1/content';
import type { BodyDiff } from '../domain/body-tasks.js';
import type { KeptPart } from '../domain/import-report.js';
import type { RenderedLesson } from '../operations/get-rendered.js';
import type { ImportJob } from '../operations/ports.js';
import type { LessonAtRef } from '../operations/save-lesson.js';

/** A lesson as it crosses the wire; `content` is canonical JSON, so that one document has one form and one ETag. */
export function toLesson(lesson: {
  node: LessonAtRef['node'];
  hash: string;
  content: Uint8Array;
  unchanged?: boolean;
}): Lesson {
  const { node } = lesson;
  return {
    lessonId: node.lessonId,
    courseId: node.courseId,
    branch: node.refKind === 'branch' ? node.refName : '',
    commit: node.commit,
    hash: lesson.hash,
    content: bufferOf(lesson.content),
    updatedAt: node.updatedAt,
    updatedBy: node.updatedBy,
    unchanged: lesson.unchanged ?? false,
  };
}

/** The same bytes as the type that the generated code wants. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A rendered lesson as it crosses the wire. */
export function toRendered({ node, hash, commit, page }: RenderedLesson): RenderedLessonMessage {
  const title = node.fields['title'];
  return {
    lessonId: node.lessonId,
    courseId: node.courseId,
    commit,
    hash,
    title: typeof title === 'string' ? title : '',
    items: page.items,
    objectives: page.objectives,
  };
}

/** A diff of two bodies as it crosses the wire. */
export function toDiff({ nodeId, changes, truncated }: BodyDiff): BodyDiffMessage {
  return {
    nodeId,
    truncated,
    changes: changes.map(({ pointer, change, from, to, hunks = [] }) => ({ pointer, change, from, to, hunks })),
  };
}

/** An import as it crosses the wire; `replayed`: a repeat found it. The course is named once it is there for others. */
export function toImport(job: ImportJob, replayed = false): Import {
  const { report } = job;
  return {
    id: job.id,
    format: job.format,
    state: job.state,
    done: job.done,
    total: job.total ?? undefined,
    courseId: job.newCourse && job.state !== 'done' ? '' : job.courseId,
    commit: job.commit ?? '',
    sourceRead: report.read,
    sourceMapped: report.mapped,
    sourceKept: report.kept,
    counts: report.counts,
    items: report.items,
    assets: report.assets,
    losses: report.losses,
    lossCount: report.lossCount,
    error: job.error ?? undefined,
    startedBy: job.startedBy.sub,
    startedAt: job.startedAt,
    finishedAt: job.finishedAt ?? undefined,
    revision: job.revision,
    replayed,
  };
}

/** Something that an import keeps beside its course, as it crosses the wire. */
export function toKept(part: KeptPart): KeptPartMessage {
  const { source, kind } = part;
  const nothing = { source, kind, attributes: {}, text: '', hash: '', bytes: 0, type: '' };
  if (part.kind === 'file') return { ...nothing, ...part.file };
  return part.kind === 'attributes' ? { ...nothing, attributes: part.value } : { ...nothing, text: part.value };
}
