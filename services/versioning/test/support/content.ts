import { ContentServiceDefinition } from '@coursewright/proto/coursewright/content/v1/content';
import { createTokenMinter, createTokenVerifier } from '@coursewright/platform/internal-token';
import { createLogger } from '@coursewright/platform/logger';
import { openChannel } from '@coursewright/platform/rpc-client';
import { createRpcServer, serve } from '@coursewright/platform/rpc-server';
import { anyone } from '@coursewright/platform/testing/anyone';
import type { TestKeys } from '@coursewright/platform/testing/keys';
import type { Bodies } from '../../src/operations/ports.js';
import { createContentClient } from '../../src/rpc/content-client.js';

const { checkBodies } = ContentServiceDefinition.methods;
const onlyCheck = { ...ContentServiceDefinition, methods: { checkBodies } } as const;

/** What versioning asked of content once. */
export interface AskedBodies {
  readonly courseId: string;
  readonly hashes: readonly string[];
  readonly by: string;
}

/** A stand-in of content, behind real gRPC: it has every body but those that a test takes away. */
export interface TestContent {
  readonly bodies: Bodies;
  readonly asked: AskedBodies[];
  /** What is wrong with a body: missing or damaged. */
  readonly wrong: Map<string, 'missing' | 'damaged'>;
  /** Awaited before each answer; hears when the asker has gone. */
  before: (signal: AbortSignal) => Promise<void>;
  /** It is away from now on. */
  leave(): Promise<void>;
  stop(): Promise<void>;
}

export async function startContent(keys: TestKeys): Promise<TestContent> {
  const content: Pick<TestContent, 'asked' | 'wrong' | 'before'> = {
    asked: [],
    wrong: new Map(),
    before: async () => undefined,
  };
  const server = createRpcServer({
    host: '127.0.0.1',
    port: 0,
    verifier: createTokenVerifier(keys.public),
    logger: createLogger('content', 'silent'),
    services: [
      serve(onlyCheck, anyone(onlyCheck), {
        async checkBodies({ courseId, hashes }, call) {
          content.asked.push({ courseId, hashes, by: call.actor.sub });
          await content.before(call.signal);
          const problems = hashes.flatMap((hash) => {
            const what = content.wrong.get(hash);
            return what ? [{ hash, what }] : [];
          });
          return { problems };
        },
      }),
    ],
  });
  const channel = openChannel('content', `127.0.0.1:${await server.start()}`);
  const minter = await createTokenMinter(keys.private.versioning ?? {});
  return Object.assign(content, {
    bodies: createContentClient(channel, minter),
    leave: () => server.stop(0),
    async stop() {
      channel.close();
      await server.stop(0);
    },
  });
}
