import type { Action } from '@coursewright/course-model/access';
import type { CallOptions } from '@coursewright/platform/rpc-client';
import type { z } from 'zod';
import type { CourseAccess } from '../auth/access.js';
import type { Caller } from '../auth/bearer.js';
import type { Owner, Peers } from '../peers.js';
import type { JoinedReads } from '../joined-reads.js';
import type { ReviewStates } from '../review-states.js';
import type { Match } from './etag.js';
import type { Reason } from './reasons.js';

/** Resources, as the documentation groups routes. */
export type Tag = 'Courses' | 'Lessons' | 'Nodes' | 'Imports' | 'Files' | 'History' | 'Branches' | 'Documents';

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

/** Who may use a route; resolved before its handler runs. `param` names the path parameter with the id. */
export type Permission =
  | { readonly of: 'public' }
  /** Anybody with a token. */
  | { readonly of: 'signed-in' }
  /** Asked of the caller's roles on the platform. */
  | { readonly of: 'platform'; readonly action: Action }
  | { readonly of: 'course' | 'node'; readonly param: 'id'; readonly action: Action }
  /** An import: who started it, or who may see drafts of its course. */
  | { readonly of: 'import'; readonly param: 'id' }
  /** A stored file: who may do this in a course that has it, or in the one that the query names. */
  | { readonly of: 'asset'; readonly param: 'hash'; readonly action: Action }
  /** The course that the query names, else the platform. */
  | { readonly of: 'import-target'; readonly inCourse: Action; readonly onPlatform: Action };

/** What a route takes as its body. A document and an archive are handed on as bytes; their owner reads them. */
export type BodySpec =
  | { readonly kind: 'json'; readonly schema: z.ZodType; readonly maxBytes?: number }
  | { readonly kind: 'document'; readonly schema: z.ZodType; readonly maxBytes: number }
  | { readonly kind: 'archive'; readonly types: readonly string[] };

/** A file on its way to the client. */
export interface FileReply {
  readonly hash: string;
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Gives the bytes up that were not asked for: a client that has them already wants none. */
  close(): Promise<unknown>;
}

/** An answer before it is written: dispatch adds the hash of the representation to the ETag and answers 304. */
export interface Reply {
  readonly status: number;
  readonly body?: unknown;
  /** The body as JSON already; wins over `body`. */
  readonly json?: string;
  /** Bytes that are passed on as they come, instead of a body. */
  readonly file?: FileReply;
  /** Parts of the ETag before the representation's own hash. */
  readonly etag?: readonly string[];
  /** The commit that a write made. */
  readonly commit?: string;
  /** The commit that the branch of a read thing is at; told to those who were stale. */
  readonly head?: string;
  /** Path below /api. */
  readonly location?: string;
  readonly contentLocation?: string;
  /** Sent instead of application/json. */
  readonly contentType?: string;
  /** The owner of the effect found that the same request had come before. */
  readonly replayed?: boolean;
}

/** A checked request. */
export interface Input<P = Readonly<Record<string, unknown>>, Q = Readonly<Record<string, unknown>>, B = unknown> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** The body as it was received, where the route takes one. */
  readonly bytes: Buffer;
  /** For an archive: what is left to be read, stopped at the size limit. */
  readonly chunks: AsyncIterable<Buffer>;
  readonly mediaType: string;
  readonly match: Match;
}

/** What a handler works with. */
export interface Context {
  readonly caller: Caller;
  readonly peers: Peers;
  readonly reviews: ReviewStates;
  readonly courses: JoinedReads<Reply>;
  readonly publicUrl: string;
  /** The course that the permission was checked on; a route without one must not ask. */
  readonly course: CourseAccess;
  /** For calls that change nothing. */
  readonly read: CallOptions;
  /** For the one call that has the effect: carries the command. */
  readonly write: CallOptions;
  /** The same request with the rights that the maker of a course needs to be told how it began. */
  asMaker(courseId: string): Promise<Context>;
  /** Forgets who may do what with a course: this request has changed it. */
  forget(courseId: string): void;
  /** A service's cursor, sealed for this list; null when the list ends. */
  next(inner: string): string | null;
  /** The same for the list of another route. */
  nextOf(path: string, params: object, query: object, inner: string): string | null;
}

/** One route: the single source of routing, validation, permission, documentation and the tests that walk the table. */
export interface RouteSpec<P extends z.ZodObject, Q extends z.ZodObject, B> {
  readonly method: Method;
  /** Below /api, parameters in braces. */
  readonly path: string;
  /** Row of the feature list. */
  readonly feature: string;
  /** The resource it belongs to, as the documentation groups them. */
  readonly tag: Tag;
  readonly summary: string;
  readonly description?: string;
  readonly params: P;
  readonly query: Q;
  readonly body?: BodySpec;
  readonly permission: Permission;
  /** For writes: whose transaction is the effect. */
  readonly write?: Owner;
  /** For writes of a thing that exists: If-Match is asked for; reads the thing as it is now. */
  readonly current?: (input: Input<z.output<P>, z.output<Q>, B>, context: Context) => Promise<Reply>;
  /** Shape of each successful status; null for no body. */
  readonly responses: Readonly<Record<number, z.ZodType | null>>;
  /** Media type of the answer; application/json unless told. */
  readonly answers?: string;
  /** Reasons of refusals beyond those that follow from the rest of the route. */
  readonly reasons?: readonly Reason[];
  readonly handle: (input: Input<z.output<P>, z.output<Q>, B>, context: Context) => Promise<Reply>;
  /** The first answer again, from what the effect's transaction kept; of an archive its owner finds that out himself. */
  readonly replay?: (
    result: Readonly<Record<string, unknown>>,
    input: Input<z.output<P>, z.output<Q>, B>,
    open: () => Promise<Context>,
  ) => Promise<Reply>;
}

/** A route as the router sees it: types of its request forgotten. */
export type Route = RouteSpec<z.ZodObject, z.ZodObject, unknown>;

type BodyOf<S> = S extends { readonly kind: 'json'; readonly schema: infer Z extends z.ZodType }
  ? z.output<Z>
  : undefined;

/** Ties a route's handler to its schemas. */
export function route<P extends z.ZodObject, Q extends z.ZodObject, S extends BodySpec | undefined = undefined>(
  spec: Omit<RouteSpec<P, Q, BodyOf<S>>, 'body'> & { readonly body?: S },
): Route {
  const isReplayed = spec.write !== undefined && spec.body?.kind !== 'archive';
  if ((spec.method !== 'get') !== (spec.write !== undefined) || isReplayed !== (spec.replay !== undefined))
    throw new Error(`${spec.method} ${spec.path}: a write names its owner and how it is replayed, a read does not`);
  return spec as unknown as Route;
}
