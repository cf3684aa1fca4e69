import { createHash } from 'node:crypto';
import { isService, personOf, type Actor } from '@coursewright/platform/actor';
import type { ShownCourse } from '../domain/card.js';
import { forbidden } from '../domain/errors.js';
import {
  kindsOf,
  readListRequest,
  writeCursor,
  type ListQuery,
  type ListRequest,
  type Scope,
} from '../domain/list-query.js';
import { staffRoles } from '../domain/member.js';
import { kindTag, personTag } from './list-cache.js';
import type { Deps, Facet } from './ports.js';

/** A page of courses. */
export interface CourseList {
  readonly courses: readonly ShownCourse[];
  /** Empty on the last page. */
  readonly next: string;
  readonly facets: readonly Facet[];
}

type ListDeps = Pick<Deps, 'cards' | 'cache' | 'database' | 'registry'>;

// Events drop what they change; this only bounds how long an entry nobody reads takes room.
const ttlSeconds = 120;

/**
 * Lists the courses an actor may see, each once: drafts where he is staff, else what is published.
 * Throws invalid_argument INVALID_REQUEST or CURSOR_INVALID, permission_denied FORBIDDEN for deleted ones to other than admins.
 */
export async function listCourses(deps: ListDeps, actor: Actor, request: ListRequest): Promise<CourseList> {
  const query = readListRequest(request);
  const scope = await scopeOf(deps, actor);
  if (query.filters.shelf === 'deleted' && scope.kind !== 'all') throw forbidden();
  const key = createHash('sha256')
    .update(JSON.stringify([scope, query]))
    .digest('base64url');
  const tags = kindsOf(scope).map(kindTag);
  if (scope.kind === 'person') tags.push(personTag(scope.subject));
  return deps.cache.through(key, { kind: 'course-list', ttlSeconds, tags }, () => load(deps, query, scope));
}

/** Everybody who is staff nowhere shares one scope, and so one cache entry. */
async function scopeOf(deps: ListDeps, actor: Actor): Promise<Scope> {
  if (actor.roles.includes('admin') || (isService(actor) && actor.onBehalfOf === undefined)) return { kind: 'all' };
  const subject = personOf(actor).sub;
  const isStaff = await deps.cache.through(
    createHash('sha256').update(subject).digest('base64url'),
    { kind: 'staff-somewhere', ttlSeconds, tags: [personTag(subject)] },
    () => deps.registry.hasRoleAnywhere(deps.database, subject, staffRoles),
  );
  return isStaff ? { kind: 'person', subject } : { kind: 'public' };
}

async function load(deps: ListDeps, query: ListQuery, scope: Scope): Promise<CourseList> {
  const [found, facets] = await Promise.all([
    deps.cards.page(query, scope),
    query.facets ? deps.cards.facets(query, scope) : [],
  ]);
  const page = found.slice(0, query.limit);
  const last = page.at(-1);
  const hasMore = found.length > query.limit && last !== undefined;
  return {
    courses: page.map((entry) => entry.shown),
    next: hasMore ? writeCursor(query, { value: last.sortValue, courseId: last.shown.courseId }) : '',
    facets,
  };
}
