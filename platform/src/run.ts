import { supervisorOf, type Env } from './config.js';
import type { Logger } from './logger.js';

/** Something that is started with the process and stopped with it. */
export interface Part {
  readonly name: string;
  start?(): Promise<unknown>;
  stop?(): Promise<unknown>;
}

/** The host process as `main.ts` hands it over. */
export interface Host {
  readonly ppid?: number;
  readonly env?: Env;
  once(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown;
  exit(code: number): void;
}

const stopLimitMs = 20_000;
const supervisorEveryMs = 3_000;

/** Says in the log, once, when the supervisor that started this process is gone. The process serves on; what dies now stays down. */
export function watchSupervisor(host: Pick<Host, 'ppid' | 'env'>, logger: Logger, everyMs = supervisorEveryMs): void {
  const supervisor = supervisorOf(host.env ?? {});
  // A process whose parent ends passes to another one, at once and for good.
  if (supervisor === undefined) return;
  const timer = setInterval(() => {
    if (host.ppid === supervisor) return;
    clearInterval(timer);
    logger.warn(
      { supervisor },
      'the supervisor is gone; this process goes on, but nothing brings it back when it ends',
    );
  }, everyMs);
  timer.unref();
}

/** Starts parts in order; stops those that were started in reverse order when one fails. */
export async function startAll(parts: readonly Part[]): Promise<{ stop(): Promise<void> }> {
  const started: Part[] = [];
  const stop = async (): Promise<void> => {
    for (let part = started.pop(); part !== undefined; part = started.pop()) await part.stop?.();
  };
  try {
    for (const part of parts) {
      started.push(part);
      await part.start?.();
    }
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
  return { stop };
}

/** Runs parts until SIGTERM or SIGINT: intake stops first, work under way ends, then connections close. Exits with 1 when a part fails to start. */
export async function run(parts: readonly Part[], host: Host, logger: Logger): Promise<void> {
  try {
    const running = await startAll(parts);
    logger.info('ready');
    watchSupervisor(host, logger);
    const end = (signal: string): void => {
      logger.info({ signal }, 'stopping');
      setTimeout(() => host.exit(1), stopLimitMs).unref();
      running.stop().then(
        () => host.exit(0),
        (error: unknown) => {
          logger.error({ err: error }, 'stop failed');
          host.exit(1);
        },
      );
    };
    host.once('SIGTERM', () => end('SIGTERM'));
    host.once('SIGINT', () => end('SIGINT'));
  } catch (error) {
    logger.fatal({ err: error }, 'start failed');
    host.exit(1);
  }
}
