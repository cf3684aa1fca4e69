import { people, type Decisions } from '../rpc-access.js';
import type { ServiceDefinition } from '../rpc-definition.js';

/** For a stand-in of a peer: everybody may call everything, since who may is the real service's to decide and to test. */
export function anyone<D extends ServiceDefinition>(definition: D): Decisions<D> {
  const all = people('gateway', 'catalog', 'content', 'review', 'versioning', 'deployment', 'sink');
  return Object.fromEntries(Object.keys(definition.methods).map((key) => [key, all])) as unknown as Decisions<D>;
}
