import { openChannel, type CallOptions, type Channel } from '@coursewright/platform/rpc-client';
import { createTokenMinter, type TokenMinter } from '@coursewright/platform/internal-token';
import type { ProcessName, System } from '../../scripts/system.mjs';

/** A second gateway, as far as the services can tell: it signs tokens by the system's own keys and calls what it likes. */
export interface Callers {
  /** A channel to a service, kept open until `close`. */
  channel(service: ServiceName): Channel;
  /** Somebody with these platform roles and grants. */
  person(sub: string, roles: readonly string[], grants?: readonly Grant[]): Promise<CallOptions>;
  /** A process in its own name. */
  process(name: ProcessName): Promise<CallOptions>;
  close(): void;
}

export type ServiceName = Exclude<ProcessName, 'gateway'>;

export interface Grant {
  readonly course: string;
  readonly role: string;
  readonly commit?: string;
}

/** Where the replicas of a service are, as its other clients are told. */
function addressesOf(system: System, service: ServiceName): string {
  const names = system.replicasOf(service);
  return names.map((name) => system.processes[name]!.grpc!).join(',');
}

/** Callers of the services of one system. */
export async function callersOf(system: System): Promise<Callers> {
  const channels = new Map<ServiceName, Channel>();
  const minters = new Map<ProcessName, TokenMinter>();
  for (const [name, key] of Object.entries(system.keys.internal))
    minters.set(name as ProcessName, await createTokenMinter(key));
  return {
    channel(service) {
      const open = channels.get(service) ?? openChannel(service, addressesOf(system, service));
      channels.set(service, open);
      return open;
    },
    person: async (sub, roles, grants = []) => ({ token: await minters.get('gateway')!.mint({ sub, roles, grants }) }),
    process: async (name) => ({ token: await minters.get(name)!.mintOwn() }),
    close: () => channels.forEach((channel) => channel.close()),
  };
}
