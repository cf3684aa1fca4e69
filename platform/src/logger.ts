import { trace } from '@opentelemetry/api';
import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';

export type Logger = PinoLogger;

/** A JSON logger on stdout whose lines carry the replica they come from and the trace they belong to; secrets by these names are never written. */
export function createLogger(service: string, level = 'info', instance = service): Logger {
  const options = {
    level,
    base: { service, instance },
    redact: ['authorization', '*.authorization', 'headers.authorization', '*.token', '*.password'],
    timestamp: pino.stdTimeFunctions.isoTime,
    mixin() {
      const span = trace.getActiveSpan()?.spanContext();
      return span ? { traceId: span.traceId, spanId: span.spanId } : {};
    },
  };
  return pino(options, { write: writeTogether(pino.destination({ dest: 1, sync: false, minLength: 4096 })) });
}

const flushMs = 100;

/**
 * Lines are written together, at the latest after 100 ms and at exit: a system call for each would cost more than the line. The
 * destination's own `periodicFlush` calls the system ten times a second, from another thread, also when nothing is there to be written.
 */
function writeTogether(destination: Pick<DestinationStream, 'write'> & { flush(): void }): (line: string) => void {
  let timer: NodeJS.Timeout | undefined;
  return (line) => {
    destination.write(line);
    timer ??= setTimeout(() => {
      timer = undefined;
      destination.flush();
    }, flushMs).unref();
  };
}
