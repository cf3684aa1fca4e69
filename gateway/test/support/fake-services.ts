import { createHash } from 'node:crypto';
import type { LessonDocument } from '@coursewright/course-model/lesson';
import { anyone } from '@coursewright/platform/testing/anyone';
import { normalizeLesson } from '@coursewright/course-model/normalize-lesson';
import { rolesOn } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { newId, toHash } from '@coursewright/platform/ids';
import { serve, type Served } from '@coursewright/platform/rpc-server';
import { CatalogServiceDefinition, CourseRecord } from '@coursewright/proto/coursewright/catalog/v1/catalog';
import {
  ContentServiceDefinition,
  Import,
  type BodyDiff,
  type BodyPair,
  type GetAssetRequest,
  type KeptPart,
} from '@coursewright/proto/coursewright/content/v1/content';
import type { PartialOf } from '@coursewright/platform/rpc-definition';
import { ReviewServiceDefinition } from '@coursewright/proto/coursewright/review/v1/review';
import { CommitRequest, Part } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { FakeRequests, hashOf, type FakeVersioning } from './fake-versioning.js';

interface Registered {
  record: CourseRecord;
  members: Map<string, string[]>;
}

/** A registry in memory. */
export class FakeCatalog {
  readonly courses = new Map<string, Registered>();
  readonly requests = new FakeRequests();
  readonly accessAsked: string[] = [];
  /** First fingerprints of clients' keys, by actor and key. */
  readonly claims = new Map<string, string>();
  /** Runs before a key is claimed, and before a deletion looks at anything. */
  beforeClaim: () => Promise<void> = async () => undefined;
  beforeDelete: () => Promise<void> = async () => undefined;
  constructor(private readonly versioning: FakeVersioning) {}

  add(owner: string, fields: Record<string, unknown>): CourseRecord {
    const courseId = newId();
    const commit = this.versioning.create(courseId, fields);
    const record = CourseRecord.fromPartial({
      ...{ courseId, commit, owner, createdBy: owner, createdAt: new Date(0), revision: 1, reviewState: 'none' },
    });
    this.courses.set(courseId, { record, members: new Map([[owner, ['admin']]]) });
    return record;
  }

  #of(courseId: string): Registered {
    const found = this.courses.get(courseId);
    if (!found) throw new AppError('not_found', 'COURSE_NOT_FOUND');
    return found;
  }

  served(): Served {
    const unused = async (): Promise<never> => {
      throw new AppError('unimplemented', 'UNIMPLEMENTED');
    };
    return serve(CatalogServiceDefinition, anyone(CatalogServiceDefinition), {
      claimKey: async ({ actor, key, fingerprint }, call) => {
        if (call.actor.sub !== 'service:gateway') throw new AppError('permission_denied', 'FORBIDDEN');
        await this.beforeClaim();
        const first = this.claims.get(`${actor}\n${key}`) ?? fingerprint;
        this.claims.set(`${actor}\n${key}`, first);
        return { matches: first === fingerprint };
      },
      registerCourse: unused,
      putMember: unused,
      listMembers: unused,
      createCourse: async ({ fields }, call) => {
        const record = this.add(call.actor.sub, fields ?? {});
        this.requests.keep(call, CourseRecord.toJSON(record) as Record<string, unknown>);
        return record;
      },
      getCourse: async ({ courseId }, call) => {
        const { record } = this.#of(courseId);
        const isHidden = record.deletedAt !== undefined && !call.actor.roles.includes('admin');
        if (isHidden || rolesOn(call.actor, courseId).length === 0) throw new AppError('not_found', 'COURSE_NOT_FOUND');
        return record;
      },
      listCourses: async (request, call) => {
        if (request.sort === 'relevance' && request.query === '') {
          const fields = [{ pointer: '/sort', code: 'invalid', message: 'relevance needs a query' }];
          throw new AppError('invalid_argument', 'INVALID_REQUEST', {}, { fields });
        }
        const mine = [...this.courses.values()].filter(({ members }) => members.has(call.actor.sub));
        const from = Number(request.cursor || 0);
        const courses = mine.slice(from, from + request.limit).map(({ record }) => ({
          ...{ courseId: record.courseId, fields: { title: 'Listed' }, status: 'draft', owner: record.owner },
          ...{ createdAt: new Date(0), updatedAt: new Date(0), head: record.commit, defaultBranch: 'main' },
        }));
        const end = from + courses.length;
        const facets = request.facets ? [{ name: 'topic', values: [{ value: 'Law', count: 2 }] }] : [];
        return { courses, next: end < mine.length ? String(end) : '', facets };
      },
      deleteCourse: async ({ courseId, expectedRevision, expectedTree }, call) => {
        await this.beforeDelete();
        const { record } = this.#of(courseId);
        if (expectedRevision !== undefined && expectedRevision !== record.revision)
          throw new AppError('stale', 'STALE');
        const { commit } = this.versioning.at(courseId, '');
        const { treeEtag } = this.versioning.node(courseId, commit.tree, courseId);
        if (expectedTree !== '' && expectedTree !== treeEtag) throw new AppError('stale', 'STALE');
        Object.assign(record, { deletedAt: new Date(), revision: record.revision + 1 });
        this.requests.keep(call, CourseRecord.toJSON(record) as Record<string, unknown>);
        return record;
      },
      restoreCourse: async ({ courseId }, call) => {
        const { record } = this.#of(courseId);
        Object.assign(record, { deletedAt: undefined, revision: record.revision + 1 });
        this.requests.keep(call, CourseRecord.toJSON(record) as Record<string, unknown>);
        return record;
      },
      getAccess: async ({ courseId, subject }, call) => {
        if (call.actor.sub !== 'service:gateway') throw new AppError('permission_denied', 'FORBIDDEN');
        this.accessAsked.push(`${courseId} ${subject}`);
        const found = this.courses.get(courseId);
        if (!found || found.record.deletedAt) return { exists: false, deleted: found !== undefined };
        return { exists: true, roles: found.members.get(subject) ?? [] };
      },
    });
  }
}

type PartialDiff = Omit<PartialOf<typeof BodyDiff>, 'nodeId'>;

/** Bodies and imports in memory. */
export class FakeContent {
  readonly bodies = new Map<string, Buffer>();
  readonly imports = new Map<string, Import>();
  readonly files = new Map<string, { courses: string[]; name: string; type: string; bytes: Buffer }>();
  /** Files that are being read. */
  readonly open = new Set<string>();
  /** What every import has kept. */
  kept: KeptPart[] = [];
  readonly requests = new FakeRequests();
  uploaded = 0;
  /** What differs in a pair of bodies; replaced by tests of large ones. */
  diff: (pair: BodyPair) => PartialDiff | Promise<PartialDiff> = ({ from, to }) => ({
    changes: [{ pointer: '/materials/a/content', change: 'edited', from, to, hunks: [{ lines: ['-a', '+b'] }] }],
  });
  /** Refuses imports before it has read them. */
  refusal: AppError | undefined;
  constructor(private readonly versioning: FakeVersioning) {}

  served(): Served {
    const { files, open } = this;
    const unused = async (): Promise<never> => {
      throw new AppError('unimplemented', 'UNIMPLEMENTED');
    };
    const empty = Buffer.from('{"objectives":[],"materials":[],"exercises":[],"assessments":[],"order":[]}');
    const lesson = (courseId: string, lessonId: string, ref: string) => {
      const { commit, kind, name } = this.versioning.at(courseId, ref);
      const node = this.versioning.node(courseId, commit.tree, lessonId);
      return {
        ...{
          courseId,
          lessonId,
          branch: kind === 'branch' ? name : '',
          commit: commit.hash,
          hash: node.body || 'none',
        },
        ...{ content: this.bodies.get(node.body!) ?? empty, updatedAt: new Date(0), updatedBy: 'maker' },
      };
    };
    return serve(ContentServiceDefinition, anyone(ContentServiceDefinition), {
      checkBodies: unused,
      async *getBodies() {},
      putBodies: unused,
      saveLesson: async (request, call) => {
        const { courseId, lessonId, branch } = request;
        let sent: unknown;
        try {
          sent = JSON.parse(Buffer.from(request.content).toString());
        } catch {
          throw new AppError('invalid_argument', 'MALFORMED_JSON');
        }
        const before = this.bodies.get(lesson(courseId, lessonId, branch).hash);
        const made = normalizeLesson(sent, before ? (JSON.parse(before.toString()) as LessonDocument) : null, newId);
        if (!made.ok) throw new AppError('invalid_argument', 'INVALID_LESSON', {}, { fields: made.problems });
        const body = toHash(made.body.hash);
        this.bodies.set(body, Buffer.from(JSON.stringify(made.body.doc)));
        const etag = request.expectedBody ?? '*';
        const commit = CommitRequest.fromPartial({
          ...{ courseId, branch, expectedHead: request.expectedHead, message: request.message },
          expect: [{ nodeId: lessonId, part: Part.BODY, etag }],
          ops: [{ op: { $case: 'setBody', value: { nodeId: lessonId, body } } }],
        });
        const { unchanged } = this.versioning.commit(commit, call);
        return { ...lesson(courseId, lessonId, branch), unchanged };
      },
      getLesson: async ({ courseId, lessonId, ref }) => lesson(courseId, lessonId, ref),
      getRendered: async ({ courseId, lessonId, ref }, call) => {
        const isLearner = rolesOn(call.actor, courseId).includes('learner');
        const { hash } = lesson(courseId, lessonId, ref);
        return { lessonId, courseId, commit: isLearner ? '' : ref, hash: isLearner ? hashOf(`keyed ${hash}`) : hash };
      },
      diffBodies: async ({ pairs }) => ({
        diffs: await Promise.all(pairs.map(async (pair) => ({ nodeId: pair.nodeId, ...(await this.diff(pair)) }))),
      }),
      startImport: async (requests, call) => {
        if (this.refusal) throw this.refusal;
        let header: { format: string; courseId: string } | undefined;
        const bytes = createHash('sha256');
        for await (const { part } of requests) {
          if (part?.$case === 'header') header = part.value;
          else {
            this.uploaded += part?.value.length ?? 0;
            bytes.update(part?.value ?? '');
          }
        }
        const fingerprint = `${call.command?.fingerprint} ${bytes.digest('base64url')}`;
        const before = this.requests.kept.get(`${call.actor.sub}\n${call.command?.id}`);
        if (before && before.fingerprint !== fingerprint) throw new AppError('unprocessable', 'IDEMPOTENCY_KEY_REUSED');
        if (before) return { ...this.imports.get(String(before.result['importId']))!, replayed: true };
        const job = Import.fromPartial({
          ...{ id: newId(), format: header?.format ?? '', courseId: header?.courseId ?? '', state: 'running' },
          ...{ startedBy: call.actor.sub, startedAt: new Date(0), revision: 1 },
        });
        this.imports.set(job.id, job);
        this.requests.keep({ ...call, command: { ...call.command!, fingerprint } }, { importId: job.id });
        return job;
      },
      getImport: async ({ id }) => this.imports.get(id)!,
      listImportLosses: async ({ id, cursor, limit }) => {
        const { losses } = this.imports.get(id)!;
        const from = Number(cursor);
        return {
          losses: losses.slice(from, from + limit),
          next: from + limit < losses.length ? `${from + limit}` : '',
        };
      },
      listImportKept: async () => ({ parts: this.kept }),
      getAsset: async function* (this: void, { courseId, hash }: GetAssetRequest) {
        const file = files.get(hash);
        if (!file?.courses.includes(courseId)) throw new AppError('not_found', 'ASSET_NOT_FOUND');
        const { name, type, bytes } = file;
        const { breaksAt = Infinity } = bytes as Buffer & { breaksAt?: number };
        open.add(hash);
        try {
          yield { part: { $case: 'header' as const, value: { name, type, bytes: bytes.length } } };
          for (let at = 0; at < bytes.length; at += 1000) {
            if (at >= breaksAt) throw new AppError('internal', 'STORED_FILE_CORRUPT');
            yield { part: { $case: 'chunk' as const, value: bytes.subarray(at, at + 1000) } };
          }
        } finally {
          open.delete(hash);
        }
      },
      locate: async ({ kind, id }) => {
        if (kind === 'asset') return { courseIds: files.get(id)?.courses ?? [] };
        const job = this.imports.get(id);
        return { courseId: job?.courseId ?? '', startedBy: job?.startedBy ?? '' };
      },
    });
  }
}

/** A review that says what it is told to. */
export class FakeReview {
  state = { state: 'none', tree: '' };
  served(): Served {
    return serve(ReviewServiceDefinition, anyone(ReviewServiceDefinition), { getReviewState: async () => this.state });
  }
}
