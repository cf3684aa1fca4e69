import { RecallOutcome, RequestServiceDefinition } from '@coursewright/proto/coursewright/common/v1/requests';
import {
  CommitResponse,
  Part,
  VersioningServiceDefinition,
} from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { audienceIn } from '@coursewright/course-model/audience';
import { AppError } from '@coursewright/platform/errors';
import type { TokenMinter } from '@coursewright/platform/internal-token';
import type { Channel } from '@coursewright/platform/rpc-client';
import type { Made, Versioning } from '../operations/ports.js';
import { optionsFor } from './call-options.js';
import { kindName } from './node-kinds.js';
import { createVersioningImports } from './versioning-imports.js';

function toMade({ commit, branch, at, unchanged }: CommitResponse): Made {
  return { commit, branch, at: at ?? new Date(0), unchanged };
}

/** The versioning service behind content's port. */
export function createVersioningClient(channel: Channel, minter: TokenMinter): Versioning {
  const client = channel.client(VersioningServiceDefinition);
  const requests = channel.client(RequestServiceDefinition);
  return {
    async getLesson({ courseId, lessonId, ref }, as) {
      const { node, ref: resolved } = await client.getNode(
        { courseId, ref, nodeId: lessonId },
        await optionsFor(minter, as),
      );
      if (!node || !resolved)
        throw new AppError('internal', 'INTERNAL', {}, { message: 'versioning answered without a node' });
      return {
        courseId,
        lessonId,
        kind: kindName(node.kind) ?? '',
        fields: node.fields ?? {},
        body: node.body === '' ? null : node.body,
        audience: audienceIn(node.audience || undefined),
        commit: node.commit,
        head: resolved.commit,
        refKind: resolved.kind,
        refName: resolved.name,
        updatedAt: node.updatedAt,
        updatedBy: node.updatedBy,
      };
    },

    async setBody(change, as) {
      const { courseId, lessonId, branch, base, body, message, kind } = change;
      const expect =
        change.expectedBody === undefined ? [] : [{ nodeId: lessonId, part: Part.BODY, etag: change.expectedBody }];
      const ops = [{ op: { $case: 'setBody' as const, value: { nodeId: lessonId, body } } }];
      const expectedHead = change.expectedHead ?? '';
      const made = await client.commit(
        { courseId, branch, base, expectedHead, expect, ops, message, kind },
        await optionsFor(minter, as),
      );
      return toMade(made);
    },

    async madeBefore(call) {
      if (call.command === undefined) return undefined;
      const { id: key, fingerprint } = call.command;
      const { deadline, requestId, signal } = call;
      const own = { call: { token: await minter.mintOwn(), deadline, requestId, signal } };
      const { outcome, result } = await requests.recall({ actor: call.actor.sub, key, fingerprint }, own);
      if (outcome !== RecallOutcome.DONE) return undefined;
      const made = CommitResponse.fromJSON(result);
      return toMade(made);
    },

    ...createVersioningImports(client, minter),
  };
}
