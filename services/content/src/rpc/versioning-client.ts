import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import { RecallOutcome, RequestServiceDefinition } from '@coursewright/proto/coursewright/common/v1/requests';
import {
  CommitResponse,
  Part,
  VersioningServiceDefinition,
  type Node,
} from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { AppError } from '@coursewright/platform/errors';
import type { TokenMinter } from '@coursewright/platform/internal-token';
import type { CallOptions, Channel } from '@coursewright/platform/rpc-client';
import type { KnownNode } from '../domain/import-ops.js';
import type { PlannedNode } from '../domain/import-plan.js';
import type { As, StoredOp, Versioning } from '../operations/ports.js';

const KINDS = {
  course: NodeKind.COURSE,
  unit: NodeKind.UNIT,
  module: NodeKind.MODULE,
  lesson: NodeKind.LESSON,
  assignment: NodeKind.ASSIGNMENT,
} as const;
const NAMES: ReadonlyMap<NodeKind, PlannedNode['kind']> = new Map(
  (Object.keys(KINDS) as PlannedNode['kind'][]).map((name) => [KINDS[name], name]),
);
const PAGE = 1000;

/** Steps of an import write a thousand nodes, a graft moves any number. */
const STEP_MS = 30_000;

/** On whose behalf a call goes out: the served call's token travels on; a job speaks as this service for a person. */
export async function optionsFor(minter: TokenMinter, as: As): Promise<CallOptions> {
  if ('call' in as) return { call: as.call };
  return {
    token: await minter.mintOwn(as.person),
    deadlineMs: STEP_MS,
    ...(as.command ? { command: as.command } : {}),
  };
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
        kind: NAMES.get(node.kind) ?? '',
        fields: node.fields ?? {},
        body: node.body === '' ? null : node.body,
        commit: resolved.commit,
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
      return { commit: made.commit, at: made.at ?? new Date(0), unchanged: made.unchanged };
    },

    async madeBefore(call) {
      if (call.command === undefined) return undefined;
      const { id: key, fingerprint } = call.command;
      const { deadline, requestId, signal } = call;
      const own = { call: { token: await minter.mintOwn(), deadline, requestId, signal } };
      const { outcome, result } = await requests.recall({ actor: call.actor.sub, key, fingerprint }, own);
      if (outcome !== RecallOutcome.DONE) return undefined;
      const made = CommitResponse.fromJSON(result);
      return { commit: made.commit, at: made.at ?? new Date(0), unchanged: made.unchanged };
    },

    async createCourse(course, as) {
      await client.createCourse(course, await optionsFor(minter, as));
    },

    async head(courseId, as) {
      return (await client.getCourse({ courseId }, await optionsFor(minter, as))).head;
    },

    async listSourced({ courseId, commit, format }, as) {
      const found: KnownNode[] = [];
      const options = () => optionsFor(minter, as);
      const { root } = await client.getCourse({ courseId, ref: commit }, await options());
      if (root) found.push(...knownOf(root, format));
      const kinds = [NodeKind.UNIT, NodeKind.MODULE, NodeKind.LESSON, NodeKind.ASSIGNMENT];
      let cursor = '';
      do {
        const page = await client.listNodes({ courseId, ref: commit, kinds, cursor, limit: PAGE }, await options());
        found.push(...page.nodes.flatMap((node) => knownOf(node, format)));
        cursor = page.next;
      } while (cursor !== '');
      return found;
    },

    async applyStep({ importId, courseId, start = '', ops }, as) {
      const request = {
        courseId,
        branch: `import/${importId}`,
        start,
        ops: ops.map((op) => ({ op: wireOp(op, courseId) })),
      };
      const { commit } = await client.commit(
        { ...request, kind: 'import', message: 'Import' },
        await optionsFor(minter, as),
      );
      return { commit };
    },

    async graft({ importId, courseId, start = '', message }, as) {
      const { commit } = await client.graft(
        { courseId, from: `import/${importId}`, start, message },
        await optionsFor(minter, as),
      );
      return { commit };
    },
  };
}

function knownOf(node: Node, format: string): KnownNode[] {
  const kind = NAMES.get(node.kind);
  if (node.source?.format !== format || kind === undefined) return [];
  const { id, parentId, fields = {}, body } = node;
  return [{ id, kind, parentId: parentId || null, fields, body: body || null, key: node.source.key }];
}

function wireOp(op: StoredOp, courseId: string) {
  switch (op.op) {
    case 'add': {
      const { id, parentId, kind, fields, body, source } = op.node;
      const value = { parentId: parentId ?? courseId, id, kind: KINDS[kind], fields, body: body ?? '', source };
      return { $case: 'add' as const, value };
    }
    case 'setFields':
      return { $case: 'setFields' as const, value: { nodeId: op.nodeId, fields: op.fields } };
    case 'setBody':
      return { $case: 'setBody' as const, value: { nodeId: op.nodeId, body: op.body } };
    case 'move':
      return { $case: 'move' as const, value: { nodeId: op.nodeId, parentId: op.parentId } };
    case 'reorder':
      return { $case: 'reorder' as const, value: { nodeId: op.nodeId, children: op.children } };
  }
}
