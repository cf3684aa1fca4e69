import { ContentServiceDefinition } from '@coursewright/proto/coursewright/content/v1/content';
import { newId } from '@coursewright/platform/ids';
import type { TokenMinter } from '@coursewright/platform/internal-token';
import type { Channel } from '@coursewright/platform/rpc-client';
import type { Bodies } from '../operations/ports.js';

/** Content reads every one of the bodies and hashes it. */
const CHECK_MS = 30_000;

/** The content service behind the port of bodies; asked in versioning's own name. */
export function createContentClient(channel: Channel, minter: TokenMinter): Bodies {
  const client = channel.client(ContentServiceDefinition);
  return {
    async check(courseId, hashes, signal) {
      const call = { token: await minter.mintOwn(), requestId: newId(), signal };
      const { problems } = await client.checkBodies({ courseId, hashes: [...hashes] }, { call, deadlineMs: CHECK_MS });
      return problems.map(({ hash, what }) => ({ hash, what: what === 'missing' ? 'missing' : 'damaged' }));
    },
  };
}
