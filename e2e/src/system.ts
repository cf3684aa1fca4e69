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

/** A file of real courses that lie beside the repository, or undefined where they are absent. */
export async function sharedData(name: string): Promise<Buffer | undefined> {
  const path = join(dataFolder, name);
  return existsSync(path) ? readFile(path) : undefined;
}
