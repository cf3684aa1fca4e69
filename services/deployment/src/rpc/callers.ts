import type { DeploymentServiceDefinition } from '@coursewright/proto/coursewright/deployment/v1/deployment';
import { people, type Decisions } from '@coursewright/platform/rpc-access';

/** Who may call what; the operations then ask for the role on the very course. */
export const callers: Decisions<typeof DeploymentServiceDefinition> = { listSubmittableContents: people() };

/** Who may ask for past events (nobody yet), and what became of a client's key. */
export const eventConsumers: readonly string[] = [];
export const keyAskers = ['gateway'];
