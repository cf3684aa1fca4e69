import { can } from '@coursewright/course-model/access';
import type { Actor } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import type { TokenMinter } from '@coursewright/platform/internal-token';
import type { Access } from '@coursewright/proto/coursewright/catalog/v1/catalog';
import { LRUCache } from 'lru-cache';
import type { Peers } from '../peers.js';
import type { Caller } from './bearer.js';

/** What a caller may do with one course. */
export interface CourseAccess {
  readonly courseId: string;
  /** His staff roles there, or `learner` alone. */
  readonly roles: readonly string[];
  /** For a learner the only commit he may see; null for staff. */
  readonly publishedCommit: string | null;
  /** The caller with these grants, as the internal token has him. */
  readonly actor: Actor;
}

/** Finds out what callers may do with courses. */
export interface Accesses {
  /** Throws not_found COURSE_NOT_FOUND for a course that the caller may not know. */
  of(caller: Caller, courseId: string): Promise<CourseAccess>;
  /** Forgets what is known of a course: catalog says that it has changed. */
  drop(courseId: string): void;
}

const freshMs = 5_000;
/** A course that was unpublished is closed to its learners after this at the latest. */
const confirmedMs = 1_000;
/** Entries have less than a kilobyte each: ids, a subject of at most 200 characters, a few roles. */
const most = 10_000;

/**
 * Asks catalog, and keeps its answers for 5 s at most. What learners may see versioning says, the owner of the published pointer: a
 * projection alone never opens a draft. A course that is not there, or not for the caller, is asked for anew each time, with the
 * very same questions: neither time nor what is remembered tells one from the other.
 */
export function createAccesses(
  peers: Pick<Peers, 'catalog' | 'versioning'>,
  minter: Pick<TokenMinter, 'mintOwn'>,
): Accesses {
  const known = new LRUCache<string, { readonly asked: number; readonly access: Promise<Access> }>({
    max: most,
    ttl: freshMs,
  });
  const snapshots = new LRUCache<string, Promise<string>>({ max: most, ttl: confirmedMs });
  const dropped = new LRUCache<string, number>({ max: most, ttl: 2 * freshMs });

  const ask = async (subject: string, courseId: string): Promise<Access> =>
    peers.catalog.getAccess({ courseId, subject }, { token: await minter.mintOwn() });

  const published = (courseId: string): Promise<string> => {
    const under = snapshots.get(courseId);
    if (under) return under;
    const asked = minter
      .mintOwn()
      .then((token) => peers.versioning.getPublished({ courseId }, { token }))
      .then(({ commit }) => commit);
    snapshots.set(courseId, asked);
    const forget = (): void => {
      if (snapshots.peek(courseId) === asked) snapshots.delete(courseId);
    };
    asked.then((commit) => (commit === '' ? forget() : undefined), forget);
    return asked;
  };

  const look = (subject: string, courseId: string): Promise<Access> => {
    const key = `${courseId}\n${subject}`;
    const entry = known.get(key);
    // Asked before the drop counts as dropped too: its answer may be from before the change.
    if (entry && entry.asked > (dropped.get(courseId) ?? 0)) return entry.access;
    const access = ask(subject, courseId);
    const asked = performance.now();
    known.set(key, { asked, access });
    access.then(
      (found) => (found.exists ? undefined : known.delete(key)),
      () => known.delete(key),
    );
    return access;
  };

  return {
    async of(caller, courseId) {
      const access = await look(caller.sub, courseId);
      const staff = staffGrant(caller, courseId, access);
      if (staff !== undefined) return staff;
      const commit = await published(courseId);
      if (access.exists && commit !== '') return learnerGrant(caller, courseId, commit);
      known.delete(`${courseId}\n${caller.sub}`);
      throw new AppError('not_found', 'COURSE_NOT_FOUND');
    },
    drop: (courseId) => void dropped.set(courseId, performance.now()),
  };
}

/** Staff see the course by their roles, platform admins also one that is deleted; undefined for anybody else. */
function staffGrant(caller: Caller, courseId: string, access: Access): CourseAccess | undefined {
  const isAdmin = caller.roles.includes('admin');
  if (!access.exists && !(access.deleted && isAdmin)) return undefined;
  const staff = access.deleted ? [] : access.roles.filter((role) => can([role], 'course.read-draft'));
  if (isAdmin && !staff.includes('admin')) staff.push('admin');
  if (staff.length === 0) return undefined;
  const grants = staff.map((role) => ({ course: courseId, role }));
  return { courseId, roles: staff, publishedCommit: null, actor: { ...caller, grants } };
}

/** Who is not staff is a learner of what is published. */
function learnerGrant(caller: Caller, courseId: string, commit: string): CourseAccess {
  const grants = [{ course: courseId, role: 'learner', commit }];
  return { courseId, roles: ['learner'], publishedCommit: commit, actor: { ...caller, grants } };
}
