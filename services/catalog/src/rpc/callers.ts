import type { CatalogServiceDefinition } from '@coursewright/proto/coursewright/catalog/v1/catalog';
import { only, people, type Decisions } from '@coursewright/platform/rpc-access';

/** Who may call what; the operations then ask for the role on the very course. */
export const callers: Decisions<typeof CatalogServiceDefinition> = {
  createCourse: people(),
  registerCourse: only('content'),
  getCourse: people(),
  listCourses: people(),
  deleteCourse: people(),
  restoreCourse: people(),
  getAccess: only('gateway', 'content'),
  claimKey: only('gateway'),
  putMember: people(),
  listMembers: people(),
};

/** Who may ask for past events (nobody yet), and what became of a client's key. */
export const eventConsumers: readonly string[] = [];
export const keyAskers = ['gateway'];
