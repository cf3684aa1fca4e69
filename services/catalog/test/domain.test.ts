import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { cardsOf } from '../src/domain/card.js';
import { markDeleted, markRestored, type Course } from '../src/domain/course.js';
import { nothingKnown, statusOf, withHead, withPublished, withReview, type CourseFacts } from '../src/domain/facts.js';
import { readListRequest, writeCursor, type ListRequest } from '../src/domain/list-query.js';
import { searchVector } from '../src/domain/search-vector.js';
import { checkMember, rolesOf } from '../src/domain/member.js';

const at = '2026-01-02T03:04:05.678Z';
const counts = { units: 0, modules: 0, lessons: 0, assignments: 0 };
const head = (tree: string): NonNullable<CourseFacts['head']> => ({
  commit: `commit ${tree}`,
  tree,
  at,
  by: 'ann',
  branch: 'main',
  fields: { title: 'Título', topic: 'art', tags: ['b', 'a', 'b', 7] },
  counts,
});
const live = (tree: string): NonNullable<CourseFacts['published']> => ({ ...head(tree), version: 3 });
const course: Course = {
  courseId: '019a0000-0000-7000-8000-000000000001',
  owner: 'ann',
  createdBy: 'ann',
  createdAt: new Date(at),
  archivedAt: undefined,
  deletedAt: undefined,
  revision: 4,
};
const request: ListRequest = {
  query: '',
  topic: '',
  status: '',
  level: '',
  owner: '',
  tag: '',
  language: '',
  sort: '',
  cursor: '',
  limit: 0,
  facets: false,
  deleted: false,
};

describe('the status of a course', () => {
  const draft = withHead(nothingKnown, head('one'));
  const review = (state: 'in_review' | 'approved', tree: string) => ({ id: 'r', state, tree });

  it('follows the review only while the head is exactly the reviewed tree', () => {
    expect(statusOf(draft, false)).toBe('draft');
    expect(statusOf(withReview(draft, review('in_review', 'one')), false)).toBe('in_review');
    expect(statusOf(withReview(draft, review('approved', 'one')), false)).toBe('approved');
    expect(statusOf(withReview(draft, review('approved', 'another')), false)).toBe('draft');
  });

  it('is published from the publication on, also while drafts go on, until a review of the head is open', () => {
    const approved = withReview(draft, review('approved', 'one'));
    const out = withPublished(approved, live('one'));
    expect(statusOf(out, false)).toBe('published');
    const edited = withHead(out, head('two'));
    expect(statusOf(edited, false)).toBe('published');
    expect(statusOf(withReview(edited, review('in_review', 'two')), false)).toBe('in_review');
    expect(statusOf(withReview(edited, review('approved', 'two')), true)).toBe('archived');
  });
});

describe('cards', () => {
  it('do not exist before the course is registered and has a head', () => {
    expect(cardsOf(undefined, withHead(nothingKnown, head('one')))).toEqual([]);
    expect(cardsOf(course, nothingKnown)).toEqual([]);
  });

  it('say nothing of the draft on the public side', () => {
    const facts = { ...withHead(withPublished(nothingKnown, live('one')), head('secret')), latestVersion: 9 };
    const [draft, open] = cardsOf(course, facts);
    expect(draft!.shown).toMatchObject({ head: 'commit secret', version: 9, unpublishedChanges: true });
    expect(open!.shown).toMatchObject({ head: '', version: 3, publishedVersion: 3, unpublishedChanges: false });
    expect(JSON.stringify(open)).not.toContain('secret');
  });

  it('take labels of any type and size without failing', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('title', 'topic', 'tags', 'description', 'cefrLevel'), fc.anything()),
        (fields) => {
          const [card] = cardsOf(course, withHead(nothingKnown, { ...head('one'), fields }));
          searchVector(card!.words);
          expect(card!.titleKey.length).toBeLessThanOrEqual(400);
          expect(card!.tags.every((tag) => typeof tag === 'string' && tag !== '')).toBe(true);
          return true;
        },
      ),
    );
  });

  it('keep each tag once, by what its spellings have in common, and as it was first written', () => {
    const fields = { title: 't', tags: ['Straße', 'STRASSE', 'É', 'e\u0301'] };
    const [card] = cardsOf(course, withHead(nothingKnown, { ...head('one'), fields }));
    expect(card).toMatchObject({ tags: ['strasse', 'é'], tagNames: ['Straße', 'É'] });
  });

  it('stand on the shelf of what befell the course', () => {
    const facts = withHead(nothingKnown, head('one'));
    expect(cardsOf({ ...course, archivedAt: new Date(at) }, facts)[0]!.shelf).toBe('archived');
    expect(cardsOf({ ...course, archivedAt: new Date(at), deletedAt: new Date(at) }, facts)[0]!.shelf).toBe('deleted');
  });
});

describe('list requests', () => {
  it('make a cursor that is read back, and refuse it for another question', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('title', '-title', 'updatedAt', '-createdAt'),
        fc.string({ maxLength: 50 }),
        (sort, topic) => {
          const asked = { ...request, sort, topic: topic.replaceAll('\0', '') };
          fc.pre(asked.topic.isWellFormed());
          const query = readListRequest(asked);
          const after = { value: sort.endsWith('title') ? 'zoë' : at, courseId: course.courseId };
          const cursor = writeCursor(query, after);
          expect(readListRequest({ ...asked, cursor }).after).toEqual(after);
          expect(() => readListRequest({ ...asked, cursor, owner: 'eve' })).toThrow('CURSOR_INVALID');
          expect(() =>
            readListRequest({ ...asked, cursor, sort: sort.startsWith('-') ? sort.slice(1) : `-${sort}` }),
          ).toThrow('CURSOR_INVALID');
          return true;
        },
      ),
    );
  });

  it('refuse anything else as a cursor, and never break over it', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ minLength: 1 }),
          fc.json().map((text) => Buffer.from(text).toString('base64url')),
        ),
        (cursor) => {
          fc.pre(cursor !== '');
          expect(() => readListRequest({ ...request, cursor })).toThrow('CURSOR_INVALID');
          return true;
        },
      ),
    );
    const pictures = readListRequest({ ...request, query: '🎓'.repeat(200), tag: '🎓'.repeat(200) });
    expect(pictures.filters.tag).toBe('🎓'.repeat(200));
    expect(() => readListRequest({ ...request, tag: '🎓'.repeat(201) })).toThrow('INVALID_REQUEST');
    const query = readListRequest(request);
    const wrong = writeCursor(query, { value: '0000-01-01T00:00:00.000Z', courseId: course.courseId });
    expect(() => readListRequest({ ...request, cursor: wrong })).toThrow('CURSOR_INVALID');
  });

  it('name each wrong field', () => {
    const bad = { ...request, status: 'lost', limit: 201, sort: 'owner', topic: 'a\0b' };
    expect(() => readListRequest(bad)).toThrow(
      expect.objectContaining({
        reason: 'INVALID_REQUEST',
        fields: [
          expect.objectContaining({ pointer: '/topic' }),
          expect.objectContaining({ pointer: '/status' }),
          expect.objectContaining({ pointer: '/limit' }),
          expect.objectContaining({ pointer: '/sort' }),
        ],
      }),
    );
  });
});

describe('registry rules', () => {
  it('delete and restore once, under the expected revision', () => {
    const now = new Date(at);
    expect(() => markDeleted(course, now, 3)).toThrow(
      expect.objectContaining({ reason: 'STALE', details: { revision: 4 } }),
    );
    const gone = markDeleted(course, now, 4);
    if (gone.outcome !== 'changed') throw new Error('nothing was deleted');
    expect(gone.course).toMatchObject({ deletedAt: now, revision: 5 });
    expect(markDeleted(gone.course, now, 4)).toEqual({ outcome: 'unchanged' });
    expect(markRestored(gone.course, 5)).toMatchObject({ course: { deletedAt: undefined, revision: 6 } });
    expect(markRestored(course, 1)).toEqual({ outcome: 'unchanged' });
  });

  it('give the owner admin, and nobody a role that is none', () => {
    expect(rolesOf('ann', 'ann', ['reviewer'])).toEqual(['admin', 'reviewer']);
    expect(rolesOf('ann', 'bob', ['learner'])).toEqual(['learner']);
    expect(() => checkMember('service:content', 'admin')).toThrow('INVALID_REQUEST');
    expect(() => checkMember('bob', 'owner')).toThrow('INVALID_REQUEST');
  });
});
