import { can, type Action } from '@coursewright/course-model/access';
import { AppError } from '@coursewright/platform/errors';
import type { CourseAccess } from '../auth/access.js';
import type { Caller } from '../auth/bearer.js';
import type { GatewayParts } from './open-context.js';
import type { Input, Permission } from './route.js';

/**
 * The course of a request, once it is known that its caller may do there what the route does; undefined for a route without one.
 * Throws not_found (COURSE_NOT_FOUND, NODE_NOT_FOUND, IMPORT_NOT_FOUND, ASSET_NOT_FOUND), permission_denied FORBIDDEN.
 */
export async function permit(
  parts: GatewayParts,
  permission: Permission,
  caller: Caller,
  input: Pick<Input, 'params' | 'query'>,
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
      return allowedOnNode(parts, await accessOfNode(parts, caller, id!), permission.action, input);
    case 'import':
      return accessOfImport(parts, caller, id!);
    case 'asset':
      return accessOfAsset(parts, caller, permission.action, input);
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

/** Learners are told that they may not do something only with what they may see: a draft is no more there for them than nothing. */
async function allowedOnNode(
  parts: GatewayParts,
  access: CourseAccess,
  action: Action,
  input: Pick<Input, 'params' | 'query'>,
): Promise<CourseAccess> {
  const { branch, at } = input.query as { branch?: string; at?: string };
  const isRefused = !can(access.roles, action) || branch !== undefined || at !== undefined;
  if (access.publishedCommit !== null && isRefused) {
    const { courseId, publishedCommit: ref, actor } = access;
    const nodeId = String(input.params['id']);
    const token = await parts.minter.mint(actor);
    await parts.peers.versioning.getNode({ courseId, nodeId, ref }, { token }).catch(asUnknownNode);
  }
  return allowed(access, action);
}

function asUnknownNode(error: unknown): never {
  throw error instanceof AppError && error.kind === 'not_found' ? new AppError('not_found', 'NODE_NOT_FOUND') : error;
}

/** A node of a course that the caller may not know is answered as one that never was. */
async function accessOfNode(parts: GatewayParts, caller: Caller, nodeId: string): Promise<CourseAccess> {
  const courseId = await parts.homes.courseOf(nodeId);
  if (courseId === undefined) throw new AppError('not_found', 'NODE_NOT_FOUND');
  return parts.accesses.of(caller, courseId).catch(asUnknownNode);
}

async function accessOfImport(parts: GatewayParts, caller: Caller, id: string): Promise<CourseAccess | undefined> {
  const unknown = new AppError('not_found', 'IMPORT_NOT_FOUND');
  const token = await parts.minter.mintOwn();
  const { courseId, startedBy } = await parts.peers.content.locate({ kind: 'import', id }, { token });
  if (startedBy === '') throw unknown;
  const access = courseId === '' ? undefined : await parts.accesses.of(caller, courseId).catch(asNoAccess);
  const maySee = access !== undefined && can(access.roles, 'course.read-draft');
  if (!maySee && startedBy !== caller.sub && !caller.roles.includes('admin')) throw unknown;
  return access;
}

/** The first course that has the file and where the caller may do this; a file of others is answered as one that never was. */
async function accessOfAsset(
  parts: GatewayParts,
  caller: Caller,
  action: Action,
  input: Pick<Input, 'params' | 'query'>,
): Promise<CourseAccess> {
  const { hash } = input.params as { hash: string };
  const { course } = input.query as { course?: string };
  const token = await parts.minter.mintOwn();
  const { courseIds } =
    course === undefined
      ? await parts.peers.content.locate({ kind: 'asset', id: hash }, { token })
      : { courseIds: [course] };
  for (const courseId of courseIds) {
    const access = await parts.accesses.of(caller, courseId).catch(asNoAccess);
    if (access !== undefined && can(access.roles, action)) return access;
  }
  throw new AppError('not_found', 'ASSET_NOT_FOUND');
}

function asNoAccess(error: unknown): undefined {
  if (!(error instanceof AppError && error.kind === 'not_found')) throw error;
}
