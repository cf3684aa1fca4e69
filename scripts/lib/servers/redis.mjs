// Redis: the server of the machine, else Debian's package redis-tools (it has the server too, and starts nothing).
import { existsSync, mkdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { attempt } from '../run.mjs';
import { programOf, which } from './machine.mjs';
import { atLeast, oldest, versionIn } from './versions.mjs';

export const name = 'redis';
export const title = 'Redis 7 or newer';

/** The Debian packages that give it. */
export const packages = () => ['redis-tools'];

/**
 * The server on this machine, or null. It is one program with redis-check-rdb, which Debian's redis-tools brings: what it
 * does depends on the name by which it is called.
 */
export async function find({ tools }) {
  const program = await programOf('redis-server', oldest.redis);
  if (program) return { how: 'machine', ...program };
  const twin = which('redis-check-rdb');
  if (!twin) return null;
  const bin = join(tools, 'redis-server');
  if (!existsSync(bin)) {
    rmSync(bin, { force: true });
    symlinkSync(realpathSync(twin), bin);
  }
  const version = versionIn(await attempt(bin, ['--version']));
  return version && atLeast(version, oldest.redis) ? { how: 'machine', bin, version: version.join('.') } : null;
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
    alive: { how: 'speaks', port, hello: 'PING\r\n' },
    stop: { signal: 'SIGTERM', ms: 10_000 },
    data,
  };
}
