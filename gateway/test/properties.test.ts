import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createCursors } from '../src/http/cursor.js';
import { closest, etagOf, isKnown, readTags } from '../src/http/etag.js';
import { courseStatus } from '../src/present/course-status.js';
import { createRoutes } from '../src/routes/table.js';
import { seedCourse, startSystem, type System } from './support/system.js';

const routes = createRoutes('http://gateway.test').filter(({ permission }) => permission.of !== 'public');
let system: System;
let courseId: string;
let unitId: string;
beforeAll(async () => {
  system = await startSystem();
  ({ courseId } = seedCourse(system));
  const unit = await system.ask('POST', `/api/courses/${courseId}/units`, { as: 'owner', json: { title: 'U' } });
  unitId = String(unit.body.id);
});
afterAll(() => system.stop());

const oddText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '\0',
    '\ud800',
    '__proto__',
    '$where',
    "' OR 1=1 --",
    '../..',
    'null',
    '-1',
    '1e999',
    'x'.repeat(5000),
  ),
);
const oddJson = fc.oneof(
  fc.jsonValue(),
  fc.object(),
  oddText,
  fc.dictionary(
    fc.constantFrom('title', 'fields', 'position', 'parentId', 'name', 'tags'),
    fc.oneof(fc.jsonValue(), oddText),
  ),
);
const encode = (text: string): string => encodeURIComponent(text.toWellFormed());

describe('whatever is sent', () => {
  it('is never answered with a 5xx, and every error is a problem', async () => {
    const requests = fc.record({
      route: fc.constantFrom(...routes),
      id: fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom('COURSE', 'UNIT') },
        { weight: 1, arbitrary: oddText.map(encode) },
      ),
      query: fc.oneof(
        fc.constant<[string, string][]>([]),
        fc.array(
          fc.tuple(
            fc.oneof(fc.constantFrom('branch', 'at', 'limit', 'cursor', 'depth', 'from', 'query', 'format'), oddText),
            oddText,
          ),
          { maxLength: 3 },
        ),
      ),
      body: fc.oneof(fc.constantFrom({ title: 'T' }, { name: 'b' }), oddJson),
      broken: fc.boolean(),
      ifMatch: fc.constantFrom('*', '"a.b.c"', 'W/"x"', '""', 'nonsense', undefined),
      key: fc.constantFrom('k', 'a b', undefined),
    });
    const statuses = new Map<number, number>();
    const run = fc.asyncProperty(requests, async ({ route, id, query, body, broken, ifMatch, key }) => {
      const known = id === 'COURSE' ? courseId : id === 'UNIT' ? unitId : id;
      const path = route.path.replace('{id}', known).replace('{name}', id === 'UNIT' ? 'main' : encode(id));
      const search = query.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
      const json = JSON.stringify(body) ?? '';
      const raw = route.method === 'get' ? {} : { raw: broken ? json.slice(0, -1) : json };
      const answer = await system.ask(route.method.toUpperCase(), `/api${path}?${search}`, {
        as: 'owner',
        roles: ['author'],
        ...raw,
        headers: {
          'content-type': route.body?.kind === 'archive' ? 'application/gzip' : 'application/json',
          ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }),
          ...(key === undefined ? {} : { 'idempotency-key': key }),
        },
      });
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      expect(answer.status).toBeLessThan(500);
      if (answer.status >= 400) {
        expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
        expect(answer.body.reason).toMatch(/^[A-Z][A-Z_]+$/);
      }
      // What a lucky request did to the seed is undone for the next one.
      if (route.method === 'delete' && answer.status === 204) {
        system.catalog.courses.get(courseId)!.record.deletedAt = undefined;
        const repository = system.versioning.repository(courseId);
        const [first] = [...repository.commits.values()].filter(({ tree }) => tree[unitId]);
        repository.branches.set('main', first!.hash);
      }
    });
    await fc.assert(run, { numRuns: 600 });
    // What is refused for one and the same reason tells nothing: some must have come through, to many ends.
    const times = (from: number, to: number): number =>
      [...statuses].filter(([status]) => status >= from && status < to).reduce((sum, [, count]) => sum + count, 0);
    expect(times(200, 300)).toBeGreaterThan(30);
    expect(times(401, 500)).toBeGreaterThan(30);
  }, 120_000);

  it('is never answered with a 5xx for any header of its own', async () => {
    const header = fc.string({
      unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
      minLength: 1,
      maxLength: 60,
    });
    const names = fc.constantFrom(
      'if-none-match',
      'authorization',
      'traceparent',
      'x-request-id',
      'content-type',
      'accept',
      'range',
    );
    const run = fc.asyncProperty(names, header, async (name, value) => {
      const answer = await system.ask('GET', `/api/courses/${courseId}`, { as: 'owner', headers: { [name]: value } });
      expect(answer.status).toBeLessThan(500);
    });
    await fc.assert(run, { numRuns: 200 });
  });
});

describe('entity tags', () => {
  const part = fc.stringMatching(/^[A-Za-z0-9_-]{1,43}$/);
  it('are known again, alone or among others, weak or strong', () => {
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 3 }),
        fc.string(),
        fc.array(part, { maxLength: 3 }),
        fc.boolean(),
        (parts, json, others, weak) => {
          const etag = etagOf(parts, json);
          const header = [...others.map((other) => `"${other}"`), weak ? `W/${etag}` : etag].join(', ');
          expect(isKnown(header, etag)).toBe(true);
          expect(readTags(etag, 'if-match')).toEqual([etag.slice(1, -1)]);
          expect(etagOf(parts, `${json} `)).not.toBe(etag);
        },
      ),
    );
  });

  it('of several, the one that agrees most with what is there is taken', () => {
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 2, maxLength: 2 }),
        fc.array(fc.array(part, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 5 }),
        (present, tags) => {
          const all = [...tags, [...present, 'rest']];
          const match = closest({ any: false, parts: all[0]!, others: all.slice(1) }, present);
          expect(match.any ? [] : match.parts.slice(0, 2)).toEqual(present);
        },
      ),
    );
  });
});

describe('cursors', () => {
  const cursors = createCursors('k'.repeat(32));
  it('open on their list alone, and only as they were signed', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.string({ unit: 'grapheme', minLength: 1 }),
        fc.nat(),
        (list, other, inner, at) => {
          const cursor = cursors.seal(list, inner);
          expect(cursors.seal(list, inner)).toBe(cursor);
          expect(cursors.open(list, cursor)).toBe(inner.toWellFormed());
          if (list.toWellFormed() !== other.toWellFormed())
            expect(() => cursors.open(other, cursor)).toThrow('does not belong');
          if (inner.length > 4) expect(Buffer.from(cursor, 'base64url').includes(inner)).toBe(false);
          const i = at % cursor.length;
          const bent = cursor.slice(0, i) + (cursor[i] === 'A' ? 'B' : 'A') + cursor.slice(i + 1);
          expect(() => cursors.open(list, bent)).toThrow('does not belong');
        },
      ),
    );
  });
});

describe('the status of a course', () => {
  const tree = fc.constantFrom('', 'a', 'b');
  it('is archived before all; a review counts for the head alone; nothing is published without a tree', () => {
    const facts = fc.record({
      archived: fc.boolean(),
      headTree: fc.constantFrom('a', 'b'),
      publishedTree: tree,
      review: fc.record({ state: fc.constantFrom('none', 'in_review', 'approved'), tree }),
    });
    fc.assert(
      fc.property(facts, (one) => {
        const status = courseStatus(one);
        if (one.archived) expect(status).toBe('archived');
        else if (status === 'in_review' || status === 'approved') {
          expect([one.review.state, one.review.tree]).toEqual([status, one.headTree]);
        } else expect(status).toBe(one.publishedTree === '' ? 'draft' : 'published');
      }),
    );
  });
});
