import {
  Client,
  credentials,
  type ClientReadableStream,
  type ClientWritableStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { AppError } from './errors.js';
import { latency } from './metrics.js';
import { toMetadata, type Command } from './rpc-call.js';
import {
  toGrpcMethod,
  type MessageOf,
  type MethodDefinition,
  type PartialOf,
  type ServiceDefinition,
} from './rpc-definition.js';
import { fromStatus } from './rpc-errors.js';
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

/** One connection to a peer; it reconnects by itself, quickly. */
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

/** Opens a channel to host:port. Nothing is sent before the first call. */
export function openChannel(peer: string, address: string): Channel {
  const grpc = new Client(address, credentials.createInsecure(), {
    'grpc.enable_http_proxy': 0,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1_000,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 5_000,
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
  });
  return {
    peer,
    client<D extends ServiceDefinition>(definition: D) {
      const methods = Object.entries(definition.methods).map(
        ([key, method]) => [key, makeMethod(grpc, peer, definition, method)] as const,
      );
      return Object.fromEntries(methods) as unknown as RpcClient<D>;
    },
    close: () => grpc.close(),
  };
}

function makeMethod(grpc: Client, peer: string, service: ServiceDefinition, method: MethodDefinition): unknown {
  const definition = toGrpcMethod(service, method);
  const { requestSerialize, responseDeserialize, path } = definition;
  const partial = (message: unknown): unknown =>
    (method.requestType as { fromPartial(value: unknown): unknown }).fromPartial(message);
  if (method.responseStream) {
    return (request: unknown, options: CallOptions): AsyncIterable<unknown> => {
      const { metadata, deadline } = prepare(options);
      const stream = grpc.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        partial(request),
        metadata,
        { deadline },
      );
      return readStream(stream, peer, options.call?.signal);
    };
  }
  const repeatable = method.options.idempotencyLevel !== undefined && !method.requestStream;
  return (input: unknown, options: CallOptions): Promise<unknown> => {
    const attempt = (): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const { metadata, deadline } = prepare(options);
        const cancel = (): void => call.cancel();
        const done = (error: ServiceError | null, response?: unknown): void => {
          options.call?.signal?.removeEventListener('abort', cancel);
          if (error) reject(fromStatus(error, peer));
          else resolve(response);
        };
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
    return measured(`${service.fullName}/${method.name}`, () =>
      repeatable ? withRetries(peer, attempt, options) : attempt(),
    );
  };
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

const retryPausesMs = [50, 150, 400];

/** Another try for calls that may be repeated, only when the peer was away; what a service itself called unavailable goes back at once. */
async function withRetries<T>(peer: string, attempt: () => Promise<T>, options: CallOptions): Promise<T> {
  for (const pause of retryPausesMs) {
    try {
      return await attempt();
    } catch (error) {
      // Only this very peer: one that is away further on has been tried again there already.
      const away =
        error instanceof AppError && error.reason === 'SERVICE_UNAVAILABLE' && error.details['service'] === peer;
      const timeLeft = (options.call?.deadline ?? Infinity) - Date.now();
      if (!away || timeLeft < pause * 2 || options.call?.signal?.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause * (0.75 + Math.random() / 2)));
    }
  }
  return attempt();
}

async function* readStream(
  stream: ClientReadableStream<unknown>,
  peer: string,
  signal: AbortSignal | undefined,
): AsyncIterable<unknown> {
  const cancel = (): void => stream.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    for await (const message of stream) yield message;
  } catch (error) {
    throw fromStatus(error as ServiceError, peer);
  } finally {
    signal?.removeEventListener('abort', cancel);
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
