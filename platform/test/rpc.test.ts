import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { anyone } from '../src/testing/anyone.js';
import { RequestServiceDefinition, RecallOutcome } from '@coursewright/proto/coursewright/common/v1/requests';
import { ContentServiceDefinition } from '@coursewright/proto/coursewright/content/v1/content';
import { AppError } from '@coursewright/platform/errors';
import { createTokenMinter, createTokenVerifier } from '@coursewright/platform/internal-token';
import { createLogger } from '@coursewright/platform/logger';
import { openChannel, type Channel } from '@coursewright/platform/rpc-client';
import type { CallContext } from '@coursewright/platform/rpc-call';
import { createRpcServer, serve, type Handlers, type RpcServer } from '@coursewright/platform/rpc-server';
import { createTestKeys } from '@coursewright/platform/testing/keys';
import { eventually } from '@coursewright/platform/testing/eventually';

const never = async (): Promise<never> => {
  throw new AppError('unimplemented', 'UNIMPLEMENTED');
};

describe('gRPC', () => {
  let server: RpcServer;
  let channel: Channel;
  let token: string;
  let seen: CallContext | undefined;
  let answer: () => Promise<object> = async () => ({});
  let port = 0;

  const content: Handlers<typeof ContentServiceDefinition> = {
    saveLesson: never,
    getLesson: never,
    getRendered: never,
    diffBodies: never,
    getImport: never,
    listImportLosses: never,
    listImportKept: never,
    async *getAsset() {},
    locate: never,
    async *getBodies(request) {
      for (const hash of request.hashes) {
        if (hash === 'bad') throw new AppError('not_found', 'BODY_NOT_FOUND', { hash });
        yield { bodies: [{ hash, document: Buffer.from(hash) }] };
      }
    },
    async putBodies(requests) {
      let stored = 0;
      for await (const chunk of requests) stored += chunk.bodies.length;
      return { stored };
    },
    startImport: never,
    checkBodies: never,
  };

  beforeAll(async () => {
    const keys = await createTestKeys(['gateway']);
    const minter = await createTokenMinter(keys.private['gateway']!);
    token = await minter.mint({ sub: 'ada', roles: ['author'], grants: [] });
    server = createRpcServer({
      host: '127.0.0.1',
      port: 0,
      verifier: createTokenVerifier(keys.public),
      logger: createLogger('test', 'silent'),
      services: [
        serve(RequestServiceDefinition, anyone(RequestServiceDefinition), {
          recall: async (_request, call) => {
            seen = call;
            return answer();
          },
        }),
        serve(ContentServiceDefinition, anyone(ContentServiceDefinition), content),
      ],
    });
    port = await server.start();
    channel = openChannel('test', `127.0.0.1:${port}`);
  });

  afterAll(async () => {
    channel.close();
    await server.stop();
  });

  it('carries actor, command and request id to the handler', async () => {
    answer = async () => ({ outcome: RecallOutcome.DONE, result: { commit: 'x', nested: { n: [1, null] } } });
    const command = { id: 'k1', fingerprint: 'f1', kept: 'client' } as const;
    const response = await channel.client(RequestServiceDefinition).recall({ key: 'k1' }, { token, command });
    expect(response.result).toEqual({ commit: 'x', nested: { n: [1, null] } });
    expect(seen?.actor.sub).toBe('ada');
    expect(seen?.command).toEqual(command);
    expect(seen?.requestId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('brings an AppError over whole, and nothing of an unexpected one', async () => {
    const client = channel.client(RequestServiceDefinition);
    answer = async () => {
      throw new AppError(
        'stale',
        'STALE',
        { current: { etag: 'a', head: null } },
        { fields: [{ pointer: '/title', code: 'x', message: 'y' }] },
      );
    };
    await expect(client.recall({}, { token })).rejects.toMatchObject({
      kind: 'stale',
      reason: 'STALE',
      details: { current: { etag: 'a', head: null } },
      fields: [{ pointer: '/title', code: 'x', message: 'y' }],
    });
    answer = async () => {
      throw new Error('secret');
    };
    const error = await client.recall({}, { token }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ kind: 'internal', reason: 'INTERNAL' });
    expect(JSON.stringify(error)).not.toContain('secret');
  });

  it('refuses calls without a good token', async () => {
    const client = channel.client(RequestServiceDefinition);
    // Not unauthenticated: whoever asked this process has to sign in no more than before.
    await expect(client.recall({}, { token: 'nonsense' })).rejects.toMatchObject({
      kind: 'unavailable',
      reason: 'INTERNAL_TOKEN_INVALID',
    });
    await expect(client.recall({}, {})).rejects.toThrow();
  });

  it('ends a call at its deadline and tells the handler', async () => {
    answer = () => new Promise((resolve) => setTimeout(resolve, 2_000, {}));
    const started = performance.now();
    await expect(channel.client(RequestServiceDefinition).recall({}, { token, deadlineMs: 100 })).rejects.toMatchObject(
      {
        kind: 'deadline_exceeded',
      },
    );
    expect(performance.now() - started).toBeLessThan(1_500);
    await eventually(() => expect(seen?.signal.aborted).toBe(true));
  });

  it('sends nothing for a caller who has left', async () => {
    let calls = 0;
    answer = async () => {
      calls += 1;
      return {};
    };
    const call = { token, requestId: 'r', signal: AbortSignal.abort() };
    const gone = { kind: 'deadline_exceeded', details: { service: 'test' } };
    await expect(channel.client(RequestServiceDefinition).recall({}, { call })).rejects.toMatchObject(gone);
    const bodies = channel.client(ContentServiceDefinition).getBodies({ hashes: ['a'] }, { call });
    await expect(bodies[Symbol.asyncIterator]().next()).rejects.toMatchObject(gone);
    expect(calls).toBe(0);
  });

  it('streams both ways, errors included', async () => {
    const client = channel.client(ContentServiceDefinition);
    const hashes = Array.from({ length: 500 }, (_, index) => `h${index}`);
    const got: string[] = [];
    for await (const chunk of client.getBodies({ courseId: 'c', hashes }, { token })) got.push(chunk.bodies[0]!.hash);
    expect(got).toEqual(hashes);
    const big = Buffer.alloc(100_000, 1);
    const chunks = Array.from({ length: 100 }, () => ({ bodies: [{ hash: 'x', document: big }] }));
    expect(await client.putBodies(chunks, { token })).toEqual({ stored: 100 });
    const read = async (): Promise<void> => {
      for await (const _ of client.getBodies({ hashes: ['a', 'bad'] }, { token }));
    };
    await expect(read()).rejects.toMatchObject({
      kind: 'not_found',
      reason: 'BODY_NOT_FOUND',
      details: { hash: 'bad' },
    });
  });

  it('calls a peer that is away unavailable, with a time to come back', async () => {
    const away = openChannel('nobody', '127.0.0.1:20001');
    await expect(away.client(RequestServiceDefinition).recall({}, { token })).rejects.toMatchObject({
      kind: 'unavailable',
      reason: 'SERVICE_UNAVAILABLE',
      details: { service: 'nobody', retryAfterSeconds: 1 },
    });
    away.close();
  });
});
