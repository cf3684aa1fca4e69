import type { LiveReview } from '../domain/review.js';
import type { Heads, Reviews } from '../operations/ports.js';
import type { ReviewTx } from './client.js';

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
  // With every save of the course: a typed upsert costs three times as much.
  putHead: {
    name: 'head_put',
    text: `INSERT INTO course_head (course_id, "commit", tree, at) VALUES ($1::uuid, $2::text, $3::text, $4::timestamptz)
           ON CONFLICT (course_id) DO UPDATE SET "commit" = excluded."commit", tree = excluded.tree, at = excluded.at`,
  },
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
export const headRows: Heads<ReviewTx> = {
  async put(sql, { courseId, commit, tree, at }) {
    await sql.rows(statements.putHead, [courseId, commit, tree, at]);
  },
  async remove({ client }, courseId) {
    await client.courseHead.deleteMany({ where: { courseId } });
  },
};
