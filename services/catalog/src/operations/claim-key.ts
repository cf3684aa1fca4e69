import { isAtMost } from '@coursewright/course-model/text-length';
import type { FieldProblem } from '@coursewright/platform/errors';
import { invalidRequest } from '../domain/errors.js';
import type { Deps, KeyClaim } from './ports.js';

const atOnce = 1_000;
/** Longest actor, key and fingerprint that are kept; the gateway lets none through that is longer. */
const longest = { actor: 200, key: 255, fingerprint: 100 };

/**
 * Binds a client's key to its first request, whichever service owns the effect: the owners each know their own keys only.
 * Resolves to whether it is bound to this very request. Throws invalid_argument INVALID_REQUEST.
 */
export async function claimKey(deps: Pick<Deps, 'database' | 'keys'>, claim: KeyClaim): Promise<boolean> {
  const problems = (['actor', 'key', 'fingerprint'] as const).flatMap((name): FieldProblem[] => {
    const isFine = claim[name] !== '' && isAtMost(claim[name], longest[name]) && !claim[name].includes('\0');
    return isFine
      ? []
      : [{ pointer: `/${name}`, code: 'length', message: `must have 1 to ${longest[name]} characters` }];
  });
  if (problems.length > 0) throw invalidRequest(problems);
  return (await deps.keys.claim(deps.database, claim)) === claim.fingerprint;
}

/** Removes keys whose 7 days are over. */
export async function pruneKeys(deps: Pick<Deps, 'database' | 'keys'>): Promise<number> {
  return deps.keys.prune(deps.database, atOnce);
}
