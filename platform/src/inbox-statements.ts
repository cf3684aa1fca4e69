/** The statements of the inbox; every parameter carries a cast, so that both adapters of the Sql port read them alike. */
export const inboxStatements = {
  open: {
    name: 'inbox_open',
    text: `INSERT INTO inbox (source, course_id, seq, epoch) SELECT $1::text, c, 0, $3::text FROM unnest($2::text[]::uuid[]) AS c ORDER BY c
           ON CONFLICT (source, course_id) DO NOTHING`,
  },
  lock: {
    name: 'inbox_lock',
    text: `SELECT course_id::text AS course_id, seq, epoch, parked_at IS NOT NULL AS parked, reason FROM inbox
           WHERE source = $1::text AND course_id = ANY($2::text[]::uuid[]) ORDER BY course_id FOR UPDATE`,
  },
  advance: {
    name: 'inbox_advance',
    text: `UPDATE inbox SET seq = $3::bigint, event_id = $4::uuid, epoch = $5::text WHERE source = $1::text AND course_id = $2::uuid`,
  },
  advanceMany: {
    name: 'inbox_advance_many',
    text: `UPDATE inbox SET seq = m.seq, event_id = m.event_id, epoch = m.epoch
           FROM unnest($2::text[]::uuid[], $3::bigint[], $4::text[]::uuid[], $5::text[]) AS m(course_id, seq, event_id, epoch)
           WHERE inbox.source = $1::text AND inbox.course_id = m.course_id`,
  },
  // Rows are locked in one order, so that two of these, or one and a transaction, never wait for each other.
  stepOver: {
    name: 'inbox_step_over',
    text: `WITH fit AS (
             SELECT i.course_id, m.upto, m.event_id
             FROM unnest($2::text[]::uuid[], $3::bigint[], $4::bigint[], $5::text[]::uuid[], $6::text[]) AS m(course_id, before, upto, event_id, epoch)
             JOIN inbox i ON i.source = $1::text AND i.course_id = m.course_id
             WHERE i.seq = m.before AND i.epoch = m.epoch AND i.parked_at IS NULL ORDER BY i.course_id FOR UPDATE OF i)
           UPDATE inbox SET seq = fit.upto, event_id = fit.event_id FROM fit
           WHERE inbox.source = $1::text AND inbox.course_id = fit.course_id RETURNING inbox.course_id::text AS course_id`,
  },
  look: {
    name: 'inbox_look',
    text: `SELECT course_id::text AS course_id, seq, epoch, parked_at IS NOT NULL AS parked, reason FROM inbox
           WHERE source = $1::text AND course_id = ANY($2::text[]::uuid[])`,
  },
  park: {
    name: 'inbox_park',
    text: `UPDATE inbox SET parked_at = now(), reason = $3::text WHERE source = $1::text AND course_id = $2::uuid`,
  },
  unpark: {
    name: 'inbox_unpark',
    text: `UPDATE inbox SET parked_at = NULL, reason = NULL WHERE source = $1::text AND course_id = $2::uuid`,
  },
  dead: {
    name: 'dead_letter_insert',
    text: `INSERT INTO dead_letter (id, source, course_id, seq, type, data, reason, created_at)
           VALUES ($1::uuid, $2::text, $3::uuid, $4::bigint, $5::text, $6::jsonb, $7::text, now())`,
  },
  resolve: {
    name: 'dead_letter_resolve',
    text: `UPDATE dead_letter SET resolved_at = now() 
           WHERE source = $1::text AND course_id = $2::uuid AND resolved_at IS NULL AND seq <= coalesce($3::bigint, seq)`,
  },
  remove: { name: 'inbox_remove', text: 'DELETE FROM inbox WHERE source = $1::text AND course_id = $2::uuid' },
  others: {
    name: 'inbox_others',
    text: `SELECT course_id::text AS course_id FROM inbox
           WHERE source = $1::text AND course_id > $2::uuid AND course_id <= $3::uuid AND course_id <> ALL($4::text[]::uuid[])
           ORDER BY course_id`,
  },
};
