import type { ContentServiceDefinition } from '@coursewright/proto/coursewright/content/v1/content';
import { only, people, type Decisions } from '@coursewright/platform/rpc-access';

/** Who may call what; the handlers then ask for the role on the very course. */
export const callers: Decisions<typeof ContentServiceDefinition> = {
  saveLesson: people(),
  getLesson: people(),
  getRendered: people(),
  diffBodies: people(),
  getBodies: only('versioning'),
  putBodies: only('versioning'),
  checkBodies: only('versioning'),
  startImport: people(),
  getImport: people(),
  listImportLosses: people(),
  listImportKept: people(),
  getAsset: people(),
  locate: only('gateway'),
};

/** Who may ask for past events (nobody yet), and what became of a client's key. */
export const eventConsumers: readonly string[] = [];
export const keyAskers = ['gateway'];
