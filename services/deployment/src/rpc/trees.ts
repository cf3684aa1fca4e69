import { VersioningServiceDefinition } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import type { TokenMinter } from '@coursewright/platform/internal-token';
import type { Channel } from '@coursewright/platform/rpc-client';
import type { Content } from '../domain/content.js';
import { kindFromProto } from '../node-kind.js';
import type { Trees } from '../operations/ports.js';

const pageSize = 1_000;
const deadlineMs = 10_000;

/** Versioning over gRPC, asked by this service for itself. */
export function trees(channel: Channel, minter: TokenMinter): Trees {
  const versioning = channel.client(VersioningServiceDefinition);
  return {
    async listSubmittable(courseId, commit, onPage) {
      const contents: Content[] = [];
      for (let cursor = ''; ;) {
        const page = await versioning.listNodes(
          { courseId, ref: commit, submittableOnly: true, cursor, limit: pageSize },
          { token: await minter.mintOwn(), deadlineMs },
        );
        for (const node of page.nodes) {
          const kind = kindFromProto(node.kind);
          if (kind === undefined) continue;
          const title: unknown = node.fields?.['title'];
          contents.push({
            nodeId: node.id,
            courseId,
            kind,
            title: typeof title === 'string' ? title : '',
            commit: node.commit,
            updatedAt: node.updatedAt ?? new Date(0),
          });
        }
        if (page.next === '') return contents;
        // A page may be short, or have nothing on it, while there is more: only the cursor tells the end.
        cursor = page.next;
        await onPage();
      }
    },
  };
}
