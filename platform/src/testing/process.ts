import { createTokenMinter } from '../internal-token.js';
import type { Actor } from '../actor.js';
import { newId } from '../ids.js';
import type { Command } from '../rpc-call.js';
import { openChannel, type CallOptions, type Channel } from '../rpc-client.js';
import { startAll, type Part } from '../run.js';
import type { TestKeys } from './keys.js';

/** A service that runs inside the test's process. */
export interface TestProcess {
  readonly channel: Channel;
  readonly opsUrl: string;
  /** Runs an operators' command and resolves to its answer. */
  command(path: string): Promise<unknown>;
  stop(): Promise<void>;
}

/** The `opsToken` of services under test whose commands are called. */
export const testOpsToken = 'the-operators-token-of-tests';

/** Starts a service's parts, made with port 0 for gRPC and ops and with `testOpsToken`. */
export async function startProcess(parts: readonly Part[]): Promise<TestProcess> {
  let rpcPort = 0;
  const watched = parts.map((part): Part =>
    part.name === 'rpc' ? { ...part, start: async () => (rpcPort = (await part.start!()) as number) } : part,
  );
  const running = await startAll(watched);
  const ops = parts.find((part) => part.name === 'ops') as Part & { port(): number };
  const opsUrl = `http://127.0.0.1:${ops.port()}`;
  const channel = openChannel('service under test', `127.0.0.1:${rpcPort}`);
  return {
    channel,
    opsUrl,
    async command(path) {
      const headers = { authorization: `Bearer ${testOpsToken}` };
      const response = await fetch(`${opsUrl}/${path}`, { method: 'POST', headers });
      const answer: unknown = await response.json();
      if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(answer)}`);
      return answer;
    },
    async stop() {
      channel.close();
      await running.stop();
    },
  };
}

/** Call options as the gateway would send them for an actor, or as a service would for itself. */
export interface TestCallers {
  /** Somebody with platform roles and roles on courses: `as('ann', ['author'], { [courseId]: ['admin'] })`. */
  as(
    sub: string,
    roles?: readonly string[],
    grants?: Readonly<Record<string, readonly string[]>>,
  ): Promise<CallOptions>;
  service(name: string, onBehalfOf?: Actor['onBehalfOf']): Promise<CallOptions>;
}

/** Makes call options with tokens signed by test keys. */
export function testCallers(keys: TestKeys): TestCallers {
  const minterOf = (name: string) => createTokenMinter(keys.private[name]!);
  return {
    async as(sub, roles = [], grants = {}) {
      const list = Object.entries(grants).flatMap(([course, own]) => own.map((role) => ({ course, role })));
      return { token: await (await minterOf('gateway')).mint({ sub, roles, grants: list }) };
    },
    async service(name, onBehalfOf) {
      return { token: await (await minterOf(name)).mintOwn(onBehalfOf) };
    },
  };
}

/** A client's command: the same key with the same fingerprint is a repeat. */
export function testCommand(id: string = newId(), fingerprint = 'one'): Command {
  return { id, fingerprint, kept: 'client' };
}
