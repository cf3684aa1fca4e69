import type { VersioningServiceDefinition } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { only, people, type Decisions } from '@coursewright/platform/rpc-access';

/** Who may call what; the handlers then ask for the role on the very course. */
export const callers: Decisions<typeof VersioningServiceDefinition> = {
  createCourse: only('catalog', 'content'),
  commit: people('content'),
  graft: only('content'),
  dropImport: only('content'),
  closeCourse: only('catalog'),
  locate: people('gateway'),
  resolveRef: people(),
  getPublished: only('gateway'),
  getCourse: people('content'),
  getOutline: people(),
  getNode: people(),
  listChildren: people(),
  listNodes: people('content', 'deployment'),
  listCommits: people(),
  compare: people(),
  createBranch: people(),
  getBranch: people(),
  listBranches: people(),
  checkIntegrity: people(),
};

/** Who may ask for past events, and what became of a client's key. */
export const eventConsumers = ['catalog', 'deployment', 'review'];
export const keyAskers = ['gateway', 'content'];
