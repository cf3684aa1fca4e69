import { ContentServiceDefinition } from '@coursewright/proto/coursewright/content/v1/content';
import { RecallOutcome, RequestServiceDefinition } from '@coursewright/proto/coursewright/common/v1/requests';
import { createTokenVerifier } from '@coursewright/platform/internal-token';
import { createLogger } from '@coursewright/platform/logger';
import { createRpcServer, serve, type Handlers } from '@coursewright/platform/rpc-server';
import { anyone } from '@coursewright/platform/testing/anyone';
import { AppError } from '@coursewright/platform/errors';

/** What the test tells this process. */
export interface ReplicaSetup {
  readonly name: string;
  readonly port: number;
  readonly keys: Parameters<typeof createTokenVerifier>[0];
}

// One replica of a service, in a process of its own that may be killed, paused and stopped. It answers every call with its name.
const setup = JSON.parse(process.argv[2] ?? '') as ReplicaSetup;

const never = async (): Promise<never> => {
  throw new AppError('unimplemented', 'UNIMPLEMENTED');
};

/** As long as the caller asks, in milliseconds. */
const wait = (ms: string): Promise<void> => new Promise((resolve) => setTimeout(resolve, Number(ms)));

/** Throws in the replicas that are named, as without their database. */
function away(names: string): void {
  if (names.includes(setup.name)) throw new AppError('unavailable', 'DATABASE_UNAVAILABLE', { retryAfterSeconds: 2 });
}

let refusedUntil: number | undefined;

/** `one` takes long, as if a call of its own further on did; `two` meets that call for so many milliseconds. */
async function meet(ms: number): Promise<void> {
  if (setup.name === 'one') return wait('10000');
  refusedUntil ??= Date.now() + ms;
  if (Date.now() < refusedUntil) throw new AppError('conflict', 'IN_PROGRESS', { retryAfterSeconds: 1 });
  refusedUntil = undefined;
}

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
  checkBodies: never,
  putBodies: never,
  async *getBodies({ hashes }) {
    for (const hash of hashes) {
      await wait(hash);
      yield { bodies: [{ hash: setup.name }] };
    }
  },
  // The one call that may not be repeated: the test is told of each that was begun.
  async startImport(requests) {
    process.send?.({ begun: setup.name });
    for await (const { part } of requests) if (part?.$case === 'header') await wait(part.value.format);
    return { id: setup.name };
  },
};

const server = createRpcServer({
  host: '127.0.0.1',
  port: setup.port,
  verifier: createTokenVerifier(setup.keys),
  logger: createLogger('replica', 'silent'),
  services: [
    serve(RequestServiceDefinition, anyone(RequestServiceDefinition), {
      async recall({ fingerprint }) {
        if (fingerprint === 'noted') process.send?.({ begun: setup.name });
        else if (fingerprint.startsWith('without ')) away(fingerprint.slice('without '.length));
        else if (fingerprint.startsWith('meet ')) await meet(Number(fingerprint.slice('meet '.length)));
        else await wait(fingerprint);
        return { outcome: RecallOutcome.DONE, result: { name: setup.name } };
      },
    }),
    serve(ContentServiceDefinition, anyone(ContentServiceDefinition), content),
  ],
});
await server.start();
process.once('SIGTERM', () => {
  void server.stop().then(() => process.exit(0));
});
process.send?.({ ready: setup.name });
