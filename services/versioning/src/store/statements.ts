import type { Statement } from '@coursewright/platform/sql';

const BRANCH = `b.branch_id, b.course_id, b.name, b.head, b.hidden, b.protected, b.metadata, b.parent_id, b.base, b.revision, b.created_by, b.created_at`;
const COMMIT = `hash, gen, root, index_root, parents, author_id, author_name, at, kind, message, change_set,
  added, removed, moved, edited, units, modules, lessons, assignments`;
const BY_NAME = `b.course_id = c.course_id AND CASE WHEN $2::text = '' THEN b.branch_id = c.default_branch ELSE b.name = $2::text END`;

function statement(name: string, text: string): Statement {
  return { name: `versioning_${name}`, text };
}

/** Reads outside a transaction. */
export const reads = {
  objects: statement(
    'objects',
    'SELECT hash, kind, data FROM object WHERE course_id = $1::uuid AND hash = ANY($2::bytea[])',
  ),
  course: statement(
    'course',
    `SELECT c.course_id AS id, c.default_branch, c.published, c.published_version, c.latest_version, ${BRANCH}
     FROM course c LEFT JOIN branch b ON ${BY_NAME} WHERE c.course_id = $1::uuid`,
  ),
  commits: statement(
    'commits',
    `SELECT ${COMMIT} FROM "commit" WHERE course_id = $1::uuid AND hash = ANY($2::bytea[])`,
  ),
  linksDown: statement(
    'links_down',
    `SELECT hash, gen, parents FROM "commit" WHERE course_id = $1::uuid
     AND gen BETWEEN (SELECT max(gen) FROM "commit" WHERE course_id = $1::uuid AND hash = ANY($2::bytea[])) - $3::int
     AND (SELECT max(gen) FROM "commit" WHERE course_id = $1::uuid AND hash = ANY($2::bytea[]))`,
  ),
  version: statement('version', 'SELECT "commit" FROM version WHERE course_id = $1::uuid AND number = $2::int'),
  tag: statement('tag', 'SELECT "commit" FROM tag WHERE course_id = $1::uuid AND name = $2::text'),
  branchesById: statement(
    'branches_by_id',
    `SELECT ${BRANCH} FROM branch b WHERE b.course_id = $1::uuid AND b.branch_id = ANY($2::uuid[])`,
  ),
  branches: statement(
    'branches',
    `SELECT ${BRANCH} FROM branch b WHERE b.course_id = $1::uuid AND NOT b.hidden AND b.name > $2::text ORDER BY b.name LIMIT $3::int`,
  ),
  homes: statement('homes', 'SELECT node_id, course_id, born FROM node_home WHERE node_id = ANY($1::uuid[])'),
  nodeCommits: statement(
    'node_commits',
    `SELECT n.id AS node_id, h.gen, h."commit", h.what FROM unnest($2::uuid[]) AS n(id) CROSS JOIN LATERAL (
       SELECT gen, "commit", what FROM commit_node
       WHERE course_id = $1::uuid AND node_id = n.id AND gen <= $3::int AND (what & $4::int) <> 0
       ORDER BY gen DESC, "commit" LIMIT $5::int) h ORDER BY n.id, h.gen DESC, h."commit"`,
  ),
  refLog: statement(
    'ref_log',
    `SELECT seq, ref, old, new, actor, reason, at, prev_hash, hash FROM ref_log
     WHERE course_id = $1::uuid AND seq > $2::bigint ORDER BY seq LIMIT $3::int`,
  ),
  refHeads: statement(
    'ref_heads',
    `SELECT head AS hash FROM branch WHERE course_id = $1::uuid UNION SELECT "commit" FROM version WHERE course_id = $1::uuid
     UNION SELECT "commit" FROM tag WHERE course_id = $1::uuid
     UNION SELECT published FROM course WHERE course_id = $1::uuid AND published IS NOT NULL`,
  ),
};

/** Parts of a writing transaction. */
export const writes = {
  takeCommands: statement(
    'take_commands',
    `SELECT k.n, pg_try_advisory_xact_lock(hashtextextended(k.actor || E'\\n' || k.key, 0)) AS locked
     FROM unnest($1::int[], $2::text[], $3::text[]) AS k(n, actor, key)`,
  ),
  findCommands: statement(
    'find_commands',
    `SELECT k.n, r.fingerprint, r.result FROM unnest($1::int[], $2::text[], $3::text[]) AS k(n, actor, key)
     JOIN request r ON r.actor = k.actor AND r.key = k.key`,
  ),
  rememberCommands: statement(
    'remember_commands',
    `INSERT INTO request (actor, key, fingerprint, result, created_at, expires_at)
     SELECT r.actor, r.key, r.fingerprint, r.result, now(), now() + r.kept::interval
     FROM jsonb_to_recordset($1::jsonb) AS r(actor text, key text, fingerprint text, result jsonb, kept text)
     ON CONFLICT (actor, key) DO NOTHING`,
  ),
  // The course's lock is taken shared here; only the collector's delete phase takes it exclusively.
  lockBranch: statement(
    'lock_branch',
    `WITH guard AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(hashtextextended('course ' || $1::text, 1)))
     SELECT ${BRANCH} FROM guard, course c JOIN branch b ON ${BY_NAME} WHERE c.course_id = $1::uuid FOR UPDATE OF b`,
  ),
  insertCourse: statement(
    'insert_course',
    `INSERT INTO course (course_id, default_branch, log_hash, created_by, created_at)
     VALUES ($1::uuid, $2::uuid, $3::bytea, $4::text, $5::timestamptz) ON CONFLICT (course_id) DO NOTHING RETURNING course_id`,
  ),
  insertBranch: statement(
    'insert_branch',
    `INSERT INTO branch (branch_id, course_id, name, head, hidden, protected, metadata, parent_id, base, created_by, created_at)
     SELECT $1::uuid, $2::uuid, $3::text, $4::bytea, $5::bool, $6::bool, $7::jsonb, $8::uuid, $9::bytea, $10::text, $11::timestamptz
     WHERE NOT EXISTS (SELECT FROM tag WHERE course_id = $2::uuid AND name = $3::text)
     ON CONFLICT (course_id, name) DO NOTHING RETURNING branch_id`,
  ),
  homes: statement(
    'insert_homes',
    `INSERT INTO node_home (node_id, course_id, born) SELECT h.id, $1::uuid, h.born FROM unnest($2::uuid[], $3::bytea[]) AS h(id, born)
     ORDER BY h.id ON CONFLICT (node_id) DO UPDATE SET born = coalesce(node_home.born, excluded.born)
     WHERE node_home.course_id = excluded.course_id RETURNING node_id`,
  ),
  advance: statement(
    'advance',
    `WITH o AS (
       INSERT INTO object (course_id, hash, kind, data, size, touched_at)
       SELECT $1::uuid, x.hash, x.kind, x.data, length(x.data), now()
       FROM unnest($2::bytea[], $3::smallint[], $4::bytea[]) AS x(hash, kind, data) ORDER BY x.hash
       ON CONFLICT (course_id, hash) DO UPDATE SET touched_at = excluded.touched_at
     ), c AS (
       INSERT INTO "commit" (course_id, hash, gen, root, index_root, parents, author_id, author_name, at, kind, message, change_set,
         added, removed, moved, edited, units, modules, lessons, assignments)
       SELECT $1::uuid, decode(x.hash, 'hex'), x.gen, decode(x.root, 'hex'), decode(x.index_root, 'hex'),
         ARRAY(SELECT decode(p, 'hex') FROM jsonb_array_elements_text(x.parents) WITH ORDINALITY AS q(p, i) ORDER BY i),
         x.author_id, x.author_name, x.at, x.kind, x.message, x.change_set, x.added, x.removed, x.moved, x.edited,
         x.units, x.modules, x.lessons, x.assignments
       FROM jsonb_to_recordset($5::jsonb) AS x(hash text, gen int, root text, index_root text, parents jsonb, author_id text,
         author_name text, at timestamptz, kind text, message text, change_set uuid, added int, removed int, moved int, edited int,
         units int, modules int, lessons int, assignments int)
       ON CONFLICT (course_id, hash) DO NOTHING
     ), h AS (
       INSERT INTO commit_node (course_id, node_id, gen, "commit", what)
       SELECT $1::uuid, x.node, x.gen, x.hash, x.what FROM unnest($6::uuid[], $7::int[], $8::bytea[], $9::smallint[]) AS x(node, gen, hash, what)
       ON CONFLICT DO NOTHING
     ), u AS (
       INSERT INTO body_use (course_id, hash, used_at) SELECT $1::uuid, x, now() FROM unnest($10::bytea[]) AS x ORDER BY x
       ON CONFLICT (course_id, hash) DO UPDATE SET used_at = excluded.used_at
     )
     UPDATE branch SET head = $12::bytea WHERE branch_id = $11::uuid`,
  ),
  setBorn: statement(
    'set_born',
    `UPDATE node_home n SET born = x.born FROM unnest($2::uuid[], $3::bytea[]) AS x(id, born)
     WHERE n.node_id = x.id AND n.course_id = $1::uuid AND n.born IS NULL`,
  ),
  lockLog: statement('lock_log', 'SELECT log_seq, log_hash FROM course WHERE course_id = $1::uuid FOR UPDATE'),
  writeLog: statement(
    'write_log',
    `WITH l AS (
       INSERT INTO ref_log (course_id, seq, ref, old, new, actor, reason, at, prev_hash, hash)
       SELECT $1::uuid, x.seq, x.ref, decode(x.old, 'hex'), decode(x.new, 'hex'), x.actor, x.reason, x.at, decode(x.prev_hash, 'hex'), decode(x.hash, 'hex')
       FROM jsonb_to_recordset($2::jsonb)
         AS x(seq bigint, ref text, old text, new text, actor text, reason text, at timestamptz, prev_hash text, hash text)
     )
     UPDATE course SET log_seq = $3::bigint, log_hash = $4::bytea WHERE course_id = $1::uuid`,
  ),
};
