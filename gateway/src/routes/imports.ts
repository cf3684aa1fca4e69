import type { Import, StartImportRequest } from '@coursewright/proto/coursewright/content/v1/content';
import { route, type Context, type Reply, type Route } from '../http/route.js';
import { importReply } from '../present/import.js';
import * as common from '../shapes/common.js';
import { importQuery, importShape } from '../shapes/import.js';

const mostChunkBytes = 64 * 1024;

const startImport = route({
  method: 'post',
  path: '/imports',
  feature: 'B4',
  summary: 'Import a course from an archive; the body is the archive itself',
  description: 'Answers as soon as the archive is stored; the import goes on as a job. Follow it at its Location.',
  params: common.noQuery,
  query: importQuery,
  body: { kind: 'archive', types: ['application/gzip', 'application/zip', 'application/x-gzip'] },
  permission: { of: 'import-target', inCourse: 'course.write', onPlatform: 'course.create' },
  write: 'content',
  responses: { 202: importShape },
  async handle({ query, chunks, mediaType }, context) {
    const header = {
      format: query.format,
      courseId: query.course ?? '',
      mediaType: mediaType === 'application/zip' ? mediaType : 'application/gzip',
    };
    return started(await context.peers.content.startImport(messages(header, chunks), context.write));
  },
  // What is kept names the import; how far it is by now is asked anew.
  replay: async (result, _input, open) => started(await find(await open(), String(result['importId']))),
});

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

function find(context: Context, id: string): Promise<Import> {
  return context.peers.content.getImport({ id }, context.read);
}

function started(job: Import): Reply {
  return { ...importReply(job, 202), location: `/imports/${job.id}` };
}

const getImport = route({
  method: 'get',
  path: '/imports/{id}',
  feature: 'B4',
  summary: 'See how far an import is, and what did not map',
  params: common.byId,
  query: common.noQuery,
  permission: { of: 'import', param: 'id' },
  responses: { 200: importShape },
  handle: async ({ params }, context) => importReply(await find(context, params.id), 200),
});

/** B4. */
export const importRoutes: readonly Route[] = [startImport, getImport];
