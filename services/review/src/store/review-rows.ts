import type { LiveReview } from '../domain/review.js';
import type { Heads, Reviews } from '../operations/ports.js';

interface StateRow {
  readonly id: string | null;
  readonly state: LiveReview['state'];
  readonly tree: string;
  readonly due_at: Date | null;
  readonly known_tree: string | null;
}

const statements = {
  // One statement, so that review and head are of one moment.
  read: {
    name: 'review_read',
    text: `SELECT r.id::text AS id, r.state, r.tree, r.due_at, h.tree AS known_tree
           FROM (SELECT $1::uuid AS course_id) AS c
           LEFT JOIN course_head h ON h.course_id = c.course_id
           LEFT JOIN LATERAL (SELECT id, state, tree, due_at FROM review
             WHERE course_id = c.course_id AND state IN ('in_review', 'approved')
             ORDER BY submitted_at DESC, id DESC LIMIT 1) AS r ON true`,
  },
  // With every save: typed upserts, one for each course in a transaction of Prisma's, cost several times as much.
  putHeads: {
    name: 'head_put',
    text: `INSERT INTO course_head (course_id, "commit", tree, at)
           SELECT * FROM unnest($1::text[]::uuid[], $2::text[], $3::text[], $4::timestamptz[]) AS head(course_id, "commit", tree, at)
           ORDER BY course_id
           ON CONFLICT (course_id) DO UPDATE SET "commit" = excluded."commit", tree = excluded.tree, at = excluded.at`,
  },
  removeHead: { name: 'head_remove', text: 'DELETE FROM course_head WHERE course_id = $1::uuid' },
};

/** The table of submissions. */
export const reviewRows: Reviews = {
  async read(sql, courseId) {
    const [row] = await sql.rows<StateRow>(statements.read, [courseId]);
    return {
      review:
        row == null || row.id === null
          ? undefined
          : { id: row.id, state: row.state, tree: row.tree, dueAt: row.due_at ?? undefined },
      head: row?.known_tree == null ? undefined : { tree: row.known_tree },
    };
  },
};

/** The table of heads. */
export const headRows: Heads = {
  async put(sql, heads) {
    const columns = (['courseId', 'commit', 'tree', 'at'] as const).map((name) => heads.map((head) => head[name]));
    await sql.rows(statements.putHeads, columns);
  },
  async remove(sql, courseId) {
    await sql.rows(statements.removeHead, [courseId]);
  },
};
