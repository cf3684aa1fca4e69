import { can, type Action } from '@coursewright/course-model/access';
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
import type { Context, Input, Permission, Reply, Route } from './route.js';

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

/**
 * Resolves the course of a request, asks the caller's permission, and mints the internal token.
 * Throws not_found (COURSE_NOT_FOUND, NODE_NOT_FOUND, IMPORT_NOT_FOUND), permission_denied FORBIDDEN.
 */
export async function openContext(parts: GatewayParts, route: Route, opening: Opening): Promise<Context> {
  const course = await permit(parts, route.permission, opening.caller, opening.input);
  return contextOf(parts, route, opening, course);
}

async function contextOf(
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
    within: async (courseId) => contextOf(parts, route, opening, await parts.accesses.of(caller, courseId)),
    forget: (courseId) => parts.accesses.drop(courseId),
    next: (inner) => nextOf(route.path, input.params, input.query, inner),
    nextOf,
  };
}

async function permit(
  parts: GatewayParts,
  permission: Permission,
  caller: Caller,
  input: Input,
): Promise<CourseAccess | undefined> {
  const { id } = input.params as { id?: string };
  switch (permission.of) {
    case 'public':
    case 'signed-in':
      return undefined;
    case 'platform':
      if (!can(caller.roles, permission.action)) throw forbidden();
      return undefined;
    case 'course':
      return allowed(await parts.accesses.of(caller, id!), permission.action);
    case 'node':
      return allowed(await accessOfNode(parts, caller, id!), permission.action);
    case 'import':
      return accessOfImport(parts, caller, id!);
    case 'import-target': {
      const { course } = input.query as { course?: string };
      if (course !== undefined) return allowed(await parts.accesses.of(caller, course), permission.inCourse);
      if (!can(caller.roles, permission.onPlatform)) throw forbidden();
      return undefined;
    }
  }
}

function forbidden(): AppError {
  return new AppError('permission_denied', 'FORBIDDEN', {}, { message: 'Your role does not allow this' });
}

function allowed(access: CourseAccess, action: Action): CourseAccess {
  if (!can(access.roles, action)) throw forbidden();
  return access;
}

/** A node of a course that the caller may not know is answered as one that never was. */
async function accessOfNode(parts: GatewayParts, caller: Caller, nodeId: string): Promise<CourseAccess> {
  const unknown = new AppError('not_found', 'NODE_NOT_FOUND');
  const courseId = await parts.homes.courseOf(nodeId);
  if (courseId === undefined) throw unknown;
  return parts.accesses.of(caller, courseId).catch((error: unknown) => {
    throw error instanceof AppError && error.kind === 'not_found' ? unknown : error;
  });
}

async function accessOfImport(parts: GatewayParts, caller: Caller, id: string): Promise<CourseAccess | undefined> {
  const unknown = new AppError('not_found', 'IMPORT_NOT_FOUND');
  const token = await parts.minter.mintOwn();
  const { courseId, startedBy } = await parts.peers.content.locate({ kind: 'import', id }, { token });
  if (startedBy === '') throw unknown;
  const access =
    courseId === ''
      ? undefined
      : await parts.accesses.of(caller, courseId).catch((error: unknown) => {
          if (error instanceof AppError && error.kind === 'not_found') return undefined;
          throw error;
        });
  const maySee = access !== undefined && can(access.roles, 'course.read-draft');
  if (!maySee && startedBy !== caller.sub && !caller.roles.includes('admin')) throw unknown;
  return access;
}
