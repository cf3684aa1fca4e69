import { fileURLToPath } from 'node:url';
import { VersioningServiceDefinition } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { EventSourceServiceDefinition } from '@coursewright/proto/coursewright/common/v1/event_source';
import { RequestServiceDefinition } from '@coursewright/proto/coursewright/common/v1/requests';
import type { Actor } from '@coursewright/platform/actor';
import { newId } from '@coursewright/platform/ids';
import { createTokenMinter, createTokenVerifier } from '@coursewright/platform/internal-token';
import { createLogger } from '@coursewright/platform/logger';
import { createOutbox, eventSourceService } from '@coursewright/platform/outbox';
import { requestService } from '@coursewright/platform/requests';
import { openChannel, type RpcClient } from '@coursewright/platform/rpc-client';
import type { Command } from '@coursewright/platform/rpc-call';
import { createRpcServer, serve } from '@coursewright/platform/rpc-server';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { createTestKeys } from '@coursewright/platform/testing/keys';
import { createTestDatabase } from '@coursewright/platform/testing/servers';
import { checkIntegrity, integrityReport, type IntegrityProgress } from '../../src/operations/check-integrity.js';
import { readState } from '../../src/operations/course-state.js';
import type { Deps } from '../../src/operations/ports.js';
import { historyRoutes } from '../../src/rpc/history-routes.js';
import { treeRoutes } from '../../src/rpc/tree-routes.js';
import { writeRoutes } from '../../src/rpc/write-routes.js';
import { createStore } from '../../src/store/store.js';
import { callers, eventConsumers, keyAskers } from '../../src/rpc/callers.js';
import { startContent, type TestContent } from './content.js';

export const MIGRATIONS = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));

export interface TestService {
  readonly deps: Deps;
  /** Another process on the same database, with caches of its own. */
  sibling(): Deps;
  readonly database: PgDatabase;
  /** As the owner of the tables, who may damage them. */
  readonly owner: PgDatabase;
  /** The content service that it asks for bodies. */
  readonly content: TestContent;
  readonly client: RpcClient<typeof VersioningServiceDefinition>;
  readonly events: RpcClient<typeof EventSourceServiceDefinition>;
  readonly requests: RpcClient<typeof RequestServiceDefinition>;
  /** Call options of an actor with a role on courses. */
  as(role: string, courses: readonly string[], extra?: Partial<Actor>): Promise<{ token: string }>;
  /** Call options of one of our services, for itself or on somebody's behalf. */
  service(name: string, onBehalfOf?: Actor['onBehalfOf']): Promise<{ token: string }>;
  stop(): Promise<void>;
}

/** The service on a database of its own, behind real gRPC. */
export async function startService(): Promise<TestService> {
  const created = await createTestDatabase('versioning', MIGRATIONS);
  const database = openDatabase({ url: created.url });
  const owner = openDatabase({ url: created.adminUrl });
  const outbox = createOutbox();
  const store = createStore(database, outbox);
  const keys = await createTestKeys();
  const content = await startContent(keys);
  const deps: Deps = { store, bodies: content.bodies, now: () => new Date(), newId };
  const gateway = await createTokenMinter(keys.private.gateway ?? {});
  const server = createRpcServer({
    host: '127.0.0.1',
    port: 0,
    verifier: createTokenVerifier(keys.public),
    logger: createLogger('versioning', 'silent'),
    services: [
      serve(VersioningServiceDefinition, callers, {
        ...writeRoutes(deps),
        ...treeRoutes(deps),
        ...historyRoutes(deps),
      }),
      eventSourceService(database, (_sql, courseId) => readState(store, courseId), eventConsumers),
      requestService(database, keyAskers),
    ],
  });
  const port = await server.start();
  const channel = openChannel('versioning', `127.0.0.1:${port}`);
  const siblings: PgDatabase[] = [];
  return {
    deps,
    sibling() {
      const own = openDatabase({ url: created.url });
      siblings.push(own);
      return { ...deps, store: createStore(own, createOutbox()) };
    },
    database,
    owner,
    content,
    client: channel.client(VersioningServiceDefinition),
    events: channel.client(EventSourceServiceDefinition),
    requests: channel.client(RequestServiceDefinition),
    as: async (role, courses, extra = {}) => ({
      token: await gateway.mint({
        sub: `user-${role}`,
        name: `The ${role}`,
        roles: role === 'author' ? ['author'] : [],
        grants: courses.map((course) => ({ course, role })),
        ...extra,
      }),
    }),
    service: async (name, onBehalfOf = { sub: 'importer' }) => ({
      token: await (await createTokenMinter(keys.private[name] ?? {})).mintOwn(onBehalfOf),
    }),
    async stop() {
      channel.close();
      await server.stop();
      await content.stop();
      await Promise.all([database, owner, ...siblings].map((one) => one.close()));
      await created.drop();
    },
  };
}

/** What a check of a course says at its end. */
export function integrityOf(deps: Deps, courseId: string): Promise<IntegrityProgress> {
  return integrityReport(checkIntegrity(deps, courseId));
}

/** A client's key for a write. */
export function command(id: string, fingerprint = id): { command: Command } {
  return { command: { id, fingerprint, kept: 'client' } };
}
