import { createTokenVerifier } from '@coursewright/platform/internal-token';
import { createLogger } from '@coursewright/platform/logger';
import { createRpcServer, type Served } from '@coursewright/platform/rpc-server';
import { startAll } from '@coursewright/platform/run';
import { testServers } from '@coursewright/platform/testing/servers';
import { createTestKeys } from '@coursewright/platform/testing/keys';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { Limits } from '../../src/config.js';
import { createGateway } from '../../src/service.js';
import { FakeCatalog, FakeContent, FakeReview } from './fake-services.js';
import { FakeVersioning } from './fake-versioning.js';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Looked into freely. */
  readonly body: ReturnType<typeof JSON.parse>;
}

export interface Ask {
  readonly as?: string;
  readonly roles?: readonly string[];
  readonly json?: unknown;
  readonly raw?: string | Buffer;
  readonly headers?: Record<string, string>;
  readonly ifMatch?: string | null;
}

/** The real gateway on a free port, with peers in memory behind real gRPC. */
export async function startSystem(limits: Partial<Limits> = {}) {
  const keys = await createTestKeys();
  const issuer = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const logger = createLogger('test', 'silent');
  const versioning = new FakeVersioning();
  const catalog = new FakeCatalog(versioning);
  const content = new FakeContent(versioning);
  const review = new FakeReview();
  const verifier = createTokenVerifier(keys.public);
  const servers = await Promise.all(
    [
      [catalog.served(), catalog.requests.served()],
      [content.served(), content.requests.served()],
      [versioning.served(), versioning.requests.served()],
      [review.served()],
    ].map(async (services: Served[]) => {
      const server = createRpcServer({ host: '127.0.0.1', port: 0, services, verifier, logger });
      return { server, address: `127.0.0.1:${await server.start()}` };
    }),
  );
  const [catalogAt, contentAt, versioningAt, reviewAt] = servers.map(({ address }) => address);
  const gateway = await createGateway(
    {
      host: '127.0.0.1',
      port: 0,
      opsPort: 0,
      addresses: {
        catalog: catalogAt!,
        content: contentAt!,
        versioning: versioningAt!,
        review: reviewAt!,
        deployment: 'none:1',
      },
      natsUrl: testServers().nats,
      tokenKey: keys.private['gateway']!,
      auth: {
        issuer: 'test',
        audience: 'coursewright',
        keys: { keys: [{ ...(await exportJWK(issuer.publicKey)), kid: 'test', alg: 'EdDSA' }] },
        development: false,
      },
      cursorKey: 'k'.repeat(32),
      publicUrl: 'http://gateway.test',
      limits: { inFlight: 512, perActor: 128, importBytes: 4096, ...limits },
      otlpEndpoint: undefined,
      logLevel: 'silent',
    },
    logger,
  );
  const running = await startAll(gateway.parts);
  const origin = `http://127.0.0.1:${gateway.http.port()}`;

  const sign = (claims: Record<string, unknown>, more: { issuer?: string; audience?: string; life?: string } = {}) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'EdDSA', kid: 'test' })
      .setIssuer(more.issuer ?? 'test')
      .setAudience(more.audience ?? 'coursewright')
      .setExpirationTime(more.life ?? '5m')
      .sign(issuer.privateKey);

  const tokens = new Map<string, Promise<string>>();
  const tokenOf = (sub: string, roles: readonly string[]): Promise<string> => {
    const key = `${sub} ${roles.join()}`;
    const token = tokens.get(key) ?? sign({ sub, roles, name: `${sub} Name` });
    tokens.set(key, token);
    return token;
  };

  const ask = async (method: string, path: string, how: Ask = {}): Promise<Answer> => {
    const headers = new Headers(how.headers);
    if (how.as !== undefined && !headers.has('authorization'))
      headers.set('authorization', `Bearer ${await tokenOf(how.as, how.roles ?? [])}`);
    if (how.json !== undefined && !headers.has('content-type')) headers.set('content-type', 'application/json');
    if (how.ifMatch) headers.set('if-match', how.ifMatch);
    const body = how.json === undefined ? how.raw : JSON.stringify(how.json);
    const response = await fetch(`${origin}${path}`, {
      method,
      headers,
      redirect: 'manual',
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson && text ? JSON.parse(text) : undefined,
    };
  };

  const stop = async (): Promise<void> => {
    await running.stop();
    await Promise.all(servers.map(({ server }) => server.stop(200)));
  };
  return { ask, catalog, content, gateway, origin, review, servers, sign, stop, tokenOf, versioning };
}

export type System = Awaited<ReturnType<typeof startSystem>>;

/** A course of `owner` with a unit, a module and a lesson, and its members. */
export function seedCourse(system: System, owner = 'owner') {
  const record = system.catalog.add(owner, { title: 'Spanish', language: 'es', tags: ['a'] });
  const { courseId } = record;
  const members = system.catalog.courses.get(courseId)!.members;
  for (const role of ['author', 'reviewer', 'publisher', 'deployer', 'learner']) members.set(role, [role]);
  return { courseId };
}
