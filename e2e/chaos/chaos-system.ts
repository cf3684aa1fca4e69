import { fork, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Facts, Order, Reply } from './orders.js';

/** A whole system whose supervisor is a process of its own, and which anything may be done to. */
export interface ChaosSystem {
  readonly facts: Facts;
  /** The names of all processes, as the run file has them. */
  readonly processes: readonly string[];
  readonly servers: readonly string[];
  pid(name: string): Promise<number>;
  kill(name: string): Promise<void>;
  stop(name: string): Promise<void>;
  start(name: string): Promise<void>;
  wipe(name: string): Promise<void>;
  /** Sends a signal to the process itself, past the supervisor. */
  signal(pid: number, signal: NodeJS.Signals): void;
  readonly supervisorPid: number;
  /** Kills the supervisor, and nothing else. */
  killSupervisor(): Promise<void>;
  /** Does what `npm start` does after that: ends what was left and brings everything up. */
  startSupervisor(): Promise<void>;
  /** Sets the clock of a process off by so many milliseconds; 0 sets it right. */
  setClock(name: string, ms: number): void;
  close(): Promise<void>;
}

export interface ChaosOptions {
  readonly replicas: number;
  /** A safety that the services are to do without, so that the suite can be seen to fail. */
  readonly without?: string | undefined;
}

/** The process with the supervisor, as something to ask. */
class Host {
  private readonly child: ChildProcess;
  private readonly waiting = new Map<
    number,
    { readonly resolve: (result: unknown) => void; readonly reject: (error: Error) => void }
  >();
  private count = 0;

  constructor() {
    this.child = fork(fileURLToPath(new URL('./host.mjs', import.meta.url)), {
      execArgv: [],
      // A group of its own: Ctrl-C reaches the suite only, which closes the system in order.
      detached: true,
    });
    this.child.on('message', (reply: Reply) => {
      const asker = this.waiting.get(reply.id);
      this.waiting.delete(reply.id);
      if ('error' in reply) asker?.reject(new Error(reply.error));
      else asker?.resolve(reply.result);
    });
    this.child.on('exit', () => {
      for (const { reject } of this.waiting.values()) reject(new Error('the supervisor is gone'));
      this.waiting.clear();
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  async ask<T>(verb: Order['verb'], more: Omit<Order, 'id' | 'verb'> = {}): Promise<T> {
    this.count += 1;
    const order: Order = { id: this.count, verb, ...more };
    const result = await new Promise<unknown>((resolve, reject) => {
      this.waiting.set(order.id, { resolve, reject });
      this.child.send(order);
    });
    return result as T;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill(signal);
    await gone;
  }
}

/** Starts a system for a chaos run, in a folder of its own that `close` removes. */
export async function startChaosSystem({ replicas, without }: ChaosOptions): Promise<ChaosSystem> {
  const dir = mkdtempSync(join(process.env['TEST_DIR'] ?? tmpdir(), 'chaos-'));
  // The database's user has to get in.
  chmodSync(dir, 0o755);
  const clocks = join(dir, 'clocks');
  mkdirSync(clocks);
  const preloaded = ['./clock.mjs', ...(without === undefined ? [] : ['./without.mjs'])];
  const env = {
    CHAOS_CLOCKS: clocks,
    NODE_OPTIONS: preloaded.map((name) => `--import=${new URL(name, import.meta.url).href}`).join(' '),
    ...(without === undefined ? {} : { CHAOS_WITHOUT: without }),
  };
  let host = new Host();
  const begin = (ports?: Record<string, number>): Promise<Facts> =>
    host.ask<Facts>('begin', {
      options: { dir, env, ...(ports === undefined ? {} : { ports }), ...(replicas > 1 ? { replicas } : {}) },
    });
  const close = async (): Promise<void> => {
    await host.ask('close').catch(() => undefined);
    await host.end('SIGKILL');
    host = new Host();
    await host.ask('sweep', { options: { dir } });
    await host.end('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  };
  let facts: Facts;
  try {
    facts = await begin();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    facts,
    processes: Object.keys(facts.processes),
    servers: Object.keys(facts.servers),
    pid: (name) => host.ask('pid', { name }),
    kill: (name) => host.ask('kill', { name }),
    stop: (name) => host.ask('stop', { name }),
    start: (name) => host.ask('start', { name }),
    wipe: (name) => host.ask('wipe', { name }),
    signal: (pid, signal) => void process.kill(pid, signal),
    get supervisorPid() {
      return host.pid;
    },
    killSupervisor: () => host.end('SIGKILL'),
    async startSupervisor() {
      host = new Host();
      await begin(facts.ports);
    },
    setClock(name, ms) {
      const process = facts.processes[name as keyof Facts['processes']];
      if (process === undefined) throw new Error(`there is no process ${name}`);
      writeFileSync(join(clocks, new URL(process.ops ?? process.url).port), String(ms));
    },
    close,
  };
}
