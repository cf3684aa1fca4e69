import { isService, type Actor } from './actor.js';
import type { ServiceDefinition } from './rpc-definition.js';

/** Who may call a method at all, before its handler looks at the object: people through the gateway, and which of our services. */
export interface Callers {
  readonly people: boolean;
  /** Names of processes, as their keys have them: "gateway", "content". */
  readonly services: readonly string[];
}

/** A decision for each method of a service: one that is missing does not compile. */
export type Decisions<D extends ServiceDefinition> = { readonly [K in keyof D['methods']]: Callers };

/** People may call it, and these services in their own name. */
export function people(...services: string[]): Callers {
  return { people: true, services };
}

/** Only these services may call it, in their own name. */
export function only(...services: string[]): Callers {
  return { people: false, services };
}

/** Whether this actor may call a method at all. A service's key opens nothing but the methods that name it. */
export function mayCall(actor: Actor, callers: Callers): boolean {
  return isService(actor) ? callers.services.includes(actor.sub.slice('service:'.length)) : callers.people;
}
