import type { Content, ContentKind } from '../domain/content.js';
import type { Contents, SyncJob, SyncJobs } from '../operations/ports.js';
import type { DeploymentTx } from './client.js';

interface ContentRow {
  readonly node_id: string;
  readonly course_id: string;
  readonly kind: string;
  readonly title: string;
  readonly commit: string;
  readonly updated_at: Date;
}

interface JobRow {
  readonly course_id: string;
  readonly commit: string;
  readonly attempts: number;
  readonly requested_at: Date;
}

const statements = {
  // Many rows at once: Prisma's createMany is a hundred times dearer. What has not changed is not written.
  put: {
    name: 'content_put',
    text: `INSERT INTO submittable_content AS s (node_id, course_id, kind, title, commit, updated_at)
           SELECT c.node_id, c.course_id, c.kind, c.title, c.commit, c.updated_at
           FROM jsonb_to_recordset($1::jsonb)
             AS c(node_id uuid, course_id uuid, kind text, title text, commit text, updated_at timestamptz)
           ORDER BY c.node_id
           ON CONFLICT (node_id) DO UPDATE SET course_id = excluded.course_id, kind = excluded.kind, title = excluded.title,
             commit = excluded.commit, updated_at = excluded.updated_at, removed_at = NULL
           WHERE (s.course_id, s.kind, s.title, s.commit, s.updated_at, s.removed_at)
             IS DISTINCT FROM (excluded.course_id, excluded.kind, excluded.title, excluded.commit, excluded.updated_at, NULL::timestamptz)`,
  },
  // With every save of a lesson, nearly always of nothing: a typed update costs three times as much.
  remove: {
    name: 'content_remove',
    text: `UPDATE submittable_content SET removed_at = $3::timestamptz
           WHERE course_id = $1::uuid AND node_id = ANY($2::text[]::uuid[]) AND removed_at IS NULL`,
  },
  removeOthers: {
    name: 'content_remove_others',
    text: `UPDATE submittable_content SET removed_at = $3::timestamptz
           WHERE course_id = $1::uuid AND removed_at IS NULL AND node_id NOT IN (SELECT unnest($2::text[]::uuid[]))`,
  },
  list: {
    name: 'content_list',
    text: `SELECT node_id::text AS node_id, course_id::text AS course_id, kind, title, commit, updated_at FROM submittable_content
           WHERE course_id = $1::uuid AND node_id > $2::uuid AND removed_at IS NULL ORDER BY node_id LIMIT $3::int`,
  },
  request: {
    name: 'sync_request',
    text: `INSERT INTO content_sync (course_id, commit, attempts, lease_until, requested_at)
           VALUES ($1::uuid, $2::text, 0, now(), $3::timestamptz)
           ON CONFLICT (course_id) DO UPDATE SET commit = excluded.commit, requested_at = excluded.requested_at`,
  },
  moveAim: {
    name: 'sync_move_aim',
    text: `UPDATE content_sync SET commit = $2::text, requested_at = $3::timestamptz WHERE course_id = $1::uuid RETURNING course_id`,
  },
  cancel: { name: 'sync_cancel', text: 'DELETE FROM content_sync WHERE course_id = $1::uuid' },
  claim: {
    name: 'sync_claim',
    text: `UPDATE content_sync SET lease_until = now() + $1::int * interval '1 millisecond', attempts = attempts + 1
           WHERE course_id = (SELECT course_id FROM content_sync WHERE lease_until <= now()
                              ORDER BY lease_until LIMIT 1 FOR UPDATE SKIP LOCKED)
           RETURNING course_id::text AS course_id, commit, attempts, requested_at`,
  },
  finish: {
    name: 'sync_finish',
    text: `DELETE FROM content_sync WHERE course_id = $1::uuid AND commit = $2::text RETURNING course_id`,
  },
  lease: {
    name: 'sync_lease',
    text: `UPDATE content_sync SET lease_until = now() + $2::int * interval '1 millisecond' WHERE course_id = $1::uuid`,
  },
};

const firstId = '00000000-0000-0000-0000-000000000000';

/** The table of contents. */
export const contentRows: Contents<DeploymentTx> = {
  put,
  async markRemoved(tx, { courseId, nodeIds, at }) {
    await tx.rows(statements.remove, [courseId, nodeIds, at]);
  },
  async replace(tx, { courseId, contents, at }) {
    await put(tx, contents);
    const present = contents.map((content) => content.nodeId);
    await tx.rows(statements.removeOthers, [courseId, present, at]);
  },
  async list(sql, { courseId, after, limit }) {
    const rows = await sql.rows<ContentRow>(statements.list, [courseId, after ?? firstId, limit]);
    return rows.map((row) => ({
      nodeId: row.node_id,
      courseId: row.course_id,
      kind: row.kind as ContentKind,
      title: row.title,
      commit: row.commit,
      updatedAt: row.updated_at,
    }));
  },
};

async function put(tx: DeploymentTx, contents: readonly Content[]): Promise<void> {
  const rows = contents.map(({ nodeId, courseId, updatedAt, ...rest }) => ({
    ...rest,
    node_id: nodeId,
    course_id: courseId,
    updated_at: updatedAt,
  }));
  await tx.rows(statements.put, [JSON.stringify(rows)]);
}

/** The table of courses that wait to be listed anew. */
export const syncRows: SyncJobs<DeploymentTx> = {
  async request(tx, { courseId, commit, requestedAt }) {
    await tx.rows(statements.request, [courseId, commit, requestedAt]);
  },
  async moveAim(tx, { courseId, commit, requestedAt }) {
    return (await tx.rows(statements.moveAim, [courseId, commit, requestedAt])).length > 0;
  },
  async cancel(tx, courseId) {
    await tx.rows(statements.cancel, [courseId]);
  },
  async claim(tx, leaseMs) {
    const [row] = await tx.rows<JobRow>(statements.claim, [leaseMs]);
    return row && toJob(row);
  },
  async finish(tx, { courseId, commit }) {
    return (await tx.rows(statements.finish, [courseId, commit])).length > 0;
  },
  async lease(tx, courseId, ms) {
    await tx.rows(statements.lease, [courseId, ms]);
  },
};

const toJob = (row: JobRow): SyncJob => ({
  courseId: row.course_id,
  commit: row.commit,
  attempts: row.attempts,
  requestedAt: row.requested_at,
});
