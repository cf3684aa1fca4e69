import type { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import type {
  ServiceDefinition as GrpcServiceDefinition,
  MethodDefinition as GrpcMethodDefinition,
} from '@grpc/grpc-js';

/** A message type as ts-proto generates it. */
export interface MessageType<T> {
  encode(message: T, writer?: BinaryWriter): BinaryWriter;
  decode(input: BinaryReader | Uint8Array, length?: number): T;
  fromPartial(object: never): T;
}

export interface MethodDefinition {
  readonly name: string;
  readonly requestType: MessageType<never> | MessageType<unknown>;
  readonly requestStream: boolean;
  readonly responseType: MessageType<never> | MessageType<unknown>;
  readonly responseStream: boolean;
  readonly options: { readonly idempotencyLevel?: string };
}

/** A service as ts-proto generates it with outputServices=generic-definitions. */
export interface ServiceDefinition {
  readonly name: string;
  readonly fullName: string;
  readonly methods: Readonly<Record<string, MethodDefinition>>;
}

/** The message a type decodes to. */
export type MessageOf<M> = M extends { decode(...args: never[]): infer T } ? T : never;
/** What fromPartial of a type takes: every field may be left out. */
export type PartialOf<M> = M extends { fromPartial(object: infer P): unknown } ? P : never;

/** The same service in the form that grpc-js takes. */
export function toGrpcDefinition(service: ServiceDefinition): GrpcServiceDefinition {
  const entries = Object.entries(service.methods).map(([key, method]) => [key, toGrpcMethod(service, method)] as const);
  return Object.fromEntries(entries);
}

export function toGrpcMethod(
  service: ServiceDefinition,
  method: MethodDefinition,
): GrpcMethodDefinition<unknown, unknown> {
  const request = method.requestType as MessageType<unknown>;
  const response = method.responseType as MessageType<unknown>;
  const serialize = (type: MessageType<unknown>) => (message: unknown) => Buffer.from(type.encode(message).finish());
  return {
    path: `/${service.fullName}/${method.name}`,
    requestStream: method.requestStream,
    responseStream: method.responseStream,
    requestSerialize: serialize(request),
    requestDeserialize: (bytes) => request.decode(bytes),
    responseSerialize: serialize(response),
    responseDeserialize: (bytes) => response.decode(bytes),
  };
}
