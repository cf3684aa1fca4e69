import type { NewEvent } from '@coursewright/platform/event';
import type { Course } from './course.js';

/** A course is in the registry. */
export const courseCreated = (course: Course): NewEvent => ({
  type: 'course-created',
  courseId: course.courseId,
  at: course.createdAt,
  data: {
    courseId: course.courseId,
    owner: course.owner,
    createdBy: course.createdBy,
    at: course.createdAt.toISOString(),
  },
});

/** What of a course's access changed: who may do what must be asked anew. */
export type AccessChange = 'owner' | 'members' | 'restored';

/** Ownership or membership changed, or a deleted course is back. */
export const courseChanged = (courseId: string, what: AccessChange, changedBy: string, at: Date): NewEvent => ({
  type: 'course-changed',
  courseId,
  at,
  data: { courseId, changedBy, what: [what], at: at.toISOString() },
});

/** A course has its deletion mark. */
export const courseDeleted = (courseId: string, deletedBy: string, at: Date): NewEvent => ({
  type: 'course-deleted',
  courseId,
  at,
  data: { courseId, deletedBy, at: at.toISOString() },
});

/** What this service knows of a course, as proto3 JSON of CatalogState. */
export function catalogState(course: Course): Record<string, unknown> {
  return {
    courseId: course.courseId,
    owner: course.owner,
    createdAt: course.createdAt.toISOString(),
    ...(course.archivedAt ? { archivedAt: course.archivedAt.toISOString() } : {}),
    ...(course.deletedAt ? { deletedAt: course.deletedAt.toISOString() } : {}),
  };
}
