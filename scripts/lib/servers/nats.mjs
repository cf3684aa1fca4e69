// NATS with JetStream: the server of the machine, else Debian's package.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { programOf } from './machine.mjs';
import { oldest } from './versions.mjs';

export const name = 'nats';
export const title = 'nats-server 2.9.10 or newer';

/** The Debian packages that give it. */
export const packages = () => ['nats-server'];

/** The server on this machine, or null. */
export async function find() {
  const program = await programOf('nats-server', oldest.nats);
  return program && { how: 'machine', ...program };
}

/** What to run. JetStream syncs as it does by default: PostgreSQL is the truth, the streams can be made anew from it. */
export async function unit(found, { dir, port }) {
  const data = join(dir, 'nats');
  mkdirSync(data, { recursive: true });
  return {
    program: { command: found.bin, args: ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', data], cwd: data },
    url: `nats://127.0.0.1:${port}`,
    ready: { how: 'nats', port },
    stop: { signal: 'SIGTERM', ms: 10_000 },
    data,
  };
}
