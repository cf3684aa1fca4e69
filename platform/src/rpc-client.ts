import type { ClientOptions, ClientReadableStream, ClientWritableStream, Metadata, ServiceError } from '@grpc/grpc-js';
import { AppError } from './errors.js';
import { latency } from './metrics.js';
import { saysItLeaves, toMetadata, type Command } from './rpc-call.js';
import {
  toGrpcMethod,
  type MessageOf,
  type MethodDefinition,
  type PartialOf,
  type ServiceDefinition,
} from './rpc-definition.js';
import { awayError, fromStatus } from './rpc-errors.js';
import type { Replica } from './rpc-replica.js';
import { Replicas } from './rpc-replicas.js';
import { anotherMay, maySucceedLater, nextReplica, withRetries, type Peer, type Tried } from './rpc-retries.js';
import { inSpan, SpanKind } from './telemetry.js';

/** On whose behalf a call goes out, and how long it may take. */
export interface CallOptions {
  /** The call being served: its token, request id, command, signal and the rest of its time go on. Overridden by the fields below. */
  readonly call?: { token: string; requestId: string; command?: Command; signal?: AbortSignal; deadline?: number };
  readonly token?: string;
  readonly command?: Command;
  /** At most; 5 s unless told. What is left of the served call's time is never exceeded. */
  readonly deadlineMs?: number;
}

type Method<M extends MethodDefinition> = M['requestStream'] extends true
  ? (
      requests: AsyncIterable<PartialOf<M['requestType']>> | Iterable<PartialOf<M['requestType']>>,
      options: CallOptions,
    ) => Promise<MessageOf<M['responseType']>>
  : M['responseStream'] extends true
    ? (request: PartialOf<M['requestType']>, options: CallOptions) => AsyncIterable<MessageOf<M['responseType']>>
    : (request: PartialOf<M['requestType']>, options: CallOptions) => Promise<MessageOf<M['responseType']>>;

/** A typed client of one service; errors come back as the AppError that was thrown there. */
export type RpcClient<D extends ServiceDefinition> = { readonly [K in keyof D['methods']]: Method<D['methods'][K]> };

/** Connections to all replicas of a peer; they reconnect by themselves, quickly. */
export interface Channel {
  readonly peer: string;
  client<D extends ServiceDefinition>(definition: D): RpcClient<D>;
  close(): void;
}

const maxMessageBytes = 8 * 1024 * 1024;
// The hop back takes time too: the callee stops a little before the caller does.
const hopMs = 20;
const callDuration = latency('rpc_client_call_duration_seconds', 'Time of a gRPC call to another service', [
  'method',
  'outcome',
]);

const channelOptions: ClientOptions = {
  'grpc.enable_http_proxy': 0,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.max_receive_message_length': maxMessageBytes,
  'grpc.max_send_message_length': maxMessageBytes,
};

export interface ChannelOptions {
  /** With more calls than these under way at one replica all of them take some, 16 unless told; with 0 each call goes to the next one. */
  readonly crowd?: number;
}

/**
 * Opens a channel to `host:port`, or to several with commas between. Calls go round robin, in turns of a second, to the replicas that answer; one that hangs is left within 2 s,
 * and what was under way there fails as if it had died; one that stops is left before it does. Nothing is sent before the first call.
 */
export function openChannel(peer: string, addresses: string, { crowd }: ChannelOptions = {}): Channel {
  const replicas = new Replicas(addresses, channelOptions, crowd);
  return {
    peer,
    client<D extends ServiceDefinition>(definition: D) {
      const methods = Object.entries(definition.methods).map(
        ([key, method]) => [key, makeMethod({ replicas, peer }, definition, method)] as const,
      );
      return Object.fromEntries(methods) as unknown as RpcClient<D>;
    },
    close: () => replicas.close(),
  };
}

function makeMethod(to: Peer, service: ServiceDefinition, method: MethodDefinition): unknown {
  const definition = toGrpcMethod(service, method);
  const { requestSerialize, responseDeserialize, path } = definition;
  const partial = (message: unknown): unknown =>
    (method.requestType as { fromPartial(value: unknown): unknown }).fromPartial(message);
  const repeatable = method.options.idempotencyLevel !== undefined && !method.requestStream;
  if (method.responseStream) {
    return (request: unknown, options: CallOptions): AsyncIterable<unknown> => {
      const open = (replica: Replica): ClientReadableStream<unknown> => {
        expectCaller(to.peer, options);
        const { metadata, deadline } = prepare(options);
        const message = partial(request);
        return replica.client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, message, metadata, {
          deadline,
        });
      };
      return streamed({ ...to, repeatable, options }, open);
    };
  }
  return (input: unknown, options: CallOptions): Promise<unknown> => {
    const attempt = (replica: Replica): Promise<unknown> =>
      new Promise((resolve, reject) => {
        expectCaller(to.peer, options);
        const { metadata, deadline } = prepare(options);
        const cancel = (): void => call.cancel();
        const done = (error: ServiceError | null, response?: unknown): void => {
          options.call?.signal?.removeEventListener('abort', cancel);
          ended();
          if (!error) replica.heard();
          if (error) reject(fromStatus(error, to.peer));
          else resolve(response);
        };
        const grpc = replica.client;
        const call = method.requestStream
          ? grpc.makeClientStreamRequest(path, requestSerialize, responseDeserialize, metadata, { deadline }, done)
          : grpc.makeUnaryRequest(
              path,
              requestSerialize,
              responseDeserialize,
              partial(input),
              metadata,
              { deadline },
              done,
            );
        const ended = replica.begin(() => {
          call.cancel();
          reject(awayError(to.peer));
        });
        heedLeaving(call, replica);
        options.call?.signal?.addEventListener('abort', cancel, { once: true });
        if (method.requestStream) {
          writeStream(call as ClientWritableStream<unknown>, input as AsyncIterable<unknown>, partial).catch(
            (error: unknown) => {
              call.cancel();
              reject(error instanceof Error ? error : new Error(String(error)));
            },
          );
        }
      });
    return measured(`${service.fullName}/${method.name}`, () => withRetries({ ...to, repeatable, options }, attempt));
  };
}

/** Nothing goes out for a caller who has left: a process that was paused reads requests that were given up long ago. */
function expectCaller(peer: string, { call }: CallOptions): void {
  if (call?.signal?.aborted) throw new AppError('deadline_exceeded', 'DEADLINE_EXCEEDED', { service: peer });
}

function prepare(options: CallOptions): { metadata: ReturnType<typeof toMetadata>; deadline: number } {
  const token = options.token ?? options.call?.token;
  if (token === undefined) throw new AppError('internal', 'INTERNAL', {}, { message: 'a call without a token' });
  const deadline = Math.min(Date.now() + (options.deadlineMs ?? 5_000), (options.call?.deadline ?? Infinity) - hopMs);
  return {
    metadata: toMetadata({
      token,
      requestId: options.call?.requestId,
      command: options.command ?? options.call?.command,
    }),
    deadline,
  };
}

async function measured<T>(name: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  let outcome = 'ok';
  try {
    return await inSpan(
      name,
      { kind: SpanKind.CLIENT, attributes: { 'rpc.system.name': 'grpc', 'rpc.method': name } },
      work,
    );
  } catch (error) {
    outcome = error instanceof AppError ? error.kind : 'internal';
    throw error;
  } finally {
    callDuration.observe({ method: name, outcome }, (performance.now() - started) / 1000);
  }
}

/** A replica that says that it stops gets no further calls, while there is another. */
function heedLeaving(call: NodeJS.EventEmitter, replica: Replica): void {
  call.once('metadata', (metadata: Metadata) => {
    replica.heard();
    if (saysItLeaves(metadata)) replica.isLeaving = true;
  });
}

/** The messages of a stream, opened again as calls are while none of them has come. */
async function* streamed(
  call: Tried,
  open: (replica: Replica) => ClientReadableStream<unknown>,
): AsyncIterable<unknown> {
  let begun = false;
  for (let tries = 0; ; tries += 1) {
    const replica = await nextReplica(call);
    const since = performance.now();
    try {
      if (replica === undefined) throw awayError(call.peer);
      for await (const message of readStream(open(replica), call, replica)) {
        begun = true;
        yield message;
      }
      return;
    } catch (error) {
      if (begun) throw error;
      if (anotherMay(call, replica, error, since)) continue;
      if (!(await maySucceedLater(call, error, tries))) throw error;
    }
  }
}

async function* readStream(
  stream: ClientReadableStream<unknown>,
  { peer, options }: Tried,
  replica: Replica,
): AsyncIterable<unknown> {
  const cancel = (): void => stream.cancel();
  const signal = options.call?.signal;
  const ended = replica.begin(() => stream.destroy(awayError(peer)));
  heedLeaving(stream, replica);
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    for await (const message of stream) {
      replica.heard();
      yield message;
    }
  } catch (error) {
    throw error instanceof AppError ? error : fromStatus(error as ServiceError, peer);
  } finally {
    ended();
    signal?.removeEventListener('abort', cancel);
    // What was left before its end, or hangs, holds nothing at the peer.
    cancel();
  }
}

async function writeStream(
  call: ClientWritableStream<unknown>,
  messages: AsyncIterable<unknown>,
  partial: (message: unknown) => unknown,
): Promise<void> {
  for await (const message of messages) {
    if (call.destroyed || call.writableEnded) return;
    if (!call.write(partial(message))) {
      await new Promise<void>((resolve) => {
        call.once('drain', resolve);
        call.once('close', resolve);
        call.once('status', () => resolve());
      });
    }
  }
  call.end();
}
