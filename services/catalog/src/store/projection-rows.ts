import { cardForm, type Card } from '../domain/card.js';
import { searchVector } from '../domain/search-vector.js';
import { nothingKnown, type CourseFacts } from '../domain/facts.js';
import type { Projection } from '../operations/ports.js';
import { courseColumns, toCourse, type CourseRow } from './registry-rows.js';

const statements = {
  lock: {
    name: 'projection_lock',
    text: `SELECT pg_advisory_xact_lock(hashtextextended('course ' || course_id, 0)) FROM unnest($1::text[]) AS course_id`,
  },
  read: {
    name: 'projection_read',
    text: `SELECT c.course_id::text AS known_id, ${courseColumns}, p.facts FROM unnest($1::text[]::uuid[]) AS c(course_id)
           LEFT JOIN course_registry r ON r.course_id = c.course_id LEFT JOIN course_projection p ON p.course_id = c.course_id`,
  },
  outdated: {
    name: 'projection_outdated',
    text: `SELECT DISTINCT course_id FROM course_card
           WHERE (shown->>'form') IS DISTINCT FROM '${cardForm}' AND course_id > $1::uuid ORDER BY course_id LIMIT $2::int`,
  },
  write: {
    name: 'projection_write',
    text: `WITH facts AS (
             INSERT INTO course_projection (course_id, facts)
             SELECT f.course_id, f.facts FROM jsonb_to_recordset($1::jsonb) AS f(course_id uuid, facts jsonb) ORDER BY f.course_id
             ON CONFLICT (course_id) DO UPDATE SET facts = excluded.facts
           ), gone AS (
             DELETE FROM course_card AS c USING jsonb_to_recordset($1::jsonb) AS f(course_id uuid, kinds text[])
             WHERE c.course_id = f.course_id AND c.kind <> ALL(f.kinds)
           )
           INSERT INTO course_card (course_id, kind, shelf, owner, topic, level, language, tags, tag_names, status,
                                    published, title_key, created_at, updated_at, shown, search)
           SELECT c.course_id, c.kind, c.shelf, c.owner, c.topic, c.level, c.language, c.tags, c.tag_names, c.status,
                  c.published, c.title_key, c.created_at, c.updated_at, c.shown, c.search::tsvector
           FROM jsonb_to_recordset($2::jsonb) AS c(course_id uuid, kind text, shelf text, owner text, topic text, level text, language text,
                  tags text[], tag_names text[], status text, published boolean, title_key text, created_at timestamptz,
                  updated_at timestamptz, shown jsonb, search text)
           ON CONFLICT (course_id, kind) DO UPDATE SET
             shelf = excluded.shelf, owner = excluded.owner, topic = excluded.topic, level = excluded.level,
             language = excluded.language, tags = excluded.tags, tag_names = excluded.tag_names, status = excluded.status,
             published = excluded.published, title_key = excluded.title_key, created_at = excluded.created_at, updated_at = excluded.updated_at,
             shown = excluded.shown, search = excluded.search`,
  },
};

/** The tables that follow from events. */
export const projectionRows: Projection = {
  async lock(sql, courseIds) {
    await sql.rows(statements.lock, [[...courseIds].sort()]);
  },
  async read(sql, courseIds) {
    type Known = { readonly known_id: string; readonly facts: CourseFacts | null };
    type Row = (CourseRow | { readonly course_id: null }) & Known;
    const rows = await sql.rows<Row>(statements.read, [courseIds]);
    return new Map(
      rows.map((row) => [
        row.known_id,
        { course: row.course_id === null ? undefined : toCourse(row), facts: row.facts ?? nothingKnown },
      ]),
    );
  },
  async outdated(sql, after, limit) {
    const rows = await sql.rows<{ course_id: string }>(statements.outdated, [after, limit]);
    return rows.map((row) => row.course_id);
  },
  async write(sql, changes) {
    const facts = changes.map((one) => ({ course_id: one.courseId, facts: one.facts, kinds: one.kinds }));
    const cards = changes.flatMap(({ courseId, changed }) => changed.map((card) => toColumns(courseId, card)));
    await sql.rows(statements.write, [JSON.stringify(facts), JSON.stringify(cards)]);
  },
};

function toColumns(courseId: string, card: Card): Record<string, unknown> {
  const { words, titleKey, tagNames, createdAt, updatedAt, ...rest } = card;
  const named = { title_key: titleKey, tag_names: tagNames, created_at: createdAt, updated_at: updatedAt };
  return { course_id: courseId, ...rest, ...named, search: searchVector(words) };
}
