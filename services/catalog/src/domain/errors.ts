import { AppError, type FieldProblem } from '@coursewright/platform/errors';

/** not_found COURSE_NOT_FOUND: no such course, or none that this actor may know. */
export const courseNotFound = (courseId: string): AppError =>
  new AppError('not_found', 'COURSE_NOT_FOUND', { courseId });

/** permission_denied FORBIDDEN: known to the actor, but not for him to do. */
export const forbidden = (details: Record<string, unknown> = {}): AppError =>
  new AppError('permission_denied', 'FORBIDDEN', details);

/** stale STALE: the course has another revision than the caller expected; details carry the present one. */
export const staleRevision = (revision: number): AppError => new AppError('stale', 'STALE', { revision });

/** invalid_argument CURSOR_INVALID: not a cursor of ours, or one of another query. */
export const cursorInvalid = (): AppError => new AppError('invalid_argument', 'CURSOR_INVALID');

/** invalid_argument INVALID_REQUEST: fields of the request that cannot be, each with its pointer. */
export const invalidRequest = (fields: readonly FieldProblem[]): AppError =>
  new AppError('invalid_argument', 'INVALID_REQUEST', {}, { fields });

/** internal EVENT_INVALID: an event that lacks what its contract promises; it goes to the dead letters. */
export const eventInvalid = (type: string, missing: string): AppError =>
  new AppError('internal', 'EVENT_INVALID', { type, missing });
