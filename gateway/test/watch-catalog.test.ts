import { describe, expect, it } from '@jest/globals';
import type { Logger } from '@coursewright/platform/logger';
import type { Nats } from '@coursewright/platform/nats';
import { eventually } from '@coursewright/platform/testing/eventually';
import { testServers } from '@coursewright/platform/testing/servers';
import { connect } from '@nats-io/transport-node';
import { watchCatalog } from '../src/auth/watch-catalog.js';

describe('the notices of catalog', () => {
  it('are done without, and no more, when the process stops before they were asked for', async () => {
    const { host: servers, username: user, password: pass } = new URL(testServers().nats);
    const connection = await connect({ servers, user, pass });
    await connection.close();
    const warned: string[] = [];
    const logger = { warn: (_fields: object, text: string) => warned.push(text) } as unknown as Logger;
    const nats = { connected: Promise.resolve(connection) } as unknown as Nats;
    watchCatalog(nats, { drop: () => undefined }, logger);
    await eventually(() => expect(warned).toEqual(['no notices of catalog']));
  });
});
