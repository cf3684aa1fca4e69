import type { ChildProcess } from 'node:child_process';
import { AppError, toAppError, type ErrorDetails, type ErrorKind } from '@coursewright/platform/errors';
import type { As, Catalog, Versioning } from '../../src/operations/ports.js';
import type { FakeServices } from '../fake-versioning.js';

interface Question {
  readonly question: number;
  readonly method: keyof (Versioning & Catalog);
  readonly input: readonly unknown[];
}

interface Reply {
  readonly question: number;
  readonly value?: unknown;
  readonly problem?: { readonly kind: ErrorKind; readonly reason: string; readonly details: ErrorDetails };
}

const isQuestion = (message: unknown): message is Question =>
  typeof message === 'object' && message !== null && 'method' in message;

/** The two services as a process sees them whose parent has them: they keep what they did when the process is killed. */
export function remoteServices(): Versioning & Catalog {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  process.on('message', (reply: Reply | string) => {
    if (typeof reply === 'string') return;
    const asked = waiting.get(reply.question);
    waiting.delete(reply.question);
    if (reply.problem === undefined) asked?.resolve(reply.value);
    else asked?.reject(new AppError(reply.problem.kind, reply.problem.reason, reply.problem.details));
  });
  let questions = 0;
  const ask = (method: Question['method'], args: readonly unknown[]): Promise<unknown> => {
    const question = questions++;
    const asked = Promise.withResolvers<unknown>();
    waiting.set(question, asked);
    // Of the last argument, who asks, only the command crosses: the rest is not data.
    const as = args.at(-1) as As;
    const command = 'call' in as ? as.call.command : as.command;
    process.send?.({ question, method, input: [...args.slice(0, -1), { command }] } satisfies Question);
    return asked.promise;
  };
  return new Proxy({} as Versioning & Catalog, {
    get:
      (_, method: Question['method']) =>
      (...args: unknown[]) =>
        ask(method, args),
  });
}

/** Answers what a process asks of these services. */
export function serveTo(child: ChildProcess, services: FakeServices): void {
  child.on('message', (message) => {
    if (!isQuestion(message)) return;
    const { question, method, input } = message;
    const work = services[method].bind(services) as (...args: readonly unknown[]) => Promise<unknown>;
    const send = (reply: Reply): void => void (child.connected && child.send(reply, () => undefined));
    work(...input).then(
      (value) => send({ question, value }),
      (error: unknown) => {
        const { kind, reason, details } = toAppError(error);
        send({ question, problem: { kind, reason, details } });
      },
    );
  });
}
