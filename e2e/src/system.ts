import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { startSystem, type System } from '../../scripts/system.mjs';
import { Api } from './api.js';

export type { System };

/** Starts a system in a folder of its own, as `npm start` does in the checkout's; env goes to every process. */
export function startTestSystem(env: Record<string, string> = {}): Promise<System> {
  return startSystem({ env });
}

/** The API as one of the development people sees it. */
export function apiOf(system: System, role: keyof System['tokens'] = 'author'): Api {
  return new Api(system.gateway, system.tokens[role]);
}

const dataFolder = fileURLToPath(new URL('../../../shared/data/', import.meta.url));

/** Whether a file of real courses lies beside the repository. */
export function hasSharedData(name: string): boolean {
  return existsSync(join(dataFolder, name));
}

/** A file of real courses that lie beside the repository. */
export function sharedData(name: string): Promise<Buffer> {
  return readFile(join(dataFolder, name));
}
