import { setTimeout as sleep } from 'node:timers/promises';
import type { ChaosSystem } from './chaos-system.js';
import { Look } from './observe.js';

const LOOK_MS = 10;
const PATIENCE_MS = 20_000;
const SETTLE_MS = 50;

/** Imports that wait for nobody but this process: it claimed them last, and they have not ended. */
const HELD = `
  SELECT id FROM "import" AS i WHERE state = 'running' AND lease_holder IS NOT NULL
    AND (SELECT who FROM chaos_trail WHERE tab = 'import' AND line = i.id::text ORDER BY n DESC LIMIT 1) = $1`;

/**
 * Stops a process that imports while it does so: what it goes on with afterwards, another one has taken over meanwhile.
 * Throws when it has had no import under way for 20 s: such a drill would show nothing of that.
 */
export async function stopAmidImport(system: ChaosSystem, name: string, pid: number): Promise<void> {
  const look = new Look(system.facts.servers.postgres, 'content');
  const isImporting = async (): Promise<boolean> => (await look.rows(HELD, [name])).length > 0;
  try {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(LOOK_MS)) {
      if (!(await isImporting())) continue;
      system.signal(pid, 'SIGSTOP');
      // What it had sent to the database before still takes effect.
      await sleep(SETTLE_MS);
      if (await isImporting()) return;
      system.signal(pid, 'SIGCONT');
    }
  } finally {
    await look.close();
  }
  throw new Error(`${name} had no import under way for ${PATIENCE_MS / 1000} s`);
}
