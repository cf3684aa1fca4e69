import { createHash } from 'node:crypto';
import { tagKey } from '@coursewright/course-model/tags';
import { isAtMost } from '@coursewright/course-model/text-length';
import type { FieldProblem } from '@coursewright/platform/errors';
import { isId } from '@coursewright/platform/ids';
import type { CardKind, Shelf } from './card.js';
import { invalidRequest, cursorInvalid } from './errors.js';
import { searchQuery } from './search-query.js';

/** What a list may be sorted by. */
export type SortKey = 'updatedAt' | 'title' | 'createdAt' | 'relevance';

/** What cards must equal to be in a list. */
export interface Filters {
  readonly shelf: Shelf;
  readonly topic?: string;
  readonly level?: string;
  readonly language?: string;
  readonly status?: string;
  readonly owner?: string;
  readonly published?: boolean;
  /** Key of a tag. */
  readonly tag?: string;
  /** In PostgreSQL's notation; see `searchQuery`. */
  readonly query?: string;
}

/** A checked list request. */
export interface ListQuery {
  readonly filters: Filters;
  readonly sort: { readonly key: SortKey; readonly descending: boolean };
  readonly limit: number;
  /** The last card of the page before: its sort value (a time as RFC 3339) and its course. */
  readonly after?: { readonly value: string | number; readonly courseId: string };
  readonly facets: boolean;
}

/** Whose cards: all drafts, public ones alone, or those of one person (drafts where he is staff, else public). */
export type Scope =
  { readonly kind: 'all' } | { readonly kind: 'public' } | { readonly kind: 'person'; readonly subject: string };

/** The kinds of card a scope can hold. */
export const kindsOf = (scope: Scope): CardKind[] =>
  scope.kind === 'all' ? ['draft'] : scope.kind === 'public' ? ['public'] : ['draft', 'public'];

/** A list request as it comes; empty means not asked for. */
export interface ListRequest {
  readonly query: string;
  readonly topic: string;
  readonly status: string;
  readonly published?: boolean | undefined;
  readonly level: string;
  readonly owner: string;
  readonly tag: string;
  readonly language: string;
  readonly sort: string;
  readonly cursor: string;
  readonly limit: number;
  readonly facets: boolean;
  readonly deleted: boolean;
}

const statuses = ['draft', 'in_review', 'approved', 'published', 'archived'];
const textFilters = ['topic', 'level', 'language', 'owner', 'tag'] as const;
const longestText = 200;
const defaultLimit = 50;
const mostAtOnce = 200;

/** Checks a list request. Throws invalid_argument INVALID_REQUEST or CURSOR_INVALID. */
export function readListRequest(request: ListRequest): ListQuery {
  const problems: FieldProblem[] = [];
  const wrong = (pointer: string, message: string): void => {
    problems.push({ pointer, code: 'invalid', message });
  };
  for (const name of [...textFilters, 'query'] as const) {
    const value = request[name];
    if (!isAtMost(value, longestText) || value.includes('\0') || !value.isWellFormed())
      wrong(`/${name}`, `must be a text of at most ${longestText} characters`);
  }
  if (request.status !== '' && !statuses.includes(request.status))
    wrong('/status', `must be one of ${statuses.join(', ')}`);
  if (request.limit < 0 || request.limit > mostAtOnce) wrong('/limit', `must be from 1 to ${mostAtOnce}`);
  const sort = readSort(request.sort, request.query !== '');
  if (sort === undefined) wrong('/sort', 'must be updatedAt, title or createdAt, or one of them after a minus');
  if (sort?.key === 'relevance' && request.query === '') wrong('/sort', 'relevance needs a query');
  if (problems.length > 0 || sort === undefined) throw invalidRequest(problems);
  const query = { filters: readFilters(request), sort, limit: request.limit || defaultLimit, facets: request.facets };
  return request.cursor === '' ? query : { ...query, after: readCursor(request.cursor, query) };
}

function readSort(sort: string, hasQuery: boolean): ListQuery['sort'] | undefined {
  if (sort === '') return { key: hasQuery ? 'relevance' : 'updatedAt', descending: true };
  if (sort === 'relevance') return { key: 'relevance', descending: true };
  const descending = sort.startsWith('-');
  const key = descending ? sort.slice(1) : sort;
  return key === 'updatedAt' || key === 'title' || key === 'createdAt' ? { key, descending } : undefined;
}

function readFilters(request: ListRequest): Filters {
  const shelf: Shelf = request.deleted ? 'deleted' : request.status === 'archived' ? 'archived' : 'open';
  const asked = textFilters.filter((name) => request[name] !== '').map((name) => [name, request[name]] as const);
  return {
    shelf,
    ...Object.fromEntries(asked),
    ...(request.tag === '' ? {} : { tag: tagKey(request.tag) }),
    ...(request.query === '' ? {} : { query: searchQuery(request.query) }),
    // The archive is a shelf of its own, so the status has said all there; a deleted course keeps its status.
    ...(request.status === '' || shelf === 'archived' ? {} : { status: request.status }),
    ...(request.published === undefined ? {} : { published: request.published }),
  };
}

type Asked = Pick<ListQuery, 'filters' | 'sort'>;

/** Two requests may share a cursor only when they ask for the same cards in the same order. */
function fingerprint(asked: Asked): string {
  const parts = [asked.sort.key, asked.sort.descending, ...Object.entries(asked.filters).sort()];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 16);
}

/** The cursor that continues a list after one of its cards. */
export function writeCursor(asked: Asked, after: NonNullable<ListQuery['after']>): string {
  const cursor = { v: 1, of: fingerprint(asked), at: after.value, id: after.courseId };
  return Buffer.from(JSON.stringify(cursor)).toString('base64url');
}

function readCursor(text: string, asked: Asked): NonNullable<ListQuery['after']> {
  const cursor = parse(text);
  const { v, of, at, id } = cursor;
  if (v !== 1 || of !== fingerprint(asked) || typeof id !== 'string' || !isId(id)) throw cursorInvalid();
  if (asked.sort.key === 'relevance') {
    if (typeof at !== 'number' || !Number.isFinite(at)) throw cursorInvalid();
  } else if (asked.sort.key === 'title') {
    if (typeof at !== 'string' || !isAtMost(at, longestText) || at.includes('\0') || !at.isWellFormed())
      throw cursorInvalid();
  } else if (typeof at !== 'string' || !/^[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(at) || !isTime(at)) {
    throw cursorInvalid();
  }
  return { value: at, courseId: id };
}

const isTime = (text: string): boolean => !Number.isNaN(Date.parse(text));

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = text.length > 2_000 ? null : JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Whatever it was, it was not ours.
  }
  throw cursorInvalid();
}
