import type { Registry } from '../operations/ports.js';
import type { Course } from '../domain/course.js';
import type { Member } from '../domain/member.js';

/** A row of the registry, with the columns of `courseColumns`. */
export interface CourseRow {
  readonly course_id: string;
  readonly owner: string;
  readonly created_by: string;
  readonly created_at: Date;
  readonly archived_at: Date | null;
  readonly deleted_at: Date | null;
  readonly revision: number;
}

interface MemberRow {
  readonly subject: string;
  readonly role: string;
  readonly since: Date;
  readonly added_by: string;
}

/** What a statement selects of the registry, called `r`. */
export const courseColumns =
  'r.course_id, r.owner, r.created_by, r.created_at, r.archived_at, r.deleted_at, r.revision';

const statements = {
  find: {
    name: 'registry_find',
    text: `SELECT ${courseColumns} FROM course_registry r WHERE r.course_id = $1::uuid`,
  },
  lock: {
    name: 'registry_lock',
    text: `SELECT ${courseColumns} FROM course_registry r WHERE r.course_id = $1::uuid FOR UPDATE`,
  },
  insert: {
    name: 'registry_insert',
    text: `INSERT INTO course_registry (course_id, owner, created_by, created_at, revision)
           VALUES ($1::uuid, $2::text, $3::text, $4::timestamptz, $5::bigint)
           ON CONFLICT (course_id) DO NOTHING RETURNING course_id`,
  },
  update: {
    name: 'registry_update',
    text: `UPDATE course_registry SET owner = $2::text, archived_at = $3::timestamptz, deleted_at = $4::timestamptz, revision = $5::bigint
           WHERE course_id = $1::uuid`,
  },
  putMember: {
    name: 'member_put',
    text: `INSERT INTO member (course_id, subject, role, since, added_by)
           VALUES ($1::uuid, $2::text, $3::text, $4::timestamptz, $5::text)
           ON CONFLICT (course_id, subject, role) DO NOTHING RETURNING subject, role, since, added_by`,
  },
  findMember: {
    name: 'member_find',
    text: `SELECT subject, role, since, added_by FROM member
           WHERE course_id = $1::uuid AND subject = $2::text AND role = $3::text`,
  },
  listMembers: {
    name: 'member_list',
    text: `SELECT subject, role, since, added_by FROM member
           WHERE course_id = $1::uuid AND (subject, role) > ($2::text, $3::text) ORDER BY subject, role LIMIT $4::int`,
  },
  access: {
    name: 'registry_access',
    text: `SELECT ${courseColumns},
             ARRAY(SELECT m.role FROM member m WHERE m.course_id = r.course_id AND m.subject = $2::text) AS roles
           FROM course_registry r WHERE r.course_id = $1::uuid`,
  },
  hasRole: {
    name: 'member_has_role_anywhere',
    text: `SELECT EXISTS (SELECT 1 FROM course_registry WHERE owner = $1::text)
             OR EXISTS (SELECT 1 FROM member WHERE subject = $1::text AND role = ANY($2::text[])) AS found`,
  },
};

/** The registry's tables. */
export const registryRows: Registry = {
  async find(sql, courseId) {
    const [row] = await sql.rows<CourseRow>(statements.find, [courseId]);
    return row && toCourse(row);
  },
  async lock(sql, courseId) {
    const [row] = await sql.rows<CourseRow>(statements.lock, [courseId]);
    return row && toCourse(row);
  },
  async insert(sql, course) {
    const { courseId, owner, createdBy, createdAt, revision } = course;
    return (await sql.rows(statements.insert, [courseId, owner, createdBy, createdAt, revision])).length > 0;
  },
  async update(sql, course) {
    const { courseId, owner, archivedAt, deletedAt, revision } = course;
    await sql.rows(statements.update, [courseId, owner, archivedAt ?? null, deletedAt ?? null, revision]);
  },
  async putMember(sql, courseId, member) {
    const { subject, role, since, addedBy } = member;
    const [added] = await sql.rows<MemberRow>(statements.putMember, [courseId, subject, role, since, addedBy]);
    if (added !== undefined) return { member: toMember(added), added: true };
    const [present] = await sql.rows<MemberRow>(statements.findMember, [courseId, subject, role]);
    return { member: present === undefined ? member : toMember(present), added: false };
  },
  async listMembers(sql, courseId, page) {
    const { subject, role } = page.after ?? { subject: '', role: '' };
    const rows = await sql.rows<MemberRow>(statements.listMembers, [courseId, subject, role, page.limit]);
    return rows.map(toMember);
  },
  async readAccess(sql, courseId, subject) {
    type Row = CourseRow & { readonly roles: string[] };
    const [row] = await sql.rows<Row>(statements.access, [courseId, subject]);
    return row && { course: toCourse(row), roles: row.roles };
  },
  async hasRoleAnywhere(sql, subject, roles) {
    const [row] = await sql.rows<{ found: boolean }>(statements.hasRole, [subject, roles]);
    return row?.found === true;
  },
};

export const toCourse = (row: CourseRow): Course => ({
  courseId: row.course_id,
  owner: row.owner,
  createdBy: row.created_by,
  createdAt: row.created_at,
  archivedAt: row.archived_at ?? undefined,
  deletedAt: row.deleted_at ?? undefined,
  revision: row.revision,
});

const toMember = (row: MemberRow): Member => ({
  subject: row.subject,
  role: row.role,
  since: row.since,
  addedBy: row.added_by,
});
