import {
  CatalogServiceDefinition,
  CourseRecord,
  type CourseCard,
} from '@coursewright/proto/coursewright/catalog/v1/catalog';
import { isId } from '@coursewright/platform/ids';
import type { CallContext } from '@coursewright/platform/rpc-call';
import { serve, type Served } from '@coursewright/platform/rpc-server';
import type { ShownCourse } from '../domain/card.js';
import { courseNotFound } from '../domain/errors.js';
import { claimKey } from '../operations/claim-key.js';
import { createCourse } from '../operations/create-course.js';
import { deleteCourse } from '../operations/delete-course.js';
import { getAccess } from '../operations/get-access.js';
import { getCourse } from '../operations/get-course.js';
import { listCourses } from '../operations/list-courses.js';
import { listMembers } from '../operations/list-members.js';
import type { Caller, Deps } from '../operations/ports.js';
import { putMember } from '../operations/put-member.js';
import { registerCourse } from '../operations/register-course.js';
import { restoreCourse } from '../operations/restore-course.js';
import { callers } from './callers.js';

/** The catalog's RPCs: each asks its operation. */
export function catalogService(deps: Deps): Served {
  return serve(CatalogServiceDefinition, callers, {
    createCourse: async (request, call) => toRecord(await createCourse(deps, callerOf(call), request.fields ?? {})),
    registerCourse: async (request, call) => toRecord(await registerCourse(deps, callerOf(call), request)),
    getCourse: async (request, call) => toRecord(await getCourse(deps, call.actor, known(request.courseId))),
    async listCourses(request, call) {
      const { courses, next, facets } = await listCourses(deps, call.actor, request);
      return {
        courses: courses.map(toCard),
        next,
        facets: facets.map(({ name, values }) => ({ name, values: [...values] })),
      };
    },
    async deleteCourse(request, call) {
      known(request.courseId);
      return toRecord(await deleteCourse(deps, callerOf(call), request));
    },
    async restoreCourse(request, call) {
      known(request.courseId);
      return toRecord(await restoreCourse(deps, callerOf(call), request));
    },
    async getAccess(request) {
      // An id that cannot be is a course that does not exist: the gateway asks with whatever a client sent.
      const courseId = isId(request.courseId) ? request.courseId : '00000000-0000-0000-0000-000000000000';
      const { roles, ...access } = await getAccess(deps, { courseId, subject: request.subject });
      return { ...access, roles: [...roles] };
    },
    claimKey: async (request) => ({ matches: await claimKey(deps, request) }),
    async putMember(request, call) {
      known(request.courseId);
      return putMember(deps, callerOf(call), request);
    },
    async listMembers(request, call) {
      known(request.courseId);
      const { members, next } = await listMembers(deps, call.actor, request);
      return { members: [...members], next };
    },
  });
}

const callerOf = (call: CallContext): Caller => ({
  actor: call.actor,
  ...(call.command ? { command: call.command } : {}),
});

/** Throws not_found COURSE_NOT_FOUND for what is no id at all, so that no statement meets it. */
function known(courseId: string): string {
  if (!isId(courseId)) throw courseNotFound(courseId.slice(0, 100));
  return courseId;
}

/** Reads both a course and what a command kept of one: their JSON is that of the message. */
const toRecord = (course: object): CourseRecord => CourseRecord.fromJSON(JSON.parse(JSON.stringify(course)));

const toCard = (shown: ShownCourse): CourseCard => ({
  ...shown,
  createdAt: new Date(shown.createdAt),
  updatedAt: new Date(shown.updatedAt),
});
