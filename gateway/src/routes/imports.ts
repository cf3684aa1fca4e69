import type { StartImportRequest } from '@coursewright/proto/coursewright/content/v1/content';
import { z } from 'zod';
import { route, type Route } from '../http/route.js';
import { importReply, keptJson, lossJson } from '../present/import.js';
import * as common from '../shapes/common.js';
import { importQuery, importShape, keptListShape, lossListShape } from '../shapes/import.js';

const mostChunkBytes = 64 * 1024;
/** `application/octet-stream` is what tools send that do not know: the first bytes tell. */
const archiveTypes = [
  ...['application/gzip', 'application/x-gzip', 'application/x-tgz', 'application/x-compressed-tar'],
  ...['application/zip', 'application/x-zip-compressed', 'application/octet-stream'],
];

const startImport = route({
  method: 'post',
  path: '/imports',
  feature: 'B4',
  tag: 'Imports',
  summary: 'Import a course from an archive; the body is the archive itself',
  description:
    'Answers as soon as the archive is stored; the import goes on as a job. Follow it at its Location. Without `course` it makes a new course, ' +
    'which is there once the job is done. With `course` a source that is new to it is added; one that was imported into it before is compared ' +
    'with what it said then: what changed in the source alone is taken over, what somebody changed here stays, and what changed in both fails the ' +
    'job with the reason STALE and changes nothing (`losses` has the list). So does a course that is edited while the import runs, and another ' +
    'import of the same source into it at the same time.',
  params: common.noQuery,
  query: importQuery,
  body: { kind: 'archive', types: archiveTypes },
  permission: { of: 'import-target', inCourse: 'course.write', onPlatform: 'course.create' },
  write: 'content',
  responses: { 202: importShape },
  reasons: ['ARCHIVE_TOO_LARGE', 'ARCHIVE_TYPE_MISMATCH', 'EMPTY_ARCHIVE'],
  async handle({ query, chunks, mediaType }, context) {
    const header = {
      format: query.format,
      courseId: query.course ?? '',
      mediaType: wireType(mediaType),
    };
    // Content reads the bytes and so knows whether they came before under this key: then this is the import that they began.
    const job = await context.peers.content.startImport(messages(header, chunks), context.write);
    return { ...importReply(job, 202), location: `/imports/${job.id}`, replayed: job.replayed };
  },
});

function wireType(mediaType: string): string {
  if (mediaType === 'application/octet-stream') return mediaType;
  return mediaType.includes('zip') && !mediaType.includes('gzip') ? 'application/zip' : 'application/gzip';
}

/** The upload as the contract's stream: the header, then bytes as they arrive. */
async function* messages(
  header: { readonly format: string; readonly courseId: string; readonly mediaType: string },
  chunks: AsyncIterable<Buffer>,
): AsyncGenerator<StartImportRequest> {
  yield { part: { $case: 'header', value: header } };
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length; start += mostChunkBytes)
      yield { part: { $case: 'chunk', value: chunk.subarray(start, start + mostChunkBytes) } };
  }
}

const getImport = route({
  method: 'get',
  path: '/imports/{id}',
  feature: 'B4',
  tag: 'Imports',
  summary: 'See how far an import is, and what did not map',
  params: common.byId,
  query: common.noQuery,
  permission: { of: 'import', param: 'id' },
  responses: { 200: importShape },
  handle: async ({ params }, context) =>
    importReply(await context.peers.content.getImport({ id: params.id }, context.read), 200),
});

const lines = z.strictObject(common.page);

const listLosses = route({
  method: 'get',
  path: '/imports/{id}/losses',
  feature: 'B4',
  tag: 'Imports',
  summary: 'List all that has no full counterpart, line by line',
  params: common.byId,
  query: lines,
  permission: { of: 'import', param: 'id' },
  responses: { 200: lossListShape },
  async handle({ params: { id }, query: { cursor = '', limit } }, context) {
    const page = await context.peers.content.listImportLosses({ id, cursor, limit }, context.read);
    return { status: 200, body: { items: page.losses.map(lossJson), next: context.next(page.next) } };
  },
});

const listKept = route({
  method: 'get',
  path: '/imports/{id}/kept',
  feature: 'B4',
  tag: 'Imports',
  summary: 'List what is kept of the source beside the course',
  description: 'Attributes, settings and texts as they were written, and files by their hash: GET /assets/{hash}.',
  params: common.byId,
  query: lines,
  permission: { of: 'import', param: 'id' },
  responses: { 200: keptListShape },
  async handle({ params: { id }, query: { cursor = '', limit } }, context) {
    const page = await context.peers.content.listImportKept({ id, cursor, limit }, context.read);
    return { status: 200, body: { items: page.parts.map(keptJson), next: context.next(page.next) } };
  },
});

/** B4. */
export const importRoutes: readonly Route[] = [startImport, getImport, listLosses, listKept];
