import { createLogger } from '../logger.js';
import { managerOf, openNats, streamOf } from '../nats.js';
import { testServers } from './servers.js';

/** Removes what a service under test has left on the test NATS: its own stream, and its durables on its sources' streams. */
export async function removeStreams(service: string, sources: readonly string[]): Promise<void> {
  const nats = openNats(testServers().nats, 'cleanup', createLogger('cleanup', 'silent'));
  try {
    const manager = await managerOf(await nats.connected);
    const gone = (): undefined => undefined;
    await manager.streams.delete(streamOf(service)).catch(gone);
    for (const source of sources) await manager.consumers.delete(streamOf(source), `${service}--${source}`).catch(gone);
  } finally {
    await nats.close();
  }
}
