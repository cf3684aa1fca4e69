import { can, ROLES, type Role } from '@coursewright/course-model/access';
import type { FieldProblem } from '@coursewright/platform/errors';
import { invalidRequest } from './errors.js';

/** A role that a subject has on a course. */
export interface Member {
  readonly subject: string;
  readonly role: string;
  readonly since: Date;
  readonly addedBy: string;
}

/** Roles on a course with which one sees its draft. */
export const staffRoles: readonly string[] = ROLES.filter((role) => can([role], 'course.read-draft'));

const subjectForm = /^[^\s\p{C}]{1,200}$/u;

/** Checks who shall get which role. Throws invalid_argument INVALID_REQUEST. */
export function checkMember(subject: string, role: string): { subject: string; role: Role } {
  const problems: FieldProblem[] = [];
  // A service's name is never a member: its rights come from its key.
  if (!subjectForm.test(subject) || subject.startsWith('service:'))
    problems.push({ pointer: '/subject', code: 'invalid', message: 'must be 1 to 200 visible characters' });
  const known = ROLES.find((name) => name === role);
  if (known === undefined)
    problems.push({ pointer: '/role', code: 'invalid', message: `must be one of ${ROLES.join(', ')}` });
  if (problems.length > 0 || known === undefined) throw invalidRequest(problems);
  return { subject, role: known };
}

/** The roles somebody has on a live course: those of his memberships, and admin for its owner. */
export function rolesOf(owner: string, subject: string, memberRoles: readonly string[]): string[] {
  const roles = new Set(memberRoles);
  if (owner === subject) roles.add('admin');
  return [...roles].sort();
}
