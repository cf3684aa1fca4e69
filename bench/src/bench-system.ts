import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What benchmarks need of a running system. */
export interface BenchSystem {
  readonly gateway: string;
  readonly servers: { readonly postgres: string; readonly mongodb: string; readonly nats: string };
  readonly tokens: Readonly<Record<string, string>>;
  readonly ports: Readonly<Record<string, number>>;
  stop(): Promise<void>;
}

/** Starts a whole system of its own, durable as in production. */
export async function startBenchSystem(env: Record<string, string> = {}): Promise<BenchSystem> {
  const script = new URL('../../scripts/system.mjs', import.meta.url).href;
  const { startSystem } = (await import(script)) as {
    startSystem(options: { fsync: boolean; env: Record<string, string> }): Promise<BenchSystem>;
  };
  return startSystem({ fsync: true, env: { LOG_LEVEL: 'info', ...env } });
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
