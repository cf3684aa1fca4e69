import type {
  DropImportRequest,
  VersioningServiceDefinition,
} from '@coursewright/proto/coursewright/versioning/v1/versioning';
import type { CallContext } from '@coursewright/platform/rpc-call';
import type { Handlers } from '@coursewright/platform/rpc-server';
import { currentTraceparent } from '@coursewright/platform/telemetry';
import { closeCourse } from '../operations/close-course.js';
import { CommitQueue } from '../operations/commit-queue.js';
import { createBranch } from '../operations/branches.js';
import { createCourse } from '../operations/create-course.js';
import { dropImport } from '../operations/drop-import.js';
import { graft } from '../operations/graft.js';
import { resultOf } from '../operations/outcomes.js';
import type { Deps } from '../operations/ports.js';
import { authorizeCreator, authorizeWriter, mayPassProtection } from './access.js';
import {
  authorOf,
  checkIds,
  commandOf,
  toCommitKind,
  toExpectations,
  toHiddenName,
  toMessage,
  toOps,
} from './convert.js';
import { toBranchMessage, toCommitResponse } from './views.js';

type Written = 'closeCourse' | 'createCourse' | 'commit' | 'graft' | 'dropImport' | 'createBranch';

/** Handlers of the calls that write; each checks the actor's role on the course first. */
export function writeRoutes(deps: Deps): Pick<Handlers<typeof VersioningServiceDefinition>, Written> {
  const queue = new CommitQueue(deps);
  return {
    async createCourse(request, call) {
      authorizeCreator(call.actor);
      checkIds({ courseId: request.courseId });
      const { courseId, source = null, fields = {} } = request;
      const outcome = await createCourse(deps, {
        courseId,
        fields,
        source,
        author: authorOf(call.actor),
        command: commandOf(call),
      });
      return toCommitResponse(resultOf(outcome));
    },
    async commit(request, call) {
      const { courseId, branch, base, expectedHead, start } = request;
      checkIds({ courseId });
      authorizeWriter(call.actor, courseId, branch);
      const outcome = await queue.commit({
        courseId,
        branch,
        base,
        expectedHead,
        start,
        expect: toExpectations(request.expect),
        ops: toOps(request.ops, deps.newId),
        message: toMessage(request.message),
        kind: toCommitKind(request.kind),
        author: authorOf(call.actor),
        traceparent: currentTraceparent(),
        mayPassProtection: mayPassProtection(call.actor, courseId),
        command: commandOf(call),
        signal: call.signal,
      });
      return toCommitResponse(resultOf(outcome));
    },
    async graft(request, call) {
      const { courseId, from, branch, parentId, afterId, start, takeRootFields } = request;
      checkIds({ courseId });
      authorizeWriter(call.actor, courseId, from);
      const outcome = await graft(deps, {
        courseId,
        from,
        branch,
        parent: parentId,
        after: afterId,
        start,
        takeRootFields,
        message: toMessage(request.message),
        kind: 'import',
        author: authorOf(call.actor),
        command: commandOf(call),
      });
      return toCommitResponse(resultOf(outcome));
    },
    dropImport: (request, call) => dropFailed(deps, request, call),
    async closeCourse({ courseId, expectedTree, closed, turn }, call) {
      checkIds({ courseId });
      return closeCourse(deps, { courseId, expectedTree, closed, turn, signal: call.signal });
    },
    async createBranch(request, call) {
      const { courseId, name, from, metadata = {} } = request;
      checkIds({ courseId });
      authorizeWriter(call.actor, courseId);
      const createdBy = authorOf(call.actor).id;
      const branch = await createBranch(deps, {
        courseId,
        name,
        from,
        isProtected: request.protected,
        metadata,
        createdBy,
        command: commandOf(call),
      });
      return toBranchMessage(branch);
    },
  };
}

async function dropFailed(deps: Deps, request: DropImportRequest, call: CallContext): Promise<{ dropped: boolean }> {
  const { courseId, courseUnregistered } = request;
  checkIds({ courseId });
  const name = toHiddenName(request.name);
  return { dropped: await dropImport(deps, { courseId, name, courseUnregistered, actor: authorOf(call.actor).id }) };
}
