import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { eventually } from '@coursewright/platform/testing/eventually';

/** Where a program of the machine is, or undefined. */
export function programOnPath(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** A data server of the test alone, which may be killed and whose files may be taken away. */
export interface OwnServer {
  readonly url: string;
  readonly dir: string;
  start(): Promise<void>;
  kill(): Promise<void>;
  /** Kills it and removes its files. */
  remove(): Promise<void>;
}

/** A port on which nobody listens now. */
export async function freePort(): Promise<number> {
  for (;;) {
    // Never an ephemeral port: a client that retries a dead one of those can connect to itself.
    const port = 21_000 + Math.floor(Math.random() * 8_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) =>
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)),
    );
    await new Promise((resolve) => server.close(resolve));
    if (isFree) return port;
  }
}

function ownServer(
  protocol: string,
  port: number,
  run: { command: string; args: (dir: string) => string[] },
): OwnServer {
  const dir = mkdtempSync(join(tmpdir(), `own-${protocol}-`));
  let child: ChildProcess | undefined;
  const kill = async (): Promise<void> => {
    const dying = child;
    child = undefined;
    if (dying === undefined || dying.exitCode !== null) return;
    const gone = new Promise((resolve) => dying.once('exit', resolve));
    dying.kill('SIGKILL');
    await gone;
  };
  return {
    url: `${protocol}://127.0.0.1:${port}`,
    dir,
    async start() {
      child = spawn(run.command, run.args(dir), { stdio: 'ignore', cwd: tmpdir() });
      await eventually(
        () =>
          new Promise<void>((resolve, reject) => {
            const socket = connect(port, '127.0.0.1', () => resolve(void socket.destroy())).once('error', reject);
          }),
      );
    },
    kill,
    async remove() {
      await kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

const natsProgram = programOnPath('nats-server');
// One program with two names: Debian's redis-tools has the server under this one only.
const redisProgram = programOnPath('redis-server') ?? programOnPath('redis-check-rdb');

/** Whether tests can start these servers here; where not, they are skipped and say so. */
export const hasOwn = { nats: natsProgram !== undefined, redis: redisProgram !== undefined };

/** A NATS server with JetStream, started. */
export async function startOwnNats(): Promise<OwnServer> {
  const port = await freePort();
  const server = ownServer('nats', port, {
    command: natsProgram!,
    args: (dir) => ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', dir],
  });
  await server.start();
  return server;
}

/** A Redis server that writes its file only when it is told to, started. */
export async function startOwnRedis(): Promise<OwnServer> {
  const port = await freePort();
  const settings = (dir: string): string[] => [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    dir,
    '--save',
    '',
  ];
  const place = mkdtempSync(join(tmpdir(), 'own-redis-program-'));
  const command = join(place, 'redis-server');
  symlinkSync(redisProgram!, command);
  const server = ownServer('redis', port, { command, args: settings });
  await server.start();
  return {
    ...server,
    async remove() {
      await server.remove();
      rmSync(place, { recursive: true, force: true });
    },
  };
}
