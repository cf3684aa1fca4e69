import { Metadata } from '@grpc/grpc-js';
import type { Actor } from './actor.js';
import { AppError } from './errors.js';
import { newId } from './ids.js';
import { currentTraceparent } from './telemetry.js';

/** The id under which a write's first result is kept, with the hash of the request it belongs to. */
export interface Command {
  readonly id: string;
  readonly fingerprint: string;
  /** A client's key is kept 7 days, one minted by the gateway 1 hour. */
  readonly kept: 'client' | 'minted';
}

/** What a handler knows of the call it serves. */
export interface CallContext {
  readonly actor: Actor;
  /** The internal token as it came, for calls further on. */
  readonly token: string;
  readonly command?: Command;
  /** Aborted when the caller gives up or the deadline has passed. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  readonly requestId: string;
}

const keys = {
  token: 'authorization',
  request: 'cw-request-id',
  command: 'cw-command-id',
  fingerprint: 'cw-command-fingerprint',
  kept: 'cw-command-kept',
  traceparent: 'traceparent',
};

/** Writes what travels with every call: token, request id, command, trace. */
export function toMetadata(call: {
  token: string;
  requestId?: string | undefined;
  command?: Command | undefined;
}): Metadata {
  const metadata = new Metadata();
  metadata.set(keys.token, `Bearer ${call.token}`);
  metadata.set(keys.request, call.requestId ?? newId());
  if (call.command) {
    metadata.set(keys.command, call.command.id);
    metadata.set(keys.fingerprint, call.command.fingerprint);
    metadata.set(keys.kept, call.command.kept);
  }
  const traceparent = currentTraceparent();
  if (traceparent) metadata.set(keys.traceparent, traceparent);
  return metadata;
}

const leaving = 'cw-leaving';

/** What a process that is about to stop sends ahead of every answer. */
export function leavingMark(): Metadata {
  const metadata = new Metadata();
  metadata.set(leaving, '1');
  return metadata;
}

/** Whether the answer that begins so comes from a process that is about to stop. */
export function saysItLeaves(metadata: Metadata): boolean {
  return metadata.get(leaving).length > 0;
}

export interface CallHeaders {
  readonly token: string;
  readonly requestId: string;
  readonly command?: Command;
  readonly traceparent?: string;
}

/** Reads what travels with every call. Throws unauthenticated INTERNAL_TOKEN_MISSING. */
export function fromMetadata(metadata: Metadata): CallHeaders {
  const text = (key: string): string | undefined => {
    const value = metadata.get(key)[0];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const token = text(keys.token)?.replace(/^Bearer /, '');
  if (token === undefined) throw new AppError('unauthenticated', 'INTERNAL_TOKEN_MISSING');
  const id = text(keys.command);
  const traceparent = text(keys.traceparent);
  return {
    token,
    requestId: text(keys.request) ?? newId(),
    ...(id === undefined
      ? {}
      : {
          command: {
            id,
            fingerprint: text(keys.fingerprint) ?? '',
            kept: text(keys.kept) === 'client' ? 'client' : 'minted',
          },
        }),
    ...(traceparent === undefined ? {} : { traceparent }),
  };
}
