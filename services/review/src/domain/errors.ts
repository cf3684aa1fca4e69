import { AppError } from '@coursewright/platform/errors';

/** not_found COURSE_NOT_FOUND: no such course, or none that this actor may know. */
export const courseNotFound = (courseId: string): AppError =>
  new AppError('not_found', 'COURSE_NOT_FOUND', { courseId });

/** internal EVENT_INVALID: an event that lacks what its contract promises; it goes to the dead letters. */
export const eventInvalid = (type: string, missing: string): AppError =>
  new AppError('internal', 'EVENT_INVALID', { type, missing });
