import { own } from './own.js';
import type { Metadata } from '@grpc/grpc-js';
import {
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { AppError, isTransient, toAppError } from './errors.js';
import type { TokenVerifier } from './internal-token.js';
import type { Logger } from './logger.js';
import { latency } from './metrics.js';
import { mayCall, type Callers, type Decisions } from './rpc-access.js';
import { fromMetadata, leavingMark, type CallContext } from './rpc-call.js';
import {
  toGrpcDefinition,
  type MessageOf,
  type MethodDefinition,
  type PartialOf,
  type ServiceDefinition,
} from './rpc-definition.js';
import { toStatus } from './rpc-errors.js';
import { watchStandstill, type Standstill } from './standstill.js';
import { contextFrom, inSpan, SpanKind } from './telemetry.js';

type Handler<M extends MethodDefinition> = M['requestStream'] extends true
  ? (requests: AsyncIterable<MessageOf<M['requestType']>>, call: CallContext) => Promise<PartialOf<M['responseType']>>
  : M['responseStream'] extends true
    ? (request: MessageOf<M['requestType']>, call: CallContext) => AsyncIterable<PartialOf<M['responseType']>>
    : (request: MessageOf<M['requestType']>, call: CallContext) => Promise<PartialOf<M['responseType']>>;

/** One function for each method of a service: unary, server stream (an async iterable) or client stream. */
export type Handlers<D extends ServiceDefinition> = { readonly [K in keyof D['methods']]: Handler<D['methods'][K]> };

/** A service with its handlers, ready to be served. */
export interface Served {
  readonly definition: ServiceDefinition;
  readonly callers: Readonly<Record<string, Callers>>;
  readonly handlers: Readonly<Record<string, unknown>>;
}

/** Ties handlers, and who may call them, to their contract; the compiler finds what is missing or misshapen. */
export function serve<D extends ServiceDefinition>(
  definition: D,
  callers: Decisions<D>,
  handlers: Handlers<D>,
): Served {
  return { definition, callers, handlers };
}

export interface RpcServerOptions {
  readonly host: string;
  readonly port: number;
  readonly services: readonly Served[];
  readonly verifier: TokenVerifier;
  readonly logger: Logger;
}

export interface RpcServer {
  /** Resolves to the port it listens on. */
  start(): Promise<number>;
  /** Says to its clients that it stops, so that they go to other replicas; lets calls finish (at most graceMs); then takes none and closes. */
  stop(graceMs?: number): Promise<void>;
}

const maxMessageBytes = 8 * 1024 * 1024;
const longestCallMs = 60_000;
const callDuration = latency('rpc_server_call_duration_seconds', 'Time of a served gRPC call', ['method', 'outcome']);

/** A gRPC server whose every handler runs with a checked actor who may call it, a deadline, a span, a metric and errors that cross the wire whole. */
export function createRpcServer(options: RpcServerOptions): RpcServer {
  const server = new Server({
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
  });
  const health = new HealthImplementation({ '': 'NOT_SERVING' });
  health.addToServer(server);
  const underWay = new UnderWay();
  const standstill = watchStandstill();
  for (const served of options.services) {
    const { definition } = served;
    const bound = Object.keys(definition.methods).map(
      (key) => [key, bind(served, key, { ...options, underWay, standstill })] as const,
    );
    server.addService(toGrpcDefinition(definition), Object.fromEntries(bound));
  }
  return {
    async start() {
      const port = await new Promise<number>((resolve, reject) => {
        server.bindAsync(`${options.host}:${options.port}`, ServerCredentials.createInsecure(), (error, bound) =>
          error ? reject(error) : resolve(bound),
        );
      });
      health.setStatus('', 'SERVING');
      return port;
    },
    async stop(graceMs = 10_000) {
      health.setStatus('', 'NOT_SERVING');
      const until = Date.now() + graceMs;
      // What is sent over a connection in the very moment when it closes may be lost: nobody shall be calling then.
      await underWay.end(until);
      const timer = setTimeout(() => server.forceShutdown(), Math.max(0, until - Date.now()));
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      clearTimeout(timer);
      standstill.stop();
    },
  };
}

type AnyCall =
  | ServerUnaryCall<unknown, unknown>
  | ServerReadableStream<unknown, unknown>
  | ServerWritableStream<unknown, unknown>
  | ServerDuplexStream<unknown, unknown>;

/** How long nobody may have called before a server that stops takes its clients to have gone to others. */
const quietMs = 100;

/** The calls that a server works on. */
class UnderWay {
  private readonly calls = new Set<AnyCall>();
  private lastAt = -Infinity;
  private isLeaving = false;

  async during<T>(call: AnyCall, work: () => Promise<T>): Promise<T> {
    this.calls.add(call);
    this.lastAt = performance.now();
    if (this.isLeaving) call.sendMetadata(leavingMark());
    try {
      return await work();
    } finally {
      this.calls.delete(call);
      this.lastAt = performance.now();
    }
  }

  /** Tells all who call, also those who wait for an answer just now, that the server stops; resolves when none has called for a moment, at the latest at `until`. */
  async end(until: number): Promise<void> {
    this.isLeaving = true;
    for (const call of this.calls) call.sendMetadata(leavingMark());
    while ((this.calls.size > 0 || performance.now() - this.lastAt < quietMs) && Date.now() < until)
      await new Promise((resolve) => setTimeout(resolve, quietMs / 4));
  }
}

type Running = RpcServerOptions & { readonly underWay: UnderWay; readonly standstill: Standstill };

/** The one wrapper round every handler: grpc-js would let a rejected promise end the process. */
function bind({ definition, callers, handlers }: Served, key: string, options: Running): UntypedHandleCall {
  const method = own(definition.methods, key)!;
  const handler = own(handlers, key);
  const entry = { name: `${definition.fullName}/${method.name}`, callers: own(callers, key)! };
  const run = handler as (input: unknown, context: CallContext) => Promise<unknown>;
  const stream = handler as (input: unknown, context: CallContext) => AsyncIterable<unknown>;
  const partial = (message: unknown): unknown =>
    (method.responseType as { fromPartial(value: unknown): unknown }).fromPartial(message);
  if (method.responseStream) {
    return (call: ServerWritableStream<unknown, unknown>) => {
      guard(entry, call, options, async (context) => {
        for await (const message of stream(call.request, context)) {
          if (context.signal.aborted) return;
          if (!call.write(partial(message))) await drained(call, context.signal);
        }
      })
        .then(() => call.end())
        .catch((error: unknown) => call.emit('error', toStatus(error)));
    };
  }
  return (
    call: ServerUnaryCall<unknown, unknown> | ServerReadableStream<unknown, unknown>,
    reply: sendUnaryData<unknown>,
  ) => {
    guard(entry, call, options, (context) =>
      run(method.requestStream ? call : (call as ServerUnaryCall<unknown, unknown>).request, context),
    )
      .then((response) => reply(null, partial(response)))
      .catch((error: unknown) => reply(toStatus(error), null));
  };
}

/** Resolves when the peer has room again, or has gone. */
function drained(call: ServerWritableStream<unknown, unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      call.off('drain', end);
      signal.removeEventListener('abort', end);
      resolve();
    };
    call.once('drain', end);
    signal.addEventListener('abort', end, { once: true });
  });
}

interface Entry {
  readonly name: string;
  readonly callers: Callers;
}

function guard<T>(
  entry: Entry,
  call: AnyCall,
  options: Running,
  work: (context: CallContext) => Promise<T>,
): Promise<T> {
  return options.underWay.during(call, () => guarded(entry, call, options, work));
}

async function guarded<T>(
  { name, callers }: Entry,
  call: AnyCall,
  options: Running,
  work: (context: CallContext) => Promise<T>,
): Promise<T> {
  const { standstill } = options;
  const started = performance.now();
  const headers = readHeaders(call.metadata);
  const attributes = {
    'rpc.system.name': 'grpc',
    'rpc.method': name,
    'cw.request_id': headers instanceof AppError ? '' : headers.requestId,
  };
  let outcome = 'ok';
  try {
    return await inSpan(
      name,
      { kind: SpanKind.SERVER, attributes },
      async () => {
        if (headers instanceof AppError) throw headers;
        const actor = await options.verifier.verify(headers.token);
        if (!mayCall(actor, callers)) throw new AppError('permission_denied', 'FORBIDDEN', { method: name });
        const { signal, deadline, end } = lifeOf(call);
        // A process that was paused reads calls that were given up long ago: what they ask for is not begun any more.
        await standstill.takeBreath();
        signal.throwIfAborted();
        return await work({ ...headers, actor, signal, deadline }).finally(end);
      },
      contextFrom(headers instanceof AppError ? undefined : headers.traceparent),
    );
  } catch (error) {
    const known = toAppError(error);
    outcome = known.kind;
    const requestId = headers instanceof AppError ? undefined : headers.requestId;
    if (known.kind === 'unauthenticated')
      options.logger.warn({ cause: String(known.cause), method: name, requestId }, 'token between services refused');
    else if (known.kind === 'internal')
      options.logger.error({ err: error, cause: known.cause, method: name, requestId }, 'call failed');
    else if (isTransient(known))
      options.logger.warn(
        { reason: known.reason, cause: String(known.cause), method: name, requestId },
        'call not served',
      );
    throw known;
  } finally {
    callDuration.observe({ method: name, outcome }, (performance.now() - started) / 1000);
  }
}

function readHeaders(metadata: Metadata): ReturnType<typeof fromMetadata> | AppError {
  try {
    return fromMetadata(metadata);
  } catch (error) {
    return toAppError(error);
  }
}

/** Until when a call lives; grpc-js says "cancelled" of finished calls too, so `end` is called when the handler is done. */
function lifeOf(call: AnyCall): { signal: AbortSignal; deadline: number; end: () => void } {
  const aborter = new AbortController();
  let ended = false;
  (call as NodeJS.EventEmitter).once('cancelled', () => {
    if (!ended) aborter.abort(new AppError('deadline_exceeded', 'CANCELLED'));
  });
  // It may have gone while its token was being checked.
  if (call.cancelled) aborter.abort(new AppError('deadline_exceeded', 'CANCELLED'));
  const asked = call.getDeadline();
  const deadline = Math.min(asked instanceof Date ? asked.getTime() : asked, Date.now() + longestCallMs);
  return { signal: aborter.signal, deadline, end: () => (ended = true) };
}
