import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { startSystem, type System } from '../../scripts/system.mjs';

/** Starts a whole system of its own, durable as in production, with as many processes of each service as REPLICAS says (one). */
export function startBenchSystem(env: Record<string, string> = {}): Promise<System> {
  return startSystem({
    fsync: true,
    replicas: Number(process.env['REPLICAS'] || 1),
    env: { LOG_LEVEL: 'info', ...env },
  });
}

/** Starts the bare Express server; resolves to its URL. */
export async function startHello(port: number): Promise<{ url: string; child: ChildProcess }> {
  const child = fork(fileURLToPath(new URL('./hello.ts', import.meta.url)), [String(port)], {
    execArgv: ['--conditions=source', '--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { ...process.env, NODE_ENV: 'production' },
  });
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', (code) => reject(new Error(`hello ended with ${code}`)));
  });
  return { url: `http://127.0.0.1:${port}/hello`, child };
}
