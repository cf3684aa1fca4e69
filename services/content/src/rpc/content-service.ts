import { ContentServiceDefinition, type StartImportRequest } from '@coursewright/proto/coursewright/content/v1/content';
import { AppError } from '@coursewright/platform/errors';
import { serve, type Served } from '@coursewright/platform/rpc-server';
import { diffBodies } from '../operations/diff-bodies.js';
import { coursesOfAsset, getAsset } from '../operations/get-asset.js';
import { getImport, locateImport } from '../operations/get-import.js';
import { listImportKept, listImportLosses } from '../operations/list-import-lines.js';
import { getLesson } from '../operations/get-lesson.js';
import { getRendered } from '../operations/get-rendered.js';
import type { BodyWork } from '../operations/body-work.js';
import type { PageMemory } from '../operations/page-memory.js';
import type { Files, ImportLines } from '../operations/file-ports.js';
import type { Imports, RenderCache, Spool, StoredBodies, Versioning } from '../operations/ports.js';
import { saveLesson } from '../operations/save-lesson.js';
import { startImport, type ImportHeader } from '../operations/start-import.js';
import { checkBodies, getBodies, putBodies } from '../operations/transfer-bodies.js';
import { bufferOf, toDiff, toImport, toKept, toLesson, toRendered } from './convert.js';
import { callers } from './callers.js';

/** What the service's handlers need. */
export interface ContentDeps {
  readonly bodies: StoredBodies;
  readonly work: BodyWork;
  readonly versioning: Versioning;
  readonly imports: Imports;
  readonly lines: ImportLines;
  readonly files: Files;
  readonly spool: Spool;
  readonly cache: RenderCache;
  readonly costlyPages: PageMemory;
  readonly hashKey: Uint8Array;
  readonly newId: () => string;
  readonly maxImportBytes: number;
  readonly wakeImports: () => void;
}

/** The methods of coursewright.content.v1.ContentService, each one operation. */
export function contentService(deps: ContentDeps): Served {
  return serve(ContentServiceDefinition, callers, {
    async saveLesson(request, call) {
      const { courseId, lessonId, branch, content, expectedBody, expectedHead, message, kind } = request;
      const input = { courseId, lessonId, branch, content, message, kind };
      const optional = {
        ...(expectedBody === undefined ? {} : { expectedBody }),
        ...(expectedHead === '' ? {} : { expectedHead }),
      };
      return toLesson(await saveLesson(deps, { ...input, ...optional }, call));
    },
    getLesson: async (request, call) => toLesson(await getLesson(deps, request, call)),
    getRendered: async (request, call) => toRendered(await getRendered(deps, request, call)),
    async diffBodies(request, call) {
      const pairs = request.pairs.map(({ nodeId, from, to }) => ({ nodeId, from: from || null, to: to || null }));
      return { diffs: (await diffBodies(deps, { courseId: request.courseId, pairs }, call)).map(toDiff) };
    },
    async *getBodies(request, call) {
      let first = true;
      for await (const bodies of getBodies(deps, request, call)) {
        yield {
          courseId: first ? request.courseId : '',
          bodies: bodies.map(({ hash, document }) => ({ hash, document: bufferOf(document) })),
        };
        first = false;
      }
    },
    putBodies: async (requests, call) => ({ stored: await putBodies(deps, requests, call) }),
    checkBodies: async (request, call) => ({ problems: await checkBodies(deps, request, call) }),
    async startImport(requests, call) {
      const { header, chunks } = await readHeader(requests);
      const started = { ...deps, maxBytes: deps.maxImportBytes, onStarted: deps.wakeImports };
      const { job, replayed } = await startImport(started, { header, chunks }, call);
      return toImport(job, replayed);
    },
    getImport: async (request, call) => toImport(await getImport(deps, request.id, call)),
    async listImportLosses({ id, cursor, limit }, call) {
      const { items, next } = await listImportLosses(deps, { id, cursor, limit }, call);
      return { losses: items, next };
    },
    async listImportKept({ id, cursor, limit }, call) {
      const { items, next } = await listImportKept(deps, { id, cursor, limit }, call);
      return { parts: items.map(toKept), next };
    },
    async *getAsset({ courseId, hash }, call) {
      const { asset, chunks } = await getAsset(deps, { courseId, hash }, call);
      const { name, type, bytes } = asset;
      yield { part: { $case: 'header', value: { name, type, bytes } } };
      for await (const chunk of chunks) yield { part: { $case: 'chunk', value: bufferOf(chunk) } };
    },
    async locate(request) {
      if (request.kind === 'asset') return { courseIds: await coursesOfAsset(deps, request.id) };
      if (request.kind !== 'import') throw new AppError('invalid_argument', 'UNKNOWN_KIND', { kind: request.kind });
      const job = await locateImport(deps, request.id);
      if (!job) return {};
      return { courseId: job.newCourse && job.state !== 'done' ? '' : job.courseId, startedBy: job.startedBy.sub };
    },
  });
}

/** Splits a stream into its header and the bytes that follow. Throws invalid_argument IMPORT_HEADER_MISSING. */
async function readHeader(
  requests: AsyncIterable<StartImportRequest>,
): Promise<{ header: ImportHeader; chunks: AsyncIterable<Uint8Array> }> {
  const iterator = requests[Symbol.asyncIterator]();
  const first = await iterator.next();
  const part = first.done ? undefined : first.value.part;
  if (part?.$case !== 'header') throw new AppError('invalid_argument', 'IMPORT_HEADER_MISSING');
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      if (next.value.part?.$case === 'chunk') yield next.value.part.value;
    }
  }
  return { header: part.value, chunks: chunks() };
}
