import { ErrorDetail } from '@coursewright/proto/coursewright/common/v1/error';
import { Metadata, status as Status, type ServiceError, type StatusObject } from '@grpc/grpc-js';
import { AppError, errorKinds, isErrorKind, toAppError, type ErrorKind } from './errors.js';

const trailer = 'cw-error-bin';

/** A gRPC status with the whole error in its trailer; text and cause of unexpected errors stay behind. */
export function toStatus(error: unknown): StatusObject {
  const known = toAppError(error);
  const metadata = new Metadata();
  const detail = ErrorDetail.fromPartial({
    kind: known.kind,
    reason: known.reason,
    message: known.message,
    details: { ...known.details },
    fields: known.fields.map((field) => ({ ...field })),
  });
  metadata.set(trailer, Buffer.from(ErrorDetail.encode(detail).finish()));
  return { code: errorKinds[known.kind].grpc, details: `${known.kind} ${known.reason}`, metadata };
}

/** What a call to a peer that is away ends with. */
export function awayError(peer: string, cause?: unknown): AppError {
  return new AppError('unavailable', 'SERVICE_UNAVAILABLE', { service: peer, retryAfterSeconds: 1 }, { cause });
}

const kindOfCode: Partial<Record<Status, ErrorKind>> = {
  [Status.UNAVAILABLE]: 'unavailable',
  [Status.DEADLINE_EXCEEDED]: 'deadline_exceeded',
  [Status.RESOURCE_EXHAUSTED]: 'too_large',
  [Status.UNIMPLEMENTED]: 'unimplemented',
};

/**
 * The AppError that a failed call carries; a peer that is away is unavailable SERVICE_UNAVAILABLE. A token that the peer did not take was made by
 * one of our own services: a wrong key, or a clock far off. Nobody has to sign in for that.
 */
export function fromStatus(error: ServiceError, peer: string): AppError {
  const bytes = error.metadata?.get(trailer)[0];
  if (bytes instanceof Uint8Array) {
    const detail = ErrorDetail.decode(bytes);
    if (isErrorKind(detail.kind)) {
      const kind = detail.kind === 'unauthenticated' ? 'unavailable' : detail.kind;
      return new AppError(kind, detail.reason, detail.details ?? {}, {
        message: detail.message,
        fields: detail.fields,
        cause: error,
      });
    }
  }
  const kind = kindOfCode[error.code] ?? 'internal';
  if (kind === 'unavailable') return awayError(peer, error);
  if (kind === 'deadline_exceeded') return new AppError(kind, 'DEADLINE_EXCEEDED', { service: peer }, { cause: error });
  if (kind === 'too_large') return new AppError(kind, 'MESSAGE_TOO_LARGE', { service: peer }, { cause: error });
  return new AppError(kind, kind === 'unimplemented' ? 'UNIMPLEMENTED' : 'INTERNAL', {}, { cause: error });
}
