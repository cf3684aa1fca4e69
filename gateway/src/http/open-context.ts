import type { Actor } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import type { TokenMinter } from '@coursewright/platform/internal-token';
import type { Command } from '@coursewright/platform/rpc-call';
import type { Accesses, CourseAccess } from '../auth/access.js';
import type { Caller } from '../auth/bearer.js';
import type { Homes } from '../auth/homes.js';
import type { Peers } from '../peers.js';
import type { JoinedReads } from '../joined-reads.js';
import type { ReviewStates } from '../review-states.js';
import { listName, type Cursors } from './cursor.js';
import type { Context, Input, Reply, Route } from './route.js';

/** What the gateway is made of, as routes and dispatch need it. */
export interface GatewayParts {
  readonly peers: Peers;
  readonly reviews: ReviewStates;
  readonly courses: JoinedReads<Reply>;
  readonly accesses: Accesses;
  readonly homes: Homes;
  readonly minter: TokenMinter;
  readonly cursors: Cursors;
  readonly publicUrl: string;
}

/** One request as far as it has been read. */
export interface Opening {
  readonly caller: Caller;
  readonly input: Input;
  readonly command: Command | undefined;
  readonly requestId: string;
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  readonly deadline: number;
}

/** What a handler works with, with the internal token of the caller's rights. Throws internal INTERNAL for a course that the route has not. */
export async function contextOf(
  parts: GatewayParts,
  route: Route,
  opening: Opening,
  course: CourseAccess | undefined,
): Promise<Context> {
  const { caller, input, command, requestId, signal, deadline } = opening;
  const actor: Actor = course?.actor ?? { ...caller, grants: [] };
  const token = await parts.minter.mint(actor);
  const call = { token, requestId, deadline };
  const deadlineMs = Math.max(1, deadline - Date.now());
  const nextOf = (path: string, params: object, query: object, inner: string): string | null =>
    inner === '' ? null : parts.cursors.seal(listName(path, params, query), inner);
  return {
    caller,
    peers: parts.peers,
    reviews: parts.reviews,
    courses: parts.courses,
    publicUrl: parts.publicUrl,
    get course() {
      if (course === undefined)
        throw new AppError('internal', 'INTERNAL', {}, { message: `${route.path} has no course` });
      return course;
    },
    // Only what changes nothing is given up with the client: a write that was begun is brought to its end.
    read: { call: { ...call, signal }, deadlineMs },
    write: { call, deadlineMs, ...(command ? { command } : {}) },
    asMaker: (courseId) => contextOf(parts, route, opening, makerOf(caller, courseId)),
    forget: (courseId) => parts.accesses.drop(courseId),
    next: (inner) => nextOf(route.path, input.params, input.query, inner),
    nextOf,
  };
}

/** Whoever has made a course may see how it began, also when it is gone by now; enough for that and for nothing else. */
function makerOf(caller: Caller, courseId: string): CourseAccess {
  const role = 'publisher';
  return { courseId, roles: [role], publishedCommit: null, actor: { ...caller, grants: [{ course: courseId, role }] } };
}
