import type { TokenMinter } from '@coursewright/platform/internal-token';
import type { CallOptions } from '@coursewright/platform/rpc-client';
import type { As } from '../operations/ports.js';

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
