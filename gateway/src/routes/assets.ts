import type { AssetChunk, AssetHeader } from '@coursewright/proto/coursewright/content/v1/content';
import { AppError } from '@coursewright/platform/errors';
import { z } from 'zod';
import { route, type Route } from '../http/route.js';
import * as common from '../shapes/common.js';

const getAsset = route({
  method: 'get',
  path: '/assets/{hash}',
  feature: 'B3',
  tag: 'Files',
  summary: 'Read a file of a course',
  description:
    'For staff of a course that has it. A file that more than a hundred courses have is asked for with the course. Its ETag is its hash.',
  params: z.strictObject({ hash: z.string().regex(common.hashForm).describe('sha-256 of its bytes, base64url') }),
  query: z.strictObject({ course: common.id.optional().describe('The course that has it') }),
  permission: { of: 'asset', param: 'hash', action: 'course.read-draft' },
  answers: 'application/octet-stream',
  responses: { 200: z.string().meta({ format: 'binary' }) },
  async handle({ params: { hash } }, context) {
    const { courseId } = context.course;
    const stream = context.peers.content.getAsset({ courseId, hash }, context.read)[Symbol.asyncIterator]();
    const first = await stream.next();
    const header = first.done ? undefined : headerIn(first.value);
    if (header === undefined) throw new AppError('internal', 'INTERNAL', {}, { message: 'a file without a header' });
    const { name, type, bytes } = header;
    const close = async (): Promise<unknown> => stream.return?.();
    return { status: 200, file: { hash, name, type, bytes, chunks: chunksOf(stream), close } };
  },
});

function headerIn({ part }: AssetChunk): AssetHeader | undefined {
  return part?.$case === 'header' ? part.value : undefined;
}

async function* chunksOf(stream: AsyncIterator<AssetChunk>): AsyncGenerator<Uint8Array> {
  try {
    for (let next = await stream.next(); !next.done; next = await stream.next()) {
      const { part } = next.value;
      if (part?.$case === 'chunk') yield part.value;
    }
  } finally {
    await stream.return?.();
  }
}

/** B3, as far as files come with imports. */
export const assetRoutes: readonly Route[] = [getAsset];
