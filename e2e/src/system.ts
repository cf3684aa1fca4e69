import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { Api } from './api.js';

/** A whole system of its own: data servers, five services, gateway; on ports and folders nobody else uses. */
export interface System {
  readonly gateway: string;
  readonly servers: {
    readonly postgres: string;
    readonly mongodb: string;
    readonly redis: string;
    readonly nats: string;
  };
  readonly ports: Readonly<Record<string, number>>;
  readonly tokens: Readonly<Record<string, string>>;
  readonly processes: Readonly<Record<string, { readonly pid: number; readonly url: string }>>;
  /** Resolves when a process or server answers that it is ready. */
  ready(name: string): Promise<void>;
  /** kill -9; the supervisor brings it back. */
  kill(name: string): Promise<void>;
  restarts(name: string): number;
  stopServer(name: string): Promise<void>;
  startServer(name: string): Promise<void>;
  /** Stops a server, removes its data, starts it again. */
  wipe(name: string): Promise<void>;
  log(name: string): string;
  stop(): Promise<void>;
}

/** Starts a system in a folder of its own, as `npm start` does in the checkout's; env goes to every process. */
export async function startTestSystem(env: Record<string, string> = {}): Promise<System> {
  const script = new URL('../../scripts/system.mjs', import.meta.url).href;
  const { startSystem } = (await import(script)) as {
    startSystem(options: { env: Record<string, string> }): Promise<System>;
  };
  return startSystem({ env });
}

/** The API as one of the development people sees it. */
export function apiOf(
  system: System,
  role: 'admin' | 'author' | 'reviewer' | 'publisher' | 'deployer' | 'learner' = 'author',
): Api {
  return new Api(system.gateway, system.tokens[role]!);
}

const dataFolder = fileURLToPath(new URL('../../../shared/data/', import.meta.url));

/** A file of real courses that lie beside the repository, or undefined where they are absent. */
export async function sharedData(name: string): Promise<Buffer | undefined> {
  const path = join(dataFolder, name);
  return existsSync(path) ? readFile(path) : undefined;
}
