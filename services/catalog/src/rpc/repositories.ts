import { VersioningServiceDefinition } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import type { TokenMinter } from '@coursewright/platform/internal-token';
import type { Channel } from '@coursewright/platform/rpc-client';
import type { Repositories } from '../operations/ports.js';

/** Versioning over gRPC, asked by this service for the person who wants the course: so a sweeper can ask as well. */
export function repositories(channel: Channel, minter: TokenMinter): Repositories {
  const versioning = channel.client(VersioningServiceDefinition);
  return {
    async create(intent, { deadlineMs }) {
      const request = { courseId: intent.id, fields: { ...intent.fields } };
      const { commit } = await versioning.createCourse(request, {
        token: await minter.mintOwn(intent.person),
        deadlineMs,
      });
      return commit;
    },
    async setClosed(course, { deadlineMs }) {
      await versioning.closeCourse(course, { token: await minter.mintOwn(), deadlineMs });
    },
  };
}
