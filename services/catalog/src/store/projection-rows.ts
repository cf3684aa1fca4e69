import { cardForm, type Card } from '../domain/card.js';
import { searchVector } from '../domain/search-vector.js';
import { nothingKnown, type CourseFacts } from '../domain/facts.js';
import type { Projection } from '../operations/ports.js';
import { courseColumns, toCourse, type CourseRow } from './registry-rows.js';

const statements = {
  lock: {
    name: 'projection_lock',
    text: `SELECT pg_advisory_xact_lock(hashtextextended('course ' || $1::text, 0))`,
  },
  read: {
    name: 'projection_read',
    text: `SELECT ${courseColumns}, p.facts FROM (SELECT $1::uuid AS course_id) AS c
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
             INSERT INTO course_projection (course_id, facts) VALUES ($1::uuid, $2::jsonb)
             ON CONFLICT (course_id) DO UPDATE SET facts = excluded.facts
           ), gone AS (
             DELETE FROM course_card WHERE course_id = $1::uuid AND kind <> ALL($4::text[])
           )
           INSERT INTO course_card (course_id, kind, shelf, owner, topic, level, language, tags, tag_names, status,
                                    published, title_key, created_at, updated_at, shown, search)
           SELECT $1::uuid, c.kind, c.shelf, c.owner, c.topic, c.level, c.language, c.tags, c.tag_names, c.status,
                  c.published, c.title_key, c.created_at, c.updated_at, c.shown, c.search::tsvector
           FROM jsonb_to_recordset($3::jsonb) AS c(kind text, shelf text, owner text, topic text, level text, language text,
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
  async lock(sql, courseId) {
    await sql.rows(statements.lock, [courseId]);
  },
  async read(sql, courseId) {
    type Row = (CourseRow | { readonly course_id: null }) & { readonly facts: CourseFacts | null };
    const [row] = await sql.rows<Row>(statements.read, [courseId]);
    const course = row === undefined || row.course_id === null ? undefined : toCourse(row);
    return { course, facts: row?.facts ?? nothingKnown };
  },
  async outdated(sql, after, limit) {
    const rows = await sql.rows<{ course_id: string }>(statements.outdated, [after, limit]);
    return rows.map((row) => row.course_id);
  },
  async write(sql, courseId, { facts, changed, kinds }) {
    const cards = JSON.stringify(changed.map(toColumns));
    await sql.rows(statements.write, [courseId, JSON.stringify(facts), cards, kinds]);
  },
};

function toColumns(card: Card): Record<string, unknown> {
  const { words, titleKey, tagNames, createdAt, updatedAt, ...rest } = card;
  const named = { title_key: titleKey, tag_names: tagNames, created_at: createdAt, updated_at: updatedAt };
  return { ...rest, ...named, search: searchVector(words) };
}
