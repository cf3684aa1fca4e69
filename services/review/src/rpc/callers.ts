import type { ReviewServiceDefinition } from '@coursewright/proto/coursewright/review/v1/review';
import { people, type Decisions } from '@coursewright/platform/rpc-access';

/** Who may call what; the operations then ask for the role on the very course. */
export const callers: Decisions<typeof ReviewServiceDefinition> = { getReviewState: people() };

/** Who may ask for past events, and what became of a client's key. */
export const eventConsumers = ['catalog'];
export const keyAskers = ['gateway'];
