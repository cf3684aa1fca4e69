import type { Deletions } from '../operations/ports.js';

const statements = {
  hold: {
    name: 'deletion_hold',
    text: `INSERT INTO deletion_intent (course_id, token, lease_until, created_at)
           VALUES ($1::uuid, $2::uuid, now() + $3::int * interval '1 millisecond', now())
           ON CONFLICT (course_id) DO UPDATE SET lease_until = excluded.lease_until WHERE deletion_intent.token = excluded.token
           RETURNING (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS turn`,
  },
  end: {
    name: 'deletion_end',
    text: 'DELETE FROM deletion_intent WHERE course_id = $1::uuid AND token = $2::uuid RETURNING course_id',
  },
  claim: {
    name: 'deletion_claim',
    text: `UPDATE deletion_intent SET token = $3::uuid, lease_until = now() + $2::int * interval '1 millisecond'
           WHERE course_id IN (SELECT course_id FROM deletion_intent WHERE lease_until < now()
                               ORDER BY lease_until LIMIT $1::int FOR UPDATE SKIP LOCKED)
           RETURNING course_id`,
  },
};

/** The table of courses that are being deleted or restored. */
export const deletionRows: Deletions = {
  // By the clock of the one database: whoever takes an intent over does so twenty seconds later, and a sequence would begin anew in a
  // database that was restored.
  hold: async (sql, { courseId, token, leaseMs }) =>
    (await sql.rows<{ turn: number }>(statements.hold, [courseId, token, leaseMs]))[0]?.turn,
  end: async (sql, { courseId, token }) => (await sql.rows(statements.end, [courseId, token])).length > 0,
  async claim(sql, { limit, leaseMs, token }) {
    const rows = await sql.rows<{ course_id: string }>(statements.claim, [limit, leaseMs, token]);
    return rows.map((row) => ({ courseId: row.course_id, token }));
  },
};
