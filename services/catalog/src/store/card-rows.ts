import type { Database, Statement } from '@coursewright/platform/sql';
import type { CardKind, ShownCourse } from '../domain/card.js';
import type { Filters, ListQuery, Scope, SortKey } from '../domain/list-query.js';
import { staffRoles } from '../domain/member.js';
import type { Cards, Facet } from '../operations/ports.js';

const valuesPerFacet = 50;

/** A statement and its parameters while they are put together; a value only ever enters as a parameter. */
class Builder {
  readonly values: unknown[] = [];
  /** A parameter with its cast. */
  bind(value: unknown, type: string): string {
    this.values.push(value);
    return `$${this.values.length}::${type}`;
  }
}

const sortTypes: Record<SortKey, string> = {
  updatedAt: 'timestamptz',
  createdAt: 'timestamptz',
  title: 'text',
  relevance: 'float8',
};

/** The statement of one page: at most one more row than the limit. */
export function pageStatement(query: ListQuery, scope: Scope): { text: string; values: unknown[] } {
  const builder = new Builder();
  const tsquery = query.filters.query === undefined ? '' : tsqueryOf(builder, query.filters.query);
  const columns: Record<SortKey, string> = {
    updatedAt: 'updated_at',
    createdAt: 'created_at',
    title: 'title_key',
    relevance: `ts_rank(search, ${tsquery})::float8`,
  };
  const { key, descending } = query.sort;
  const direction = descending ? 'DESC' : 'ASC';
  const conditions = filterConditions(builder, query.filters, tsquery);
  if (query.after !== undefined) {
    const value = builder.bind(query.after.value, sortTypes[key]);
    const id = builder.bind(query.after.courseId, 'uuid');
    conditions.push(`(${columns[key]}, course_id) ${descending ? '<' : '>'} (${value}, ${id})`);
  }
  const limit = builder.bind(query.limit + 1, 'int');
  const part = (visible: string): string =>
    `SELECT shown, course_id, ${columns[key]} AS sort_value FROM course_card
     WHERE ${[visible, ...conditions].join(' AND ')}
     ORDER BY ${columns[key]} ${direction}, course_id ${direction} LIMIT ${limit}`;
  const { prelude, visible } = visibility(builder, scope);
  const [first, second] = visible.map(part);
  const text =
    second === undefined
      ? `${prelude} ${first}`
      : `${prelude} SELECT * FROM ((${first}) UNION ALL (${second})) AS cards
         ORDER BY sort_value ${direction}, course_id ${direction} LIMIT ${limit}`;
  return { text, values: builder.values };
}

/** The statement that counts, for each facet, how many cards of the whole list have each value. */
export function facetStatement(query: ListQuery, scope: Scope): { text: string; values: unknown[] } {
  const builder = new Builder();
  const tsquery = query.filters.query === undefined ? '' : tsqueryOf(builder, query.filters.query);
  const conditions = filterConditions(builder, query.filters, tsquery);
  const { prelude, visible } = visibility(builder, scope);
  const hits = visible
    .map(
      (kind) =>
        `SELECT topic, level, status, language, tags, tag_names FROM course_card WHERE ${[kind, ...conditions].join(' AND ')}`,
    )
    .join(' UNION ALL ');
  const count = (name: string, from: string, column: string): string =>
    `(SELECT '${name}' AS name, ${column} AS value, count(*) AS count FROM ${from} WHERE ${column} <> ''
      GROUP BY 2 ORDER BY 3 DESC, 2 LIMIT ${valuesPerFacet})`;
  const counts = [...['topic', 'level', 'status', 'language'].map((name) => count(name, 'hits', name)), countTags];
  const withHits = prelude === '' ? `WITH hits` : `${prelude}, hits`;
  return { text: `${withHits} AS MATERIALIZED (${hits}) ${counts.join(' UNION ALL ')}`, values: builder.values };
}

// Of a tag's spellings the commonest is shown; cards of before tags had names of their own have none.
const countTags = `(SELECT 'tag' AS name, (array_agg(spelling ORDER BY n DESC, spelling))[1] AS value, sum(n)::bigint AS count
    FROM (SELECT tag, coalesce(spelling, tag) AS spelling, count(*) AS n FROM hits, unnest(tags, tag_names) AS t (tag, spelling)
          WHERE tag <> '' GROUP BY 1, 2) AS spellings
    GROUP BY tag ORDER BY 3 DESC, 2 LIMIT ${valuesPerFacet})`;

const tsqueryOf = (builder: Builder, query: string): string => builder.bind(query, 'tsquery');

function filterConditions(builder: Builder, filters: Filters, tsquery: string): string[] {
  const conditions = [`shelf = ${builder.bind(filters.shelf, 'text')}`];
  for (const name of ['topic', 'level', 'language', 'status', 'owner'] as const) {
    const value = filters[name];
    if (value !== undefined) conditions.push(`${name} = ${builder.bind(value, 'text')}`);
  }
  if (filters.published !== undefined) conditions.push(`published = ${builder.bind(filters.published, 'boolean')}`);
  if (filters.tag !== undefined) conditions.push(`tags @> ARRAY[${builder.bind(filters.tag, 'text')}]`);
  if (tsquery !== '') conditions.push(`search @@ ${tsquery}`);
  return conditions;
}

/** One condition for each kind of card a scope holds. For a person the two cannot hold the same course. */
function visibility(builder: Builder, scope: Scope): { prelude: string; visible: string[] } {
  const kind = (name: CardKind): string => `kind = ${builder.bind(name, 'text')}`;
  if (scope.kind !== 'person') return { prelude: '', visible: [kind(scope.kind === 'all' ? 'draft' : 'public')] };
  const subject = builder.bind(scope.subject, 'text');
  const roles = builder.bind(staffRoles, 'text[]');
  return {
    prelude: `WITH staff AS MATERIALIZED (
        SELECT course_id FROM course_registry WHERE owner = ${subject}
        UNION SELECT course_id FROM member WHERE subject = ${subject} AND role = ANY(${roles}))`,
    visible: [
      `${kind('draft')} AND course_id IN (SELECT course_id FROM staff)`,
      `${kind('public')} AND course_id NOT IN (SELECT course_id FROM staff)`,
    ],
  };
}

/** Texts differ by what is asked for: such a statement is planned for its very values and not kept. */
const once = (name: string, text: string): Statement => ({ name, text, varies: true });

/** Pages of cards by one statement each. */
export function cardRows(database: Database): Cards {
  return {
    async page(query, scope) {
      const { text, values } = pageStatement(query, scope);
      const rows = await database.rows<{ shown: ShownCourse; sort_value: Date | string | number }>(
        once('card_page', text),
        values,
      );
      return rows.map(({ shown, sort_value: value }) => ({
        shown,
        sortValue: value instanceof Date ? value.toISOString() : value,
      }));
    },
    async facets(query, scope) {
      const { text, values } = facetStatement(query, scope);
      const rows = await database.rows<{ name: string; value: string; count: number }>(
        once('card_facets', text),
        values,
      );
      return [...Map.groupBy(rows, (row) => row.name)].map(([name, own]): Facet => ({
        name,
        values: own.map(({ value, count }) => ({ value, count })),
      }));
    },
  };
}
