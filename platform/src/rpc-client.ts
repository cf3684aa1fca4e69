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
import { fromStatus } from './rpc-errors.js';
import { Replicas, type Replica } from './rpc-replicas.js';
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
  // While calls are under way: a replica that says nothing for 2 s is left, and its calls end as if it had died.
  'grpc.keepalive_time_ms': 500,
  'grpc.keepalive_timeout_ms': 1_500,
  'grpc.max_receive_message_length': maxMessageBytes,
  'grpc.max_send_message_length': maxMessageBytes,
};

/**
 * Opens a channel to `host:port`, or to several with commas between. Calls go round robin to the replicas that answer; one that hangs is left within 2 s,
 * and what was under way there fails as if it had died; one that stops is left before it does. Nothing is sent before the first call.
 */
export function openChannel(peer: string, addresses: string): Channel {
  const replicas = new Replicas(addresses, channelOptions);
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

interface Peer {
  readonly replicas: Replicas;
  readonly peer: string;
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
        const { metadata, deadline } = prepare(options);
        const cancel = (): void => call.cancel();
        const done = (error: ServiceError | null, response?: unknown): void => {
          options.call?.signal?.removeEventListener('abort', cancel);
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
    if (saysItLeaves(metadata)) replica.isLeaving = true;
  });
}

const retryPausesMs = [50, 150, 400];
/** How long a call waits for a connection: short enough for its caller to say 503 still, instead of 504. */
const connectMs = 2_000;

/** A call as its retries see it. */
interface Tried extends Peer {
  readonly repeatable: boolean;
  readonly options: CallOptions;
}

function timeLeft({ call }: CallOptions): number {
  return (call?.deadline ?? Infinity) - Date.now();
}

/** The replica to try. Nothing has been sent when there is none; undefined when that was known at once, so that a later try may be worth it. */
async function nextReplica({ replicas, peer, options }: Tried): Promise<Replica | undefined> {
  const found = await replicas.next(
    Math.max(0, Math.min(connectMs, options.deadlineMs ?? Infinity, timeLeft(options))),
  );
  if (found === 'silent') throw awayError(peer);
  return found === 'away' ? undefined : found;
}

function awayError(peer: string): AppError {
  return new AppError('unavailable', 'SERVICE_UNAVAILABLE', { service: peer, retryAfterSeconds: 1 });
}

/**
 * After a failed try waits until it is time for another and resolves to true; resolves to false when there shall be none. Tried again are only calls that
 * may be repeated, and only when the peer was away (one replica died or hung: the next try goes to another). What a service itself called unavailable
 * goes back at once.
 */
async function maySucceedLater(call: Tried, error: unknown, tries: number): Promise<boolean> {
  const { peer, repeatable, options } = call;
  const pause = retryPausesMs[tries];
  // Only this very peer: one that is away further on has been tried again there already.
  const away = error instanceof AppError && error.reason === 'SERVICE_UNAVAILABLE' && error.details['service'] === peer;
  if (!repeatable || pause === undefined || !away || timeLeft(options) < pause * 2 || options.call?.signal?.aborted)
    return false;
  await new Promise((resolve) => setTimeout(resolve, pause * (0.75 + Math.random() / 2)));
  return true;
}

async function withRetries<T>(call: Tried, attempt: (replica: Replica) => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    const replica = await nextReplica(call);
    try {
      if (replica === undefined) throw awayError(call.peer);
      return await attempt(replica);
    } catch (error) {
      if (!(await maySucceedLater(call, error, tries))) throw error;
    }
  }
}

/** The messages of a stream, opened again as calls are while none of them has come. */
async function* streamed(
  call: Tried,
  open: (replica: Replica) => ClientReadableStream<unknown>,
): AsyncIterable<unknown> {
  let begun = false;
  for (let tries = 0; ; tries += 1) {
    const replica = await nextReplica(call);
    try {
      if (replica === undefined) throw awayError(call.peer);
      const stream = open(replica);
      heedLeaving(stream, replica);
      for await (const message of readStream(stream, call.peer, call.options.call?.signal)) {
        begun = true;
        yield message;
      }
      return;
    } catch (error) {
      if (begun || !(await maySucceedLater(call, error, tries))) throw error;
    }
  }
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
