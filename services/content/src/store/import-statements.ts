const COLUMNS = `id::text AS id, format, media_type, state, course_id::text AS course_id, new_course, start_commit, started_by, started_by_name,
  done, total, "commit", report, error, attempts, started_at, finished_at, revision`;

/** The SQL of imports. */
export const importStatements = {
  find: { name: 'import_find', text: `SELECT ${COLUMNS} FROM "import" WHERE id = $1::uuid` },
  insert: {
    name: 'import_insert',
    text: `INSERT INTO "import" (id, format, media_type, state, course_id, new_course, started_by, started_by_name, report, spool_id, started_at)
           VALUES ($1::uuid, $2::text, $3::text, 'running', $4::uuid, $5::boolean, $6::text, $7::text, $8::jsonb, $9::uuid, now())`,
  },
  claim: {
    name: 'import_claim',
    text: `UPDATE "import" SET lease_holder = $1::uuid, lease_until = now() + $2::int * interval '1 millisecond', attempts = attempts + 1
           WHERE id = (SELECT id FROM "import" WHERE state = 'running' AND spool_id = $3::uuid AND (lease_until IS NULL OR lease_until < now())
                       ORDER BY started_at LIMIT 1 FOR UPDATE SKIP LOCKED)
           RETURNING ${COLUMNS}`,
  },
  renew: {
    name: 'import_renew',
    text: `UPDATE "import" SET lease_until = now() + $3::int * interval '1 millisecond'
           WHERE id = $1::uuid AND lease_holder = $2::uuid AND state = 'running' RETURNING id`,
  },
  release: {
    name: 'import_release',
    text: `UPDATE "import" SET lease_holder = NULL, lease_until = now() + $3::int * interval '1 millisecond', attempts = greatest(attempts - 1, 0)
           WHERE id = $1::uuid AND lease_holder = $2::uuid AND state = 'running'`,
  },
  steps: {
    name: 'import_steps',
    text: 'SELECT ordinal, "commit" FROM import_step WHERE import_id = $1::uuid ORDER BY ordinal',
  },
  insertStep: {
    name: 'import_step_insert',
    text: `INSERT INTO import_step (import_id, ordinal, "commit", at) VALUES ($1::uuid, $2::int, $3::text, now())
           ON CONFLICT (import_id, ordinal) DO NOTHING`,
  },
  progress: {
    name: 'import_progress',
    text: `UPDATE "import" SET done = $2::bigint, report = $3::jsonb, attempts = 1, revision = revision + 1
           WHERE id = $1::uuid AND state = 'running'`,
  },
  start: {
    name: 'import_start',
    text: 'UPDATE "import" SET start_commit = $2::text WHERE id = $1::uuid AND start_commit IS NULL',
  },
  finish: {
    name: 'import_finish',
    text: `UPDATE "import" SET state = 'done', "commit" = $2::text, done = $3::bigint, total = $3::bigint, report = $4::jsonb,
             lease_holder = NULL, lease_until = NULL, finished_at = now(), revision = revision + 1
           WHERE id = $1::uuid AND state = 'running' RETURNING finished_at`,
  },
  fail: {
    name: 'import_fail',
    text: `UPDATE "import" SET state = 'failed', error = $2::jsonb, report = $3::jsonb, lease_holder = NULL, lease_until = NULL,
             finished_at = now(), revision = revision + 1
           WHERE id = $1::uuid AND state = 'running'`,
  },
  failedLongAgo: {
    name: 'import_failed_long_ago',
    text: `SELECT ${COLUMNS} FROM "import" WHERE state = 'failed' AND finished_at < now() - interval '14 days'
             AND ($1::uuid IS NULL OR id > $1::uuid) ORDER BY "import".id LIMIT $2::int`,
  },
  forget: { name: 'import_forget', text: `DELETE FROM "import" WHERE id = $1::uuid AND state = 'failed'` },
};
