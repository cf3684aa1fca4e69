import type { Logger } from '@coursewright/platform/logger';
import type { Nats } from '@coursewright/platform/nats';
import type { Accesses } from './access.js';

/** Drops what is known of a course as soon as catalog says that it changed; without NATS five seconds do. */
export function watchCatalog(nats: Nats, accesses: Pick<Accesses, 'drop'>, logger: Logger): void {
  nats.connected
    .then((connection) => {
      connection.subscribe('cw.v1.catalog.>', {
        callback: (error, message) => {
          if (error) return logger.warn({ reason: error.message }, 'lost a notice of catalog');
          const courseId = message.subject.split('.').at(-1);
          if (courseId !== undefined) accesses.drop(courseId);
        },
      });
    })
    // Also of a connection that was closed since: the process stops.
    .catch((error: unknown) => logger.warn({ reason: String(error) }, 'no notices of catalog'));
}
