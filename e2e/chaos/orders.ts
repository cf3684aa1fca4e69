import type { System, SystemOptions } from '../../scripts/system.mjs';

/** What the suite may ask of the process that holds the supervisor. */
export interface Order {
  readonly id: number;
  readonly verb: 'begin' | 'sweep' | 'pid' | 'kill' | 'stop' | 'start' | 'wipe' | 'close';
  readonly name?: string;
  readonly options?: SystemOptions & { readonly replicas?: number };
}

export type Reply = { readonly id: number; readonly result: unknown } | { readonly id: number; readonly error: string };

/** What can be told of a system from one process to another. */
export type Facts = Pick<
  System,
  'dir' | 'ports' | 'gateway' | 'tokens' | 'opsToken' | 'natsAdmin' | 'servers' | 'keys' | 'processes'
>;
