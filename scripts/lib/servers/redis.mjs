// Redis: the server of the machine, else Debian's package (redis-tools alone has it, and starts nothing).
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { programOf } from './machine.mjs';
import { oldest } from './versions.mjs';

export const name = 'redis';
export const title = 'Redis 7 or newer';

/** The Debian packages that give it. */
export const packages = () => ['redis-tools'];

/** The server on this machine, or null. */
export async function find() {
  const program = await programOf('redis-server', oldest.redis);
  return program && { how: 'machine', ...program };
}

/** What to run. It holds caches and limits only, so the oldest may go when it is full. */
export async function unit(found, { dir, port, fsync = true }) {
  const data = join(dir, 'redis');
  mkdirSync(data, { recursive: true });
  const settings = {
    port,
    bind: '127.0.0.1',
    dir: data,
    save: '',
    appendonly: fsync ? 'yes' : 'no',
    maxmemory: '256mb',
    'maxmemory-policy': 'allkeys-lru',
  };
  return {
    program: {
      command: found.bin,
      args: Object.entries(settings).flatMap(([key, value]) => [`--${key}`, String(value)]),
      cwd: data,
    },
    url: `redis://127.0.0.1:${port}`,
    ready: { how: 'redis', port },
    stop: { signal: 'SIGTERM', ms: 10_000 },
    data,
  };
}
