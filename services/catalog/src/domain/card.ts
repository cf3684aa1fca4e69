import type { Course } from './course.js';
import { hasUnpublishedChanges, statusOf, type Counts, type CourseFacts, type Snapshot } from './facts.js';
import { clip, fold } from './fold.js';

/** Who sees a card: staff of the course the draft one, everybody else the public one. */
export type CardKind = 'draft' | 'public';

/** Where a card stands: lists read the open shelf unless another is asked for. */
export type Shelf = 'open' | 'archived' | 'deleted';

/** What a list shows of a course. Times are RFC 3339, so that a cached card equals a fresh one. */
export interface ShownCourse {
  readonly courseId: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly status: string;
  readonly published: boolean;
  readonly unpublishedChanges: boolean;
  readonly owner: string;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly updatedBy: string;
  readonly updatedAt: string;
  readonly defaultBranch: string;
  readonly head: string;
  readonly version: number;
  readonly publishedVersion: number;
  readonly counts: Counts;
}

/** A card: what is shown, and what it is filtered, sorted and found by. */
export interface Card {
  readonly kind: CardKind;
  readonly shelf: Shelf;
  readonly owner: string;
  readonly topic: string;
  readonly level: string;
  readonly language: string;
  readonly tags: readonly string[];
  readonly status: string;
  readonly published: boolean;
  readonly titleKey: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly shown: ShownCourse;
  /** Folded texts by weight. */
  readonly words: { readonly title: string; readonly labels: string; readonly description: string };
}

const longestLabel = 200;
const mostTags = 100;
// Far below the megabyte at which PostgreSQL refuses a search vector.
const longestSearched = 20_000;

/** The cards of a course: none before it is registered or known, a public one only while it is published. */
export function cardsOf(course: Course | undefined, facts: CourseFacts): Card[] {
  if (course === undefined || facts.head === undefined) return [];
  const cards = [draftCard(course, facts, facts.head)];
  if (facts.published !== undefined) cards.push(publicCard(course, facts.published));
  return cards;
}

function draftCard(course: Course, facts: CourseFacts, head: NonNullable<CourseFacts['head']>): Card {
  return makeCard('draft', course, head, {
    status: statusOf(facts, course.archivedAt !== undefined),
    published: facts.published !== undefined,
    unpublishedChanges: hasUnpublishedChanges(facts),
    defaultBranch: head.branch,
    head: head.commit,
    version: facts.latestVersion,
    publishedVersion: facts.published?.version ?? 0,
  });
}

/** Nothing of the draft is in it: no head, no newer version, no sign of unpublished changes or of a review. */
function publicCard(course: Course, published: NonNullable<CourseFacts['published']>): Card {
  return makeCard('public', course, published, {
    status: course.archivedAt === undefined ? 'published' : 'archived',
    published: true,
    unpublishedChanges: false,
    defaultBranch: '',
    head: '',
    version: published.version,
    publishedVersion: published.version,
  });
}

type Standing = Pick<
  ShownCourse,
  'status' | 'published' | 'unpublishedChanges' | 'defaultBranch' | 'head' | 'version' | 'publishedVersion'
>;

function makeCard(kind: CardKind, course: Course, snapshot: Snapshot, standing: Standing): Card {
  const title = textOf(snapshot.fields['title']);
  const topic = label(snapshot.fields['topic']);
  const tags = tagsOf(snapshot.fields['tags']);
  const shown: ShownCourse = {
    courseId: course.courseId,
    fields: shownFields(snapshot.fields),
    ...standing,
    owner: course.owner,
    createdBy: course.createdBy,
    createdAt: course.createdAt.toISOString(),
    updatedBy: snapshot.by,
    updatedAt: snapshot.at,
    counts: snapshot.counts,
  };
  return {
    kind,
    shelf: course.deletedAt !== undefined ? 'deleted' : course.archivedAt !== undefined ? 'archived' : 'open',
    owner: course.owner,
    topic,
    level: label(snapshot.fields['cefrLevel']),
    language: label(snapshot.fields['language']),
    tags,
    status: standing.status,
    published: standing.published,
    titleKey: clip(fold(title), longestLabel),
    createdAt: shown.createdAt,
    updatedAt: shown.updatedAt,
    shown,
    words: {
      title: clip(fold(title), longestSearched),
      labels: fold([topic, ...tags].join(' ')),
      description: clip(fold(textOf(snapshot.fields['description'])), longestSearched),
    },
  };
}

const fieldNames = ['title', 'description', 'topic', 'cefrLevel', 'language', 'tags'];

function shownFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    fieldNames.filter((name) => Object.hasOwn(fields, name)).map((name) => [name, fields[name]]),
  );
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const label = (value: unknown): string => clip(textOf(value), longestLabel);

function tagsOf(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return [...new Set(value.map(label).filter((tag) => tag !== ''))].slice(0, mostTags);
}
