import type { Branch } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import type { Reply } from '../http/route.js';
import { orNull, timeOf } from './common.js';

/** A branch. */
export function branchJson(branch: Branch): Record<string, unknown> {
  return {
    name: branch.name,
    courseId: branch.courseId,
    head: branch.head,
    parent: orNull(branch.parent),
    base: orNull(branch.base),
    protected: branch.protected,
    ahead: branch.ahead,
    behind: branch.behind,
    createdBy: branch.createdBy,
    createdAt: timeOf(branch.createdAt),
    metadata: branch.metadata ?? {},
  };
}

/** One branch: its revision is what a change compares, its head what a deletion compares too. */
export function branchReply(branch: Branch): Reply {
  return { status: 200, body: branchJson(branch), etag: [String(branch.revision), branch.head], head: branch.head };
}
