import { createHash } from 'node:crypto';
import type { Audience } from '@coursewright/course-model/lesson';
import { AppError } from '@coursewright/platform/errors';
import { fieldMarks, type KnownNode } from '../src/domain/import-ops.js';
import type { AddedNode, As, Call, Catalog, LessonNode, Made, StoredOp, Versioning } from '../src/operations/ports.js';

interface Course {
  fields: Record<string, unknown>;
  head: string;
  source?: { key: string };
  nodes: Map<string, Placed>;
  hidden: Map<string, Map<string, Placed>>;
}

type Placed = AddedNode & { updatedBy: string };

/**
 * An implementation of content's two ports in memory, as strict as the services: parents must be there, ids are added once, a
 * repeated command gets its first result. Only for tests of this service alone; the whole system is tested in e2e.
 */
export class FakeServices implements Versioning, Catalog {
  readonly courses = new Map<string, Course>();
  readonly registered = new Map<string, string>();
  readonly commands = new Map<string, unknown>();
  roles: readonly string[] = ['author'];
  commits = 0;
  /** Whom every lesson is for. */
  audience: Audience = 'learner';
  /** The imports that were dropped, in order. */
  readonly dropped: string[] = [];
  /** Versioning does not answer when something is to be dropped. */
  away = false;
  /** Courses that are marked as deleted. */
  readonly deleted = new Set<string>();
  /** What every graft is refused with. */
  refusal: AppError | undefined;

  private course(id: string): Course {
    const course = this.courses.get(id);
    if (!course) throw new AppError('not_found', 'COURSE_NOT_FOUND', { courseId: id });
    return course;
  }

  private next(): string {
    return createHash('sha256').update(String(++this.commits)).digest('base64url');
  }

  private once<T>(as: As, work: () => T): T {
    const id = 'call' in as ? as.call.command?.id : as.command?.id;
    if (id !== undefined && this.commands.has(id)) return this.commands.get(id) as T;
    const result = work();
    if (id !== undefined) this.commands.set(id, result);
    return result;
  }

  /** Puts a lesson into a course, for tests that need no import. */
  addLesson(courseId: string, lessonId: string): void {
    const course = this.courses.get(courseId) ?? { fields: {}, head: this.next(), nodes: new Map(), hidden: new Map() };
    this.courses.set(courseId, course);
    const source = { format: 'olx', key: 'x' };
    course.nodes.set(lessonId, {
      id: lessonId,
      parentId: courseId,
      kind: 'lesson',
      fields: { title: 'L' },
      source,
      body: null,
      updatedBy: '',
    });
  }

  async getLesson({
    courseId,
    lessonId,
    ref,
  }: {
    courseId: string;
    lessonId: string;
    ref: string;
  }): Promise<LessonNode> {
    const course = this.course(courseId);
    const node = course.nodes.get(lessonId);
    if (!node) throw new AppError('not_found', 'NODE_NOT_FOUND', { nodeId: lessonId });
    const branch = ref === '' || ref === 'main';
    return {
      ...{
        courseId,
        lessonId,
        kind: node.kind,
        fields: node.fields,
        body: node.body,
        audience: this.audience,
        commit: course.head,
        head: course.head,
      },
      ...{
        refKind: branch ? 'branch' : 'commit',
        refName: branch ? 'main' : '',
        updatedAt: new Date(),
        updatedBy: node.updatedBy,
      },
    };
  }

  async setBody(change: Parameters<Versioning['setBody']>[0], as: As): Promise<Made> {
    return this.once(as, () => {
      const course = this.course(change.courseId);
      const node = course.nodes.get(change.lessonId);
      if (!node) throw new AppError('conflict', 'NODE_GONE');
      if (change.expectedBody !== undefined && change.expectedBody !== (node.body ?? 'none'))
        throw new AppError('stale', 'STALE');
      if (change.expectedHead !== undefined && change.expectedHead !== course.head)
        throw new AppError('stale', 'STALE');
      course.nodes.set(node.id, { ...node, body: change.body });
      course.head = this.next();
      return { commit: course.head, branch: 'main', at: new Date(), unchanged: false };
    });
  }

  async madeBefore(call: Call): Promise<Made | undefined> {
    const made = this.commands.get(call.command?.id ?? '');
    return made as Made | undefined;
  }

  async createCourse({ courseId, fields, source }: Parameters<Versioning['createCourse']>[0], as: As): Promise<void> {
    this.once(as, () => {
      if (!this.courses.has(courseId))
        this.courses.set(courseId, {
          fields: { ...fields },
          source,
          head: this.next(),
          nodes: new Map(),
          hidden: new Map(),
        });
    });
  }

  async head(courseId: string): Promise<string> {
    return this.course(courseId).head;
  }

  async listSourced({ courseId, format }: { courseId: string; format: string }): Promise<KnownNode[]> {
    const course = this.course(courseId);
    const known: KnownNode[] = [];
    if (course.source)
      known.push({
        id: courseId,
        kind: 'course',
        parentId: null,
        marks: fieldMarks(course.fields),
        body: null,
        key: course.source.key,
      });
    const walk = (parentId: string): void => {
      for (const node of course.nodes.values()) {
        if (node.parentId !== parentId) continue;
        const { id, kind, fields, body, source } = node;
        if (source.format === format)
          known.push({ id, kind, parentId, marks: fieldMarks(fields), body, key: source.key });
        walk(id);
      }
    };
    walk(courseId);
    return known;
  }

  async applyStep(
    { importId, courseId, start, ops }: Parameters<Versioning['applyStep']>[0],
    as: As,
  ): Promise<{ commit: string }> {
    return this.once(as, () => {
      const course = this.course(courseId);
      if (ops.length === 0 || ops.length > 1000) throw new AppError('invalid_argument', 'BAD_OPS');
      if (start !== undefined && !course.hidden.has(importId)) course.hidden.set(importId, new Map(course.nodes));
      const hidden = course.hidden.get(importId) ?? new Map<string, Placed>();
      course.hidden.set(importId, hidden);
      for (const op of ops) this.apply(courseId, hidden, op);
      return { commit: this.next() };
    });
  }

  private apply(courseId: string, hidden: Map<string, Placed>, op: StoredOp): void {
    if (op.op === 'add') {
      if (hidden.has(op.node.id)) throw new AppError('conflict', 'ID_TAKEN', { id: op.node.id });
      const parent = op.node.parentId ?? '';
      if (parent !== courseId && !hidden.has(parent)) throw new AppError('conflict', 'PARENT_GONE', { id: parent });
      hidden.set(op.node.id, { ...op.node, updatedBy: '' });
      return;
    }
    if (op.op === 'reorder') {
      const moved = op.children.map((id) => hidden.get(id)).filter((node) => node !== undefined);
      for (const node of moved) hidden.delete(node.id);
      for (const node of moved) hidden.set(node.id, node);
      return;
    }
    const node = hidden.get(op.nodeId);
    if (op.nodeId === courseId && op.op === 'setFields') patch(this.course(courseId).fields, op.fields);
    else if (!node) throw new AppError('conflict', 'NODE_GONE', { id: op.nodeId });
    else if (op.op === 'setFields') hidden.set(node.id, { ...node, fields: patch({ ...node.fields }, op.fields) });
    else if (op.op === 'setBody') hidden.set(node.id, { ...node, body: op.body });
    else {
      hidden.delete(node.id);
      hidden.set(node.id, { ...node, parentId: op.parentId });
    }
  }

  async graft(
    { importId, courseId, start }: { importId: string; courseId: string; start?: string },
    as: As,
  ): Promise<{ commit: string }> {
    return this.once(as, () => {
      if (this.refusal) throw this.refusal;
      const course = this.course(courseId);
      const hidden = course.hidden.get(importId);
      if (!hidden) throw new AppError('not_found', 'REF_NOT_FOUND');
      if (start !== undefined && start !== course.head) throw new AppError('stale', 'STALE', { head: course.head });
      if (start !== undefined) course.nodes.clear();
      for (const node of hidden.values()) {
        if (course.nodes.has(node.id)) throw new AppError('conflict', 'ID_TAKEN', { id: node.id });
        course.nodes.set(node.id, node);
      }
      course.head = this.next();
      return { commit: course.head };
    });
  }

  /** As the service does it: a ref that is gone is a success, a course with more than its first commit stays. */
  async dropImport(what: { importId: string; courseId: string; courseUnregistered: boolean }): Promise<void> {
    if (this.away) throw new AppError('unavailable', 'SERVICE_UNAVAILABLE');
    this.dropped.push(what.importId);
    const course = this.courses.get(what.courseId);
    course?.hidden.delete(what.importId);
    if (what.courseUnregistered && course?.nodes.size === 0 && course.hidden.size === 0)
      this.courses.delete(what.courseId);
  }

  async isRegistered(courseId: string): Promise<boolean> {
    return this.registered.has(courseId);
  }

  async isDeleted(courseId: string): Promise<boolean> {
    return this.deleted.has(courseId);
  }

  async registerCourse({ courseId, owner }: { courseId: string; owner: string }): Promise<void> {
    this.registered.set(courseId, owner);
  }

  async rolesOn(): Promise<readonly string[]> {
    return this.roles;
  }
}

/** As versioning does it: null takes a field away. */
function patch(fields: Record<string, unknown>, changes: Record<string, unknown>): Record<string, unknown> {
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) delete fields[name];
    else fields[name] = value;
  }
  return fields;
}
