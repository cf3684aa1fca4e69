import { AppError, type FieldProblem } from '@coursewright/platform/errors';

/** not_found COURSE_NOT_FOUND: no such course, or none that this actor may know. */
export const courseNotFound = (courseId: string): AppError =>
  new AppError('not_found', 'COURSE_NOT_FOUND', { courseId });

/** invalid_argument CURSOR_INVALID: not a cursor of ours, or one of another course. */
export const cursorInvalid = (): AppError => new AppError('invalid_argument', 'CURSOR_INVALID');

/** invalid_argument INVALID_REQUEST: fields of the request that cannot be, each with its pointer. */
export const invalidRequest = (fields: readonly FieldProblem[]): AppError =>
  new AppError('invalid_argument', 'INVALID_REQUEST', {}, { fields });

/** internal EVENT_INVALID: an event that lacks what its contract promises; it goes to the dead letters. */
export const eventInvalid = (type: string, missing: string): AppError =>
  new AppError('internal', 'EVENT_INVALID', { type, missing });
