import { DeploymentServiceDefinition } from '@coursewright/proto/coursewright/deployment/v1/deployment';
import { isId } from '@coursewright/platform/ids';
import { serve, type Served } from '@coursewright/platform/rpc-server';
import type { Sql, TxSql } from '@coursewright/platform/sql';
import { courseNotFound } from '../domain/errors.js';
import { kindToProto } from '../node-kind.js';
import { listContents } from '../operations/list-contents.js';
import type { Contents } from '../operations/ports.js';
import { callers } from './callers.js';

/** Deployment's RPCs. */
export function deploymentService<Tx extends TxSql>(deps: {
  readonly contents: Contents<Tx>;
  readonly sql: Sql;
}): Served {
  return serve(DeploymentServiceDefinition, callers, {
    async listSubmittableContents(request, call) {
      if (!isId(request.courseId)) throw courseNotFound(request.courseId.slice(0, 100));
      const { contents, next } = await listContents(deps, call.actor, request);
      return { contents: contents.map((content) => ({ ...content, kind: kindToProto(content.kind) })), next };
    },
  });
}
