import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import pg from 'pg';
import { startSystem, type InstanceName, type ProcessName, type System } from '../../scripts/system.mjs';
import { Api } from './api.js';

export type { InstanceName, ProcessName, System };

/**
 * Starts a system in a folder of its own, as `npm start` does in the checkout's, with as many processes of each service as REPLICAS says (one);
 * env goes to every process.
 */
export function startTestSystem(env: Record<string, string> = {}): Promise<System> {
  return startSystem({ env, replicas: Number(process.env['REPLICAS'] || 1) });
}

/** The API as one of the development people sees it. */
export function apiOf(system: System, role: keyof System['tokens'] = 'author'): Api {
  return new Api(system.gateway, system.tokens[role]);
}

/** Runs an operators' command of a process: `command(system, 'catalog', 'rebuild')`. */
export function command(system: System, service: Exclude<ProcessName, 'gateway'>, name: string): Promise<Response> {
  const headers = { authorization: `Bearer ${system.opsToken}` };
  return fetch(`${system.processes[service].url}/${name}`, { method: 'POST', headers });
}

/** Statements on a service's database by the owner of its tables: to look at rows, or to damage them on purpose. */
export function sqlOf(system: System, service: string) {
  const url = new URL(system.servers.postgres);
  url.pathname = `/cw_${service}`;
  return {
    async run<T extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<T[]> {
      const client = new pg.Client({ connectionString: url.href });
      await client.connect();
      try {
        return (await client.query<T>(text, [...values])).rows;
      } finally {
        await client.end();
      }
    },
  };
}

/** Makes the head of a course what learners see, by hand: nothing publishes yet. */
export async function publishByHand(system: System, courseId: string, head: string): Promise<void> {
  const text = 'UPDATE course SET published = $1, published_version = 1 WHERE course_id = $2';
  await sqlOf(system, 'versioning').run(text, [Buffer.from(head, 'base64url'), courseId]);
}

const dataFolder = fileURLToPath(new URL('../../../shared/data/', import.meta.url));

/** Whether a file of real courses lies beside the repository. */
export function hasSharedData(name: string): boolean {
  return existsSync(join(dataFolder, name));
}

/** Where a file of real courses lies. */
export function sharedDataPath(name: string): string {
  return join(dataFolder, name);
}

/** A file of real courses that lie beside the repository. */
export function sharedData(name: string): Promise<Buffer> {
  return readFile(sharedDataPath(name));
}
