import type { Logger } from './logger.js';

/** Something that is started with the process and stopped with it. */
export interface Part {
  readonly name: string;
  start?(): Promise<unknown>;
  stop?(): Promise<unknown>;
}

/** The host process as `main.ts` hands it over. */
export interface Host {
  once(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown;
  exit(code: number): void;
}

const stopLimitMs = 20_000;

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
