// NATS with JetStream: the server of the machine, else Debian's package.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeText } from '../files.mjs';
import { programOf } from './machine.mjs';
import { natsConfig } from './nats-config.mjs';
import { withUser } from './users.mjs';
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

/**
 * What to run. JetStream syncs as it does by default: PostgreSQL is the truth, the streams can be made anew from it. The
 * address shown to everybody is that of the user who only listens.
 */
export async function unit(found, { dir, port, keys }) {
  const data = join(dir, 'nats');
  const config = join(dir, 'nats.conf');
  mkdirSync(data, { recursive: true });
  writeText(config, natsConfig({ host: '127.0.0.1', port, data, passwords: keys.nats }));
  return {
    program: { command: found.bin, args: ['-c', config], cwd: data },
    url: withUser(`nats://127.0.0.1:${port}`, 'subscriber', keys.nats.subscriber),
    ready: { how: 'nats', port },
    alive: { how: 'speaks', port },
    stop: { signal: 'SIGTERM', ms: 10_000 },
    data,
  };
}
