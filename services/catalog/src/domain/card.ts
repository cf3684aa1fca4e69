import { tagKey, uniqueTags } from '@coursewright/course-model/tags';
import { firstPoints } from '@coursewright/course-model/text-length';
import type { Course } from './course.js';
import { hasUnpublishedChanges, statusOf, type Counts, type CourseFacts, type Snapshot } from './facts.js';
import { fold } from './fold.js';
import type { SearchedTexts } from './search-vector.js';

/** Who sees a card: staff of the course the draft one, everybody else the public one. */
export type CardKind = 'draft' | 'public';

/** Where a card stands: lists read the open shelf unless another is asked for. */
export type Shelf = 'open' | 'archived' | 'deleted';

/**
 * Counts the ways in which cards have been made. Cards of an older one are made anew (`refreshCards`); the partial index
 * `course_card_outdated` names it, so a new one needs a migration.
 */
export const cardForm = 2;

/** What a list shows of a course. Times are RFC 3339, so that a cached card equals a fresh one. */
export interface ShownCourse {
  /** How the card was made; stands here because only what this code writes as a whole says surely who wrote it. */
  readonly form: number;
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
  /** Keys of the tags (`tagKey`): what they are filtered and counted by. */
  readonly tags: readonly string[];
  /** The same tags as they are written. */
  readonly tagNames: readonly string[];
  readonly status: string;
  readonly published: boolean;
  readonly titleKey: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly shown: ShownCourse;
  readonly words: SearchedTexts;
}

const longestLabel = 200;
const mostTags = 100;
// The positions of a search vector go no further, and its size stays far below the megabyte that PostgreSQL allows.
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
  const tagNames = tagsOf(snapshot.fields['tags']);
  const shown: ShownCourse = {
    form: cardForm,
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
    tags: tagNames.map(tagKey),
    tagNames,
    status: standing.status,
    published: standing.published,
    titleKey: firstPoints(fold(title), longestLabel),
    createdAt: shown.createdAt,
    updatedAt: shown.updatedAt,
    shown,
    words: {
      title: firstPoints(fold(title), longestSearched),
      labels: [topic, ...tagNames].map(fold),
      description: firstPoints(fold(textOf(snapshot.fields['description'])), longestSearched),
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
const label = (value: unknown): string => firstPoints(textOf(value), longestLabel);

function tagsOf(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  // Commits of before tags were unique may hold several spellings of one.
  return uniqueTags(value.map(label).filter((tag) => tag !== '')).slice(0, mostTags);
}
