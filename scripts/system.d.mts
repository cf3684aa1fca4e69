export type ProcessName = 'versioning' | 'content' | 'catalog' | 'review' | 'deployment' | 'gateway';
export type ServiceName = Exclude<ProcessName, 'gateway'>;
/** One process: `catalog` is the first replica of its service, `catalog-2` the second. */
export type InstanceName = ProcessName | `${ServiceName}-${number}`;
export type ServerName = 'postgres' | 'mongodb' | 'redis' | 'nats';
export type PersonName = 'admin' | 'author' | 'reviewer' | 'publisher' | 'deployer' | 'learner';

export interface SystemOptions {
  /** Where its data lie; kept at the end. Unless given, a new folder that `stop` removes. */
  dir?: string;
  /** How many processes of each service (default: one); of the gateway there is one. */
  replicas?: number;
  /** One port for each server, process, `<process>-ops`; chosen unless given. */
  ports?: Record<string, number>;
  /** Whether PostgreSQL syncs (default: no). */
  fsync?: boolean;
  /** Goes to the environment of every process. */
  env?: Record<string, string>;
  /** Goes to the environment of one process; by the name of a service, to each of its replicas. */
  settings?: Partial<Record<InstanceName, Record<string, string>>>;
  /** Which services to start, with the gateway (default: all). */
  processes?: readonly ProcessName[];
}

export interface ProcessFacts {
  pid: number | null;
  url: string;
  grpc?: string;
  ops?: string;
}

export interface System {
  readonly dir: string;
  readonly ports: Record<string, number>;
  readonly gateway: string;
  readonly tokens: Record<PersonName, string>;
  /** PostgreSQL as its owner, NATS as the user who only listens. */
  readonly servers: Record<ServerName, string>;
  /** NATS as the user who may do everything, for tests that damage what is there. */
  readonly natsAdmin: string;
  /** What the commands on the operators' ports ask for: `Authorization: Bearer <opsToken>`. */
  readonly opsToken: string;
  /** The private keys: `internal` by process name, `issuer` of the development tokens; the passwords by user. */
  readonly keys: {
    internal: Record<ProcessName, Record<string, string>>;
    issuer: Record<string, string>;
    cursor: string;
    nats: Record<ProcessName | 'subscriber' | 'admin', string>;
    postgres: Record<ServiceName | 'owner', string>;
  };
  /** The gateway's `url` is the public one; `ops` is where the operators look. */
  readonly processes: Record<ProcessName, ProcessFacts> & {
    readonly [replica: `${ServiceName}-${number}`]: ProcessFacts;
  };
  /** The names of the processes that are one service: `catalog`, `catalog-2`, … */
  replicasOf(service: ProcessName): InstanceName[];
  pid(name: InstanceName | ServerName): number | null;
  /** How often it has been brought back. */
  restarts(name: InstanceName | ServerName): number;
  /** Waits until it answers; throws after `ms` (default 60 s) or when it keeps dying. */
  ready(name: InstanceName | ServerName, ms?: number): Promise<void>;
  /** SIGKILL; the supervisor brings it back. Returns the pid it had. */
  kill(name: InstanceName | ServerName): number;
  /** Stops it and keeps it down. */
  stopProcess(name: InstanceName): Promise<void>;
  startProcess(name: InstanceName): Promise<void>;
  stopServer(name: ServerName): Promise<void>;
  startServer(name: ServerName): Promise<void>;
  /** Stops a server (not PostgreSQL), empties its data and starts it again. */
  wipe(name: 'mongodb' | 'redis' | 'nats'): Promise<void>;
  /** What it has logged so far. */
  log(name: InstanceName | ServerName): string;
  stop(): Promise<void>;
}

/** Starts a whole system of its own and resolves when all of it is ready. */
export function startSystem(options?: SystemOptions): Promise<System>;
