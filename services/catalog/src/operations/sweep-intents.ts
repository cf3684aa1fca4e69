import { settleDeletions } from './change-deletion.js';
import { finishIntent } from './create-course.js';
import type { Deps } from './ports.js';

const atOnce = 20;
const leaseMs = 6_000;

/** Finishes courses whose making was interrupted, and settles deletions that were. Resolves to how many it brought to their end. */
export async function sweepIntents(deps: Deps): Promise<number> {
  const claimed = await deps.intents.claim(deps.database, { limit: atOnce, leaseMs });
  const results = await Promise.allSettled(claimed.map((intent) => finishIntent(deps, intent)));
  for (const result of results) {
    if (result.status === 'rejected')
      deps.logger.warn({ reason: String(result.reason) }, 'an interrupted course could not be finished yet');
  }
  await deps.intents.prune(deps.database);
  return results.filter((result) => result.status === 'fulfilled').length + (await settleDeletions(deps));
}
