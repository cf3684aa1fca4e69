import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { createTestDatabase, type TestDatabase } from '@coursewright/platform/testing/servers';
import {
  readListRequest,
  writeCursor,
  type ListQuery,
  type ListRequest,
  type Scope,
} from '../src/domain/list-query.js';
import { facetStatement, pageStatement } from '../src/store/card-rows.js';
import { registryRows } from '../src/store/registry-rows.js';
import { staffRoles } from '../src/domain/member.js';

const courses = 100_000;
let testDatabase: TestDatabase;
let database: PgDatabase;

// A skewed catalog: a fifth published, few archived, topics and tags of very different size.
const fill = `
  CREATE TEMP TABLE g AS SELECT n, ('019a0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id,
    'owner' || (n % 5000) AS owner, now() - n * interval '1 minute' AS at FROM generate_series(1, ${courses}) AS n;
  INSERT INTO course_registry SELECT id, owner, owner, at, NULL, NULL, 1 FROM g;
  INSERT INTO course_projection SELECT id, '{"latestVersion": 0}' FROM g;
  INSERT INTO member SELECT id, 'member' || (n % 9000), CASE n % 3 WHEN 0 THEN 'learner' ELSE 'author' END, at, owner FROM g;
  INSERT INTO course_card
    SELECT id, kind, CASE WHEN n % 50 = 0 THEN 'archived' WHEN n % 70 = 0 THEN 'deleted' ELSE 'open' END, owner,
      'topic' || (n % 7) * (n % 400), 'ABC'::char(1) || (n % 2 + 1), CASE n % 9 WHEN 0 THEN 'en' ELSE 'l' || n % 9 END,
      ARRAY['tag' || n % 11, 'rare' || n % 3000], CASE WHEN n % 5 = 0 THEN 'published' WHEN n % 13 = 0 THEN 'in_review' ELSE 'draft' END,
      n % 5 = 0, 'course ' || md5(n::text), at, at, jsonb_build_object('courseId', id),
      to_tsvector('simple', 'course ' || n || ' word' || n % 1000 || ' common' || n % 4)
    FROM g, (VALUES ('draft'), ('public')) AS k(kind) WHERE kind = 'draft' OR n % 5 = 0;
  ANALYZE;`;

beforeAll(async () => {
  testDatabase = await createTestDatabase('explain', new URL('../prisma/migrations', import.meta.url).pathname);
  database = openDatabase({ url: testDatabase.adminUrl, statementTimeoutMs: 120_000 });
  // Batches of the bulk load only: what is measured is plans, not durability.
  await database.pool.query('SET synchronous_commit = off');
  await database.pool.query(fill);
}, 120_000);
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const empty: ListRequest = {
  query: '',
  topic: '',
  status: '',
  level: '',
  owner: '',
  tag: '',
  language: '',
  sort: '',
  cursor: '',
  limit: 50,
  facets: false,
  deleted: false,
};

const filters: Partial<ListRequest>[] = [
  {},
  { topic: 'topic12' },
  { status: 'in_review' },
  { status: 'archived' },
  { published: true },
  { published: false },
  { level: 'A1' },
  { owner: 'owner77' },
  { tag: 'tag3' },
  { tag: 'rare17' },
  { language: 'en' },
  { query: 'word17' },
  { query: 'common1 word17' },
  { query: '海' },
  { query: '上海东边 or "common1 word17" -word3' },
  { deleted: true },
  { topic: 'topic0', level: 'A1', language: 'l4', query: 'common2' },
  { topic: 'no such topic', tag: 'tag3' },
];
const sorts = ['', 'updatedAt', '-updatedAt', 'title', '-title', 'createdAt', '-createdAt'];
const scopes: Scope[] = [
  { kind: 'all' },
  { kind: 'public' },
  { kind: 'person', subject: 'owner77' },
  { kind: 'person', subject: 'member13' },
];

const after = (query: ListQuery): string =>
  writeCursor(query, {
    value:
      query.sort.key === 'relevance'
        ? 0.05
        : query.sort.key === 'title'
          ? 'course 8'
          : new Date(Date.now() - 20_000 * 60_000).toISOString(),
    courseId: '019a0000-0000-7000-8000-000000000100',
  });

async function planOf(statement: { text: string; values: unknown[] }): Promise<string> {
  const { rows } = await database.pool.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${statement.text}`, statement.values);
  return rows.map((row) => row['QUERY PLAN']).join('\n');
}

describe(`list queries over ${courses} courses`, () => {
  it('never read a whole table, whatever is filtered, sorted and continued, whoever asks', async () => {
    const guilty: string[] = [];
    let plans = 0;
    for (const scope of scopes) {
      for (const filter of filters) {
        for (const sort of sorts) {
          const first = readListRequest({ ...empty, ...filter, sort });
          for (const query of [first, readListRequest({ ...empty, ...filter, sort, cursor: after(first) })]) {
            const plan = await planOf(pageStatement(query, scope));
            plans += 1;
            if (/Seq Scan/.test(plan)) guilty.push(`${JSON.stringify([scope, filter, sort])}\n${plan}`);
          }
        }
      }
    }
    expect(guilty).toEqual([]);
    expect(plans).toBe(scopes.length * filters.length * sorts.length * 2);
  }, 120_000);

  it('read a narrow list from the index made for it', async () => {
    const made: [Partial<ListRequest>, string][] = [
      [{}, 'course_card_updated'],
      [{ sort: 'title' }, 'course_card_title'],
      [{ sort: '-createdAt' }, 'course_card_created'],
      [{ topic: 'topic12' }, 'course_card_topic'],
      [{ status: 'in_review' }, 'course_card_status'],
      [{ owner: 'owner77' }, 'course_card_owner'],
      [{ published: true }, 'course_card_published'],
      [{ level: 'C9' }, 'course_card_level'],
      [{ language: 'xx' }, 'course_card_language'],
      [{ tag: 'rare17' }, 'course_card_tags'],
      [{ query: 'word17' }, 'course_card_search'],
    ];
    for (const [filter, index] of made)
      expect(await planOf(pageStatement(readListRequest({ ...empty, ...filter }), { kind: 'all' }))).toContain(index);
  });

  it('count facets of a narrowed list without reading the whole table', async () => {
    for (const filter of [{ topic: 'topic12' }, { owner: 'owner77' }, { query: 'word17' }, { tag: 'rare17' }]) {
      const plan = await planOf(facetStatement(readListRequest({ ...empty, ...filter }), { kind: 'all' }));
      expect(plan).not.toMatch(/Seq Scan/);
    }
  });

  it('find out where somebody is staff, and his access, by indexes', async () => {
    const seen: string[] = [];
    const spy = {
      rows: async <T>(statement: { text: string }, values: readonly unknown[] = []): Promise<T[]> => {
        seen.push(await planOf({ text: statement.text, values: [...values] }));
        return [];
      },
    };
    await registryRows.hasRoleAnywhere(spy, 'member13', staffRoles);
    await registryRows.readAccess(spy, '019a0000-0000-7000-8000-000000000100', 'member13');
    await registryRows.listMembers(spy, '019a0000-0000-7000-8000-000000000100', { limit: 50 });
    expect(seen).toHaveLength(3);
    expect(seen.join('\n')).not.toMatch(/Seq Scan/);
  });
});
