import { own } from '@coursewright/platform/own';
import { createHash } from 'node:crypto';
import type { CourseCard, CourseRecord } from '@coursewright/proto/coursewright/catalog/v1/catalog';
import type { CourseRepository } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import type { Reply } from '../http/route.js';
import type { Review } from '../review-states.js';
import type { CourseJson } from '../shapes/course.js';
import { orNull, present, timeOf } from './common.js';
import { courseStatus } from './course-status.js';

/** What the owners of a course's facts answer; review is undefined when it cannot be reached. */
export interface CourseFacts {
  readonly repository: CourseRepository;
  readonly record: CourseRecord;
  readonly review: Review | undefined;
  /** True when the repository was read at the default branch's head. */
  readonly atHead: boolean;
}

type Fields = Readonly<Record<string, unknown>> | undefined;

/** The fields of a course's root node as the public shape has them. */
function describe(
  fields: Fields,
): Pick<CourseJson, 'title' | 'description' | 'topic' | 'cefrLevel' | 'language' | 'tags'> {
  const text = (name: string): string | undefined => {
    const value: unknown = own(fields, name);
    return typeof value === 'string' ? value : undefined;
  };
  const tags = fields?.['tags'];
  return {
    title: text('title') ?? '',
    description: text('description') ?? '',
    topic: text('topic') ?? '',
    cefrLevel: (text('cefrLevel') ?? null) as CourseJson['cefrLevel'],
    language: text('language') ?? null,
    tags: Array.isArray(tags) ? tags.filter((tag): tag is string => typeof tag === 'string') : [],
  };
}

/** The part of a course's ETag that PUT and PATCH compare: root fields, and the registry's revision. */
export function courseSelf(repository: CourseRepository, record: CourseRecord): string {
  const root = present(repository.root, 'root');
  return createHash('sha256').update(`${root.selfEtag}\n${record.revision}`).digest('base64url');
}

/** A course as its staff see it. */
export function staffCourse(facts: CourseFacts): Reply {
  const { repository, record } = facts;
  const tree = repository.tree;
  const review = facts.review ?? { state: record.reviewState, tree: record.reviewTree, knownTree: tree };
  const headTree = facts.atHead ? tree : review.knownTree;
  const { archivedAt, deletedAt } = record;
  const body: CourseJson = {
    id: repository.courseId,
    ...describe(repository.root?.fields),
    status: courseStatus({
      archived: archivedAt !== undefined,
      headTree,
      publishedTree: repository.publishedTree,
      review,
    }),
    published: repository.publishedCommit !== '',
    unpublishedChanges: repository.publishedCommit !== '' && repository.publishedTree !== tree,
    ...registered(record),
    updatedBy: repository.headBy,
    updatedAt: timeOf(repository.headAt),
    defaultBranch: repository.defaultBranch,
    head: repository.head,
    version: repository.latestVersion,
    publishedVersion: repository.publishedVersion || null,
    createdFrom: null,
    counts: countsOf(repository.counts),
    ...(archivedAt === undefined ? {} : { archivedAt: timeOf(archivedAt) }),
    ...(deletedAt === undefined ? {} : { deletedAt: timeOf(deletedAt) }),
  };
  return { status: 200, body, etag: [courseSelf(repository, record), tree], head: repository.head };
}

/** A course as it was when it had been made: not yet published, nothing of it in review. */
export function newCourse(first: CourseRepository, record: CourseRecord): Reply {
  const repository = { ...first, publishedCommit: '', publishedTree: '', publishedVersion: 0, latestVersion: 0 };
  return staffCourse({ repository, record, review: { state: 'none', tree: '', knownTree: '' }, atHead: false });
}

/** A course as learners see it: its published snapshot, and no hash of anything they do not see whole. */
export function learnersCourse(repository: CourseRepository, record: CourseRecord): Reply {
  const body: CourseJson = {
    id: repository.courseId,
    ...describe(repository.root?.fields),
    status: record.archivedAt === undefined ? 'published' : 'archived',
    published: true,
    unpublishedChanges: false,
    ...registered(record),
    updatedBy: repository.headBy,
    updatedAt: timeOf(repository.headAt),
    defaultBranch: null,
    head: null,
    version: repository.publishedVersion,
    publishedVersion: repository.publishedVersion || null,
    createdFrom: null,
    counts: countsOf(repository.counts),
  };
  return { status: 200, body, etag: [] };
}

/** A course as lists show it. */
export function listedCourse(card: CourseCard): CourseJson {
  return {
    id: card.courseId,
    ...describe(card.fields),
    status: card.status as CourseJson['status'],
    published: card.published,
    unpublishedChanges: card.unpublishedChanges,
    owner: card.owner,
    createdBy: card.createdBy,
    createdAt: timeOf(card.createdAt),
    updatedBy: card.updatedBy,
    updatedAt: timeOf(card.updatedAt),
    defaultBranch: orNull(card.defaultBranch),
    head: orNull(card.head),
    version: card.version,
    publishedVersion: card.publishedVersion || null,
    createdFrom: null,
    counts: countsOf(card.counts),
  };
}

function registered(record: CourseRecord): Pick<CourseJson, 'owner' | 'createdBy' | 'createdAt'> {
  return { owner: record.owner, createdBy: record.createdBy, createdAt: timeOf(record.createdAt) };
}

function countsOf(counts: CourseRepository['counts']): CourseJson['counts'] {
  const { units = 0, modules = 0, lessons = 0, assignments = 0 } = counts ?? {};
  return { units, modules, lessons, assignments };
}
