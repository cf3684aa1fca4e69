const COLUMNS = `id::text AS id, format, media_type, state, course_id::text AS course_id, new_course, start_commit, started_by, started_by_name,
  by_platform, done, total, "commit", report, error, token, attempts, started_at, finished_at, revision, source_id,
  base_import::text AS base_import`;

/** An attempt that no other claim has followed. */
const ATTEMPT = `id = $1::uuid AND token = $2::bigint AND state = 'running'`;

/** The SQL of imports. */
export const importStatements = {
  find: { name: 'import_find', text: `SELECT ${COLUMNS} FROM "import" WHERE id = $1::uuid` },
  insert: {
    name: 'import_insert',
    text: `INSERT INTO "import" (id, format, media_type, state, course_id, new_course, started_by, started_by_name, by_platform, report,
             spool_id, archive_sha256, started_at)
           VALUES ($1::uuid, $2::text, $3::text, 'running', $4::uuid, $5::boolean, $6::text, $7::text, $8::boolean, $9::jsonb, $10::uuid,
             $11::text, now())`,
  },
  // The first result of a key that is for another request is known before its bytes are: they would be read for nothing.
  usedKey: {
    name: 'import_used_key',
    text: 'SELECT fingerprint FROM request WHERE actor = $1::text AND key = $2::text',
  },
  beginUpload: {
    name: 'import_upload_begin',
    text: `INSERT INTO import_upload AS u (actor, key, import_id, until)
           VALUES ($1::text, $2::text, $3::uuid, now() + $4::int * interval '1 millisecond')
           ON CONFLICT (actor, key) DO UPDATE SET import_id = excluded.import_id, until = excluded.until WHERE u.until < now()
           RETURNING import_id`,
  },
  keepUpload: {
    name: 'import_upload_keep',
    text: `UPDATE import_upload SET until = now() + $2::int * interval '1 millisecond' WHERE import_id = $1::uuid`,
  },
  endUpload: { name: 'import_upload_end', text: 'DELETE FROM import_upload WHERE import_id = $1::uuid' },
  forgetUploads: {
    name: 'import_upload_forget',
    text: `DELETE FROM import_upload WHERE until < now() - interval '1 hour'`,
  },
  openUpload: {
    name: 'import_upload_open',
    text: 'SELECT 1 AS one FROM import_upload WHERE actor = $1::text AND key = $2::text AND until > now()',
  },
  claim: {
    name: 'import_claim',
    text: `UPDATE "import" SET lease_holder = $1::uuid, lease_until = now() + $2::int * interval '1 millisecond', attempts = attempts + 1,
             token = token + 1
           WHERE id = (SELECT id FROM "import" WHERE state = 'running' AND spool_id = $3::uuid AND (lease_until IS NULL OR lease_until < now())
                         AND id <> ALL($4::uuid[]) AND (attempts = 0 OR NOT $5::boolean)
                       ORDER BY started_at LIMIT 1 FOR UPDATE SKIP LOCKED)
           RETURNING ${COLUMNS}`,
  },
  // From here on every statement of an attempt names its token: $2.
  renew: {
    name: 'import_renew',
    text: `UPDATE "import" SET lease_until = now() + $3::int * interval '1 millisecond' WHERE ${ATTEMPT} RETURNING id`,
  },
  holds: { name: 'import_holds', text: `SELECT id FROM "import" WHERE ${ATTEMPT}` },
  release: {
    name: 'import_release',
    text: `UPDATE "import" SET lease_holder = NULL, lease_until = now() + $3::int * interval '1 millisecond', attempts = greatest(attempts - 1, 0)
           WHERE ${ATTEMPT} RETURNING id`,
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
    text: `UPDATE "import" SET done = $3::bigint, report = $4::jsonb, attempts = 1, revision = revision + 1
           WHERE ${ATTEMPT} RETURNING id`,
  },
  // Imports of one source into one course begin one after the other.
  startLock: {
    name: 'import_start_lock',
    text: `SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'source', course_id, format, $2::text), 0)) FROM "import" WHERE id = $1::uuid`,
  },
  startedBeside: {
    name: 'import_started_beside',
    text: `SELECT 1 AS one FROM "import" own
           WHERE own.id = $1::uuid AND (
             EXISTS (SELECT FROM "import" i WHERE i.course_id = own.course_id AND i.format = own.format AND i.source_id = $2::text
                     AND i.state = 'running' AND i.id <> own.id)
             OR $3::uuid IS DISTINCT FROM (SELECT i.id FROM "import" i WHERE i.course_id = own.course_id AND i.format = own.format
                     AND i.source_id = $2::text AND i.state = 'done' ORDER BY i.finished_at DESC LIMIT 1))`,
  },
  start: {
    name: 'import_start',
    text: `UPDATE "import" SET start_commit = $3::text, source_id = $4::text, base_import = $5::uuid
           WHERE ${ATTEMPT} AND source_id IS NULL RETURNING id`,
  },
  lastOfSource: {
    name: 'import_last_of_source',
    text: `SELECT id::text AS id FROM "import" WHERE course_id = $1::uuid AND format = $2::text AND state = 'done' AND source_id = $3::text
           ORDER BY finished_at DESC LIMIT 1`,
  },
  unknownSource: {
    name: 'import_unknown_source',
    text: `SELECT 1 AS one FROM "import" WHERE course_id = $1::uuid AND format = $2::text AND state = 'done' AND source_id IS NULL LIMIT 1`,
  },
  // Of a source only its last import is ever compared with.
  dropParts: {
    name: 'import_part_drop',
    text: `DELETE FROM import_part p USING "import" i, "import" last
           WHERE last.id = $1::uuid AND i.course_id = last.course_id AND i.format = last.format AND i.source_id = last.source_id
             AND i.state = 'done' AND i.id <> last.id AND p.import_id = i.id`,
  },
  finish: {
    name: 'import_finish',
    text: `UPDATE "import" SET state = 'done', "commit" = $3::text, done = $4::bigint, total = $4::bigint, report = $5::jsonb,
             lease_holder = NULL, lease_until = NULL, finished_at = now(), revision = revision + 1
           WHERE ${ATTEMPT} RETURNING finished_at`,
  },
  fail: {
    name: 'import_fail',
    text: `UPDATE "import" SET state = 'failed', error = $3::jsonb, report = $4::jsonb, lease_holder = NULL, lease_until = NULL,
             finished_at = now(), revision = revision + 1
           WHERE ${ATTEMPT} RETURNING id`,
  },
  failedLongAgo: {
    name: 'import_failed_long_ago',
    text: `SELECT ${COLUMNS} FROM "import" WHERE state = 'failed' AND finished_at < now() - interval '14 days'
             AND ($1::uuid IS NULL OR id > $1::uuid) ORDER BY "import".id LIMIT $2::int`,
  },
  forget: { name: 'import_forget', text: `DELETE FROM "import" WHERE id = $1::uuid AND state = 'failed'` },
};
