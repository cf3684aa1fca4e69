import type { Statement } from '@coursewright/platform/sql';

const BRANCH = `b.branch_id, b.course_id, b.name, b.head, b.hidden, b.protected, b.closed, b.metadata, b.parent_id, b.base, b.revision, b.created_by, b.created_at`;
const COMMIT = `hash, format, gen, root, index_root, parents, author_id, author_name, at, kind, message, change_set,
  added, removed, moved, edited, units, modules, lessons, assignments`;
const BY_NAME = `b.course_id = c.course_id AND CASE WHEN $2::text = '' THEN b.branch_id = c.default_branch ELSE b.name = $2::text END`;

const GUARD = `guard AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(hashtextextended('course ' || $1::text, 1)))`;
const TRY_LOCK = `pg_try_advisory_xact_lock(hashtextextended(k.actor || E'\\n' || k.key, 0))`;

function keysOf(n: string, actors: string, keys: string): string {
  return `unnest(${n}::int[], ${actors}::text[], ${keys}::text[]) AS k(n, actor, key)`;
}

function insertRequests(rows: string): string {
  return `INSERT INTO request (actor, key, fingerprint, result, created_at, expires_at)
     SELECT r.actor, r.key, r.fingerprint, r.result, now(), now() + r.kept::interval
     FROM jsonb_to_recordset(${rows}::jsonb) AS r(actor text, key text, fingerprint text, result jsonb, kept text)`;
}

/** Adds objects ($1: course, $2: hashes, $3: kinds, $4: bytes); one that is there already counts as used now. */
function insertObjects(formats: string): string {
  return `INSERT INTO object (course_id, hash, kind, format, data, size, touched_at)
       SELECT $1::uuid, x.hash, x.kind, x.format, x.data, length(x.data), now()
       FROM unnest($2::bytea[], $3::smallint[], ${formats}::smallint[], $4::bytea[]) AS x(hash, kind, format, data) ORDER BY x.hash
       ON CONFLICT (course_id, hash) DO UPDATE SET touched_at = excluded.touched_at`;
}

/**
 * Adds movements ($1: course) to the chain of the ref log, in order; none when there are none. `contents` are the hashes of what each says,
 * `moves` its columns with its number `n` from 1. The statement around it is WITH RECURSIVE: each row hashes the one before. See
 * domain/ref-log for the hash. `l_end` is the last number.
 */
function logMoves(p: { contents: string; moves: string; when: string }): string {
  const content = (n: string): string => `(${p.contents}::bytea[])[${n}]`;
  const count = `cardinality(${p.contents}::bytea[])`;
  return `l AS MATERIALIZED (
       SELECT course_id, log_seq, log_hash FROM course WHERE course_id = $1::uuid AND ${count} > 0 AND ${p.when} FOR UPDATE
     ), l_row(n, prev_hash, hash) AS (
       SELECT 1, l.log_hash, sha256(l.log_hash || int8send(l.log_seq + 1) || ${content('1')}) FROM l
       UNION ALL
       SELECT r.n + 1, r.hash, sha256(r.hash || int8send(l.log_seq + r.n + 1) || ${content('r.n + 1')})
       FROM l_row r, l WHERE r.n < ${count}
     ), l_end AS (
       UPDATE course c SET log_seq = l.log_seq + r.n, log_hash = r.hash FROM l, l_row r
       WHERE c.course_id = l.course_id AND r.n = ${count} RETURNING c.log_seq
     ), l_insert AS (
       INSERT INTO ref_log (course_id, seq, ref, old, new, actor, reason, at, prev_hash, hash)
       SELECT $1::uuid, l.log_seq + r.n, x.ref, decode(x.old, 'hex'), decode(x.new, 'hex'), x.actor, x.reason, x.at, r.prev_hash, r.hash
       FROM l, l_row r JOIN jsonb_to_recordset(${p.moves}::jsonb) AS x(n int, ref text, old text, new text, actor text, reason text, at timestamptz)
         ON x.n = r.n
     )`;
}

function statement(name: string, text: string): Statement {
  return { name: `versioning_${name}`, text };
}

/** Every commit that a ref names; `which` says which branches count. */
function refHeads(which: string): string {
  return `SELECT head AS hash FROM branch WHERE course_id = $1::uuid AND ${which} UNION SELECT "commit" FROM version WHERE course_id = $1::uuid
     UNION SELECT "commit" FROM tag WHERE course_id = $1::uuid
     UNION SELECT published FROM course WHERE course_id = $1::uuid AND published IS NOT NULL`;
}

/** Reads, of the database or of a transaction. */
export const reads = {
  objects: statement(
    'objects',
    'SELECT hash, kind, format, data FROM object WHERE course_id = $1::uuid AND hash = ANY($2::bytea[])',
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
    `SELECT n.id AS node_id, h.gen, h."commit", h.what FROM unnest($2::uuid[], $3::int[], $4::bytea[]) AS n(id, gen, hash)
     CROSS JOIN LATERAL (
       SELECT gen, "commit", what FROM commit_node
       WHERE course_id = $1::uuid AND node_id = n.id AND (gen, "commit") < (n.gen, n.hash) AND (what & $5::int) <> 0
       ORDER BY gen DESC, "commit" DESC LIMIT $6::int) h ORDER BY n.id, h.gen DESC, h."commit" DESC`,
  ),
  refLog: statement(
    'ref_log',
    `SELECT seq, ref, old, new, actor, reason, at, prev_hash, hash FROM ref_log
     WHERE course_id = $1::uuid AND seq > $2::bigint ORDER BY seq LIMIT $3::int`,
  ),
  lastMove: statement(
    'last_move',
    'SELECT seq FROM ref_log WHERE course_id = $1::uuid AND ref = $2::text ORDER BY seq DESC LIMIT 1',
  ),
  refHeads: statement('ref_heads', refHeads('true')),
  visibleHeads: statement('visible_heads', refHeads('NOT hidden')),
  restricted: statement(
    'restricted',
    'SELECT node_id FROM restricted_node WHERE course_id = $1::uuid ORDER BY node_id',
  ),
  replaced: statement(
    'replaced',
    `SELECT DISTINCT old AS hash FROM ref_log WHERE course_id = $1::uuid AND ref = 'published' AND old = ANY($2::bytea[])
     AND new IS NOT NULL AND at > now() - $3::int * interval '1 millisecond'`,
  ),
};

const CHECKED = `SELECT ${COMMIT.replace(/\w+/g, 'c.$&')}, p.gen AS parent_gen, f.counts AS parent_counts
     FROM "commit" c
     LEFT JOIN LATERAL (SELECT max(gen) AS gen FROM "commit" WHERE course_id = c.course_id AND hash = ANY(c.parents)) p ON true
     LEFT JOIN LATERAL (SELECT jsonb_build_object('units', units, 'modules', modules, 'lessons', lessons, 'assignments', assignments) AS counts
       FROM "commit" WHERE course_id = c.course_id AND hash = c.parents[1]) f ON true`;

/** What an integrity check reads. */
export const checks = {
  commits: statement('check_commits', `${CHECKED} WHERE c.course_id = $1::uuid AND c.hash = ANY($2::bytea[])`),
  commitsBefore: statement(
    'check_commits_before',
    `${CHECKED} WHERE c.course_id = $1::uuid AND (c.gen, c.hash) < ($2::int, $3::bytea) ORDER BY c.gen DESC, c.hash DESC LIMIT $4::int`,
  ),
  // One statement, so one moment: heads and the end of the log move together.
  refs: statement(
    'check_refs',
    `SELECT c.default_branch, c.log_seq, c.log_hash, r.kind, r.name, r.hash, r.tree FROM course c LEFT JOIN LATERAL (
       SELECT CASE WHEN hidden THEN 'hidden' ELSE 'branch' END AS kind, branch_id::text AS name, head AS hash, NULL::bytea AS tree FROM branch WHERE course_id = c.course_id
       UNION ALL SELECT 'version', number::text, "commit", tree FROM version WHERE course_id = c.course_id
       UNION ALL SELECT 'tag', name, "commit", NULL FROM tag WHERE course_id = c.course_id
       UNION ALL SELECT 'published', 'published', c.published, NULL WHERE c.published IS NOT NULL) r ON true
     WHERE c.course_id = $1::uuid ORDER BY r.kind, r.name`,
  ),
  // A page of a course's history rows, of which those that are wrong are told and the last one is where to go on.
  history: statement(
    'check_history',
    `WITH p AS (SELECT node_id, gen, "commit" FROM commit_node WHERE course_id = $1::uuid AND (node_id, gen, "commit") > ($2::uuid, $3::int, $4::bytea)
       ORDER BY node_id, gen, "commit" LIMIT $5::int),
     s AS (SELECT jsonb_agg(jsonb_build_object('node', p.node_id, 'commit', encode(p."commit", 'hex'))) AS stray
       FROM p LEFT JOIN "commit" c ON c.course_id = $1::uuid AND c.hash = p."commit" WHERE c.gen IS DISTINCT FROM p.gen)
     SELECT p.node_id AS node, p.gen, p."commit", s.stray FROM p, s ORDER BY p.node_id DESC, p.gen DESC, p."commit" DESC LIMIT 1`,
  ),
};

/** Parts of a writing transaction. */
export const writes = {
  takeCommands: statement('take_commands', `SELECT k.n, ${TRY_LOCK} AS locked FROM ${keysOf('$1', '$2', '$3')}`),
  findCommands: statement(
    'find_commands',
    `SELECT k.n, r.fingerprint, r.result FROM ${keysOf('$1', '$2', '$3')} JOIN request r ON r.actor = k.actor AND r.key = k.key`,
  ),
  // No ON CONFLICT: a command that another transaction has finished in between makes this one fail, and its repeat finds the result.
  rememberCommands: statement('remember_commands', insertRequests('$1')),
  // The course's lock is taken shared here; who closes or drops a course takes it exclusively.
  openBranch: statement(
    'open_branch',
    `WITH ${GUARD}, k AS MATERIALIZED (
       SELECT k.n, ${TRY_LOCK} AS locked, r.fingerprint, r.result FROM ${keysOf('$3', '$4', '$5')}
       LEFT JOIN request r ON r.actor = k.actor AND r.key = k.key)
     SELECT ${BRANCH}, (SELECT jsonb_agg(to_jsonb(k)) FROM k) AS commands
     FROM guard, course c JOIN branch b ON ${BY_NAME} WHERE c.course_id = $1::uuid FOR UPDATE OF b`,
  ),
  insertCourse: statement(
    'insert_course',
    `INSERT INTO course (course_id, default_branch, log_seq, log_hash, created_by, created_at)
     SELECT $1::uuid, $2::uuid, coalesce(l.seq, 0), coalesce(l.hash, $3::bytea), $4::text, $5::timestamptz
     FROM (VALUES (1)) AS one LEFT JOIN LATERAL (SELECT seq, hash FROM ref_log WHERE course_id = $1::uuid ORDER BY seq DESC LIMIT 1) l ON true
     ON CONFLICT (course_id) DO NOTHING RETURNING course_id`,
  ),
  insertBranch: statement(
    'insert_branch',
    `WITH RECURSIVE ${GUARD}, b AS (
       INSERT INTO branch (branch_id, course_id, name, head, hidden, protected, metadata, parent_id, base, created_by, created_at)
       SELECT $2::uuid, $1::uuid, $3::text, $4::bytea, $5::bool, $6::bool, $7::jsonb, $8::uuid, $9::bytea, $10::text, $11::timestamptz
       FROM guard, (SELECT course_id FROM course WHERE course_id = $1::uuid FOR KEY SHARE) c
       WHERE NOT EXISTS (SELECT FROM tag WHERE course_id = $1::uuid AND name = $3::text)
       ON CONFLICT (course_id, name) DO NOTHING RETURNING branch_id
     ), q AS (${insertRequests('$14')}
     ), ${logMoves({ contents: '$12', moves: '$13', when: 'EXISTS (SELECT FROM b)' })}
     SELECT branch_id FROM b`,
  ),
  homes: statement(
    'insert_homes',
    `INSERT INTO node_home (node_id, course_id, born) SELECT h.id, $1::uuid, h.born FROM unnest($2::uuid[], $3::bytea[]) AS h(id, born)
     ORDER BY h.id ON CONFLICT (node_id) DO UPDATE SET born = coalesce(node_home.born, excluded.born)
     WHERE node_home.course_id = excluded.course_id RETURNING node_id`,
  ),
  advance: statement(
    'advance',
    `WITH RECURSIVE o AS (
       ${insertObjects('$16')}
     ), c AS (
       INSERT INTO "commit" (course_id, hash, format, gen, root, index_root, parents, author_id, author_name, at, kind, message, change_set,
         added, removed, moved, edited, units, modules, lessons, assignments)
       SELECT $1::uuid, decode(x.hash, 'hex'), x.format, x.gen, decode(x.root, 'hex'), decode(x.index_root, 'hex'),
         ARRAY(SELECT decode(p, 'hex') FROM jsonb_array_elements_text(x.parents) WITH ORDINALITY AS q(p, i) ORDER BY i),
         x.author_id, x.author_name, x.at, x.kind, x.message, x.change_set, x.added, x.removed, x.moved, x.edited,
         x.units, x.modules, x.lessons, x.assignments
       FROM jsonb_to_recordset($5::jsonb) AS x(hash text, format smallint, gen int, root text, index_root text, parents jsonb, author_id text,
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
     ), q AS (${insertRequests('$13')}
     ), ${logMoves({ contents: '$14', moves: '$15', when: 'true' })}
     UPDATE branch SET head = $12::bytea WHERE branch_id = $11::uuid RETURNING (SELECT log_seq FROM l_end) AS log_seq`,
  ),
  // By an array and not by a join: where statistics say that no node is hidden, a join looks through the ids once for each one that is.
  objects: statement('insert_objects', insertObjects('$5')),
  setBorn: statement(
    'set_born',
    `UPDATE node_home SET born = $3::bytea WHERE node_id = ANY($2::uuid[]) AND course_id = $1::uuid AND born IS NULL`,
  ),
  restrict: statement(
    'restrict',
    `INSERT INTO restricted_node (course_id, node_id) SELECT $1::uuid, x FROM unnest($2::uuid[]) AS x ORDER BY x
     ON CONFLICT (course_id, node_id) DO NOTHING`,
  ),
  takeClosingTurn: statement(
    'take_closing_turn',
    `UPDATE course SET closing_turn = $2::bigint WHERE course_id = $1::uuid AND closing_turn <= $2::bigint RETURNING course_id`,
  ),
  setClosed: statement(
    'set_closed',
    'UPDATE branch SET closed = $2::bool WHERE course_id = $1::uuid AND closed <> $2::bool',
  ),
};

/** Deletes rows of a course in pages by their hash ($2: the last one of the page before, $3: rows of a page). */
function dropPage(table: 'object' | 'body_use'): Statement {
  return statement(
    `drop_${table}s`,
    `WITH p AS (SELECT hash FROM ${table} WHERE course_id = $1::uuid AND hash > $2::bytea ORDER BY hash LIMIT $3::int),
       e AS (SELECT hash FROM p ORDER BY hash DESC LIMIT 1),
       d AS (DELETE FROM ${table} WHERE course_id = $1::uuid AND hash > $2::bytea AND hash <= (SELECT hash FROM e))
     SELECT hash AS last FROM e`,
  );
}

/** What takes away a failed import. */
export const drops = {
  // The lock that every writer of the course takes shared.
  lockCourse: statement('lock_course', `SELECT pg_advisory_xact_lock(hashtextextended('course ' || $1::text, 1))`),
  branch: statement(
    'drop_branch',
    `WITH RECURSIVE b AS (DELETE FROM branch WHERE course_id = $1::uuid AND branch_id = $2::uuid RETURNING branch_id
     ), ${logMoves({ contents: '$3', moves: '$4', when: 'EXISTS (SELECT FROM b)' })}
     SELECT branch_id FROM b`,
  ),
  unseen: statement(
    'drop_unseen',
    'DELETE FROM node_home WHERE node_id = ANY($2::uuid[]) AND course_id = $1::uuid AND born IS NULL',
  ),
  hasNothingElse: statement(
    'has_nothing_else',
    `SELECT course_id FROM course c WHERE course_id = $1::uuid AND published IS NULL
     AND NOT EXISTS (SELECT FROM branch b WHERE b.course_id = c.course_id AND b.branch_id <> c.default_branch)
     AND NOT EXISTS (SELECT FROM version v WHERE v.course_id = c.course_id)
     AND NOT EXISTS (SELECT FROM tag t WHERE t.course_id = c.course_id)`,
  ),
  objects: dropPage('object'),
  bodyUses: dropPage('body_use'),
  // The root is the one node that is left, and its id is the course's.
  course: statement(
    'drop_course',
    `WITH n AS (DELETE FROM node_home WHERE node_id = $1::uuid AND course_id = $1::uuid),
       h AS (DELETE FROM commit_node WHERE course_id = $1::uuid), r AS (DELETE FROM restricted_node WHERE course_id = $1::uuid), m AS (DELETE FROM "commit" WHERE course_id = $1::uuid)
     DELETE FROM course WHERE course_id = $1::uuid`,
  ),
};
