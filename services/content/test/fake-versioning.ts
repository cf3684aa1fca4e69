import { createHash } from 'node:crypto';
import { AppError } from '@coursewright/platform/errors';
import type { AddedNode, As, Call, Catalog, LessonNode, Versioning } from '../src/operations/ports.js';

interface Course {
  fields: Record<string, unknown>;
  head: string;
  nodes: Map<string, AddedNode & { updatedBy: string }>;
  hidden: Map<string, AddedNode[]>;
}

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
      ...{ courseId, lessonId, kind: node.kind, fields: node.fields, body: node.body, commit: course.head },
      ...{
        refKind: branch ? 'branch' : 'commit',
        refName: branch ? 'main' : '',
        updatedAt: new Date(),
        updatedBy: node.updatedBy,
      },
    };
  }

  async setBody(
    change: Parameters<Versioning['setBody']>[0],
    as: As,
  ): Promise<{ commit: string; at: Date; unchanged: boolean }> {
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
      return { commit: course.head, at: new Date(), unchanged: false };
    });
  }

  async madeBefore(call: Call): Promise<{ commit: string; at: Date; unchanged: boolean } | undefined> {
    const made = this.commands.get(call.command?.id ?? '');
    return made as { commit: string; at: Date; unchanged: boolean } | undefined;
  }

  async createCourse(
    { courseId, fields }: { courseId: string; fields: Record<string, unknown> },
    as: As,
  ): Promise<void> {
    this.once(as, () => {
      if (!this.courses.has(courseId))
        this.courses.set(courseId, { fields, head: this.next(), nodes: new Map(), hidden: new Map() });
    });
  }

  async head(courseId: string): Promise<string> {
    return this.course(courseId).head;
  }

  async addNodes(
    { importId, courseId, nodes }: Parameters<Versioning['addNodes']>[0],
    as: As,
  ): Promise<{ commit: string }> {
    return this.once(as, () => {
      const course = this.course(courseId);
      const hidden = course.hidden.get(importId) ?? [];
      const known = new Set([courseId, ...hidden.map((node) => node.id)]);
      for (const node of nodes) {
        if (known.has(node.id)) throw new AppError('conflict', 'ID_TAKEN', { id: node.id });
        if (!known.has(node.parentId ?? '')) throw new AppError('conflict', 'PARENT_GONE', { id: node.parentId });
        known.add(node.id);
      }
      if (nodes.length > 1000) throw new AppError('invalid_argument', 'TOO_MANY_OPS');
      course.hidden.set(importId, [...hidden, ...nodes]);
      return { commit: this.next() };
    });
  }

  async graft({ importId, courseId }: { importId: string; courseId: string }, as: As): Promise<{ commit: string }> {
    return this.once(as, () => {
      const course = this.course(courseId);
      for (const node of course.hidden.get(importId) ?? []) {
        if (course.nodes.has(node.id)) throw new AppError('conflict', 'ID_TAKEN', { id: node.id });
        course.nodes.set(node.id, { ...node, updatedBy: '' });
      }
      course.head = this.next();
      return { commit: course.head };
    });
  }

  async registerCourse({ courseId, owner }: { courseId: string; owner: string }): Promise<void> {
    this.registered.set(courseId, owner);
  }

  async rolesOn(): Promise<readonly string[]> {
    return this.roles;
  }
}
