import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import type { VersioningServiceDefinition, Node } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import type { TokenMinter } from '@coursewright/platform/internal-token';
import type { RpcClient } from '@coursewright/platform/rpc-client';
import { fieldMarks, type KnownNode } from '../domain/import-ops.js';
import type { StoredOp, Versioning } from '../operations/ports.js';
import { optionsFor } from './call-options.js';
import { KINDS, kindName } from './node-kinds.js';

/** Nodes of one page when a course is read whole. */
const PAGE = 1000;

/** What imports ask of versioning. */
export type VersioningImports = Pick<
  Versioning,
  'createCourse' | 'head' | 'listSourced' | 'applyStep' | 'graft' | 'dropImport'
>;

/** The part of content's port to versioning that imports use. */
export function createVersioningImports(
  client: RpcClient<typeof VersioningServiceDefinition>,
  minter: TokenMinter,
): VersioningImports {
  return {
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

    async dropImport({ importId, courseId, courseUnregistered }, as) {
      await client.dropImport(
        { courseId, name: `import/${importId}`, courseUnregistered },
        await optionsFor(minter, as),
      );
    },
  };
}

function knownOf(node: Node, format: string): KnownNode[] {
  const kind = kindName(node.kind);
  if (node.source?.format !== format || kind === undefined) return [];
  const { id, parentId, fields = {}, body } = node;
  return [
    { id, kind, parentId: parentId || null, marks: fieldMarks(fields), body: body || null, key: node.source.key },
  ];
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
