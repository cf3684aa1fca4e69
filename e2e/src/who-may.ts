import type { CatalogServiceDefinition } from '@coursewright/proto/coursewright/catalog/v1/catalog';
import type { ContentServiceDefinition } from '@coursewright/proto/coursewright/content/v1/content';
import type { DeploymentServiceDefinition } from '@coursewright/proto/coursewright/deployment/v1/deployment';
import type { EventSourceServiceDefinition } from '@coursewright/proto/coursewright/common/v1/event_source';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import type { RequestServiceDefinition } from '@coursewright/proto/coursewright/common/v1/requests';
import type { ReviewServiceDefinition } from '@coursewright/proto/coursewright/review/v1/review';
import type { VersioningServiceDefinition } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import type { ServiceDefinition } from '@coursewright/platform/rpc-definition';
import { newId } from '@coursewright/platform/ids';

/** A course as the requests of the table name it. */
export interface Place {
  readonly course: string;
  readonly module: string;
  readonly lesson: string;
  /** Head of its default branch, which is published. */
  readonly head: string;
  /** An import into it. */
  readonly import: string;
  /** Hash of a file of it. */
  readonly asset: string;
}

/** Who may call a method, and a request that is good but for that. */
export interface Rule {
  /** Roles on the course; `platform`: asked of platform roles; `anyone`: every person, about themselves only. */
  readonly people: readonly string[] | 'platform' | 'anyone';
  /** Processes in their own name. */
  readonly processes: readonly string[];
  readonly request: (place: Place) => object | readonly object[];
  /** It takes the course away from the others: the test gives it one of its own. */
  readonly destroys?: true;
}

export type Rules<D extends ServiceDefinition> = { readonly [K in keyof D['methods']]: Rule };

const STAFF = ['author', 'reviewer', 'publisher', 'deployer', 'admin'];
const ALL = ['learner', ...STAFF];
const WRITERS = ['author', 'admin'];
const NOBODY: readonly string[] = [];
const document = Buffer.from(JSON.stringify({ objectives: [], materials: [], exercises: [], assessments: [] }));
const about = ({ course }: Place): object => ({ courseId: course });
const node = ({ course, head, lesson }: Place): object => ({ courseId: course, ref: head, nodeId: lesson });

/** versioning, method by method. */
export const versioning: Rules<typeof VersioningServiceDefinition> = {
  createCourse: {
    people: NOBODY,
    processes: ['catalog', 'content'],
    request: () => ({ courseId: newId(), fields: { title: 'Made by nobody' } }),
  },
  commit: {
    people: WRITERS,
    processes: NOBODY,
    request: ({ course, module }) => ({
      courseId: course,
      message: 'Who may',
      ops: [
        {
          op: { $case: 'add', value: { parentId: module, kind: NodeKind.LESSON, fields: { title: 'New' } } },
        },
      ],
    }),
  },
  graft: { people: NOBODY, processes: ['content'], request: ({ course }) => ({ courseId: course, from: hidden() }) },
  dropImport: {
    people: NOBODY,
    processes: ['content'],
    request: ({ course }) => ({ courseId: course, name: hidden() }),
  },
  closeCourse: {
    people: NOBODY,
    processes: ['catalog'],
    request: ({ course }) => ({ courseId: course, closed: true }),
    destroys: true,
  },
  locate: { people: 'anyone', processes: ['gateway'], request: ({ lesson }) => ({ ids: [lesson] }) },
  resolveRef: { people: ALL, processes: NOBODY, request: ({ course, head }) => ({ courseId: course, ref: head }) },
  getPublished: { people: NOBODY, processes: ['gateway'], request: about },
  getCourse: { people: ALL, processes: ['content'], request: ({ course, head }) => ({ courseId: course, ref: head }) },
  getOutline: { people: ALL, processes: NOBODY, request: ({ course, head }) => ({ courseId: course, ref: head }) },
  getNode: { people: ALL, processes: NOBODY, request: node },
  listChildren: {
    people: ALL,
    processes: NOBODY,
    request: ({ course, head, module }) => ({ courseId: course, ref: head, parentId: module }),
  },
  listNodes: {
    people: ALL,
    processes: ['content', 'deployment'],
    request: ({ course, head }) => ({ courseId: course, ref: head }),
  },
  listCommits: { people: STAFF, processes: NOBODY, request: about },
  compare: {
    people: STAFF,
    processes: NOBODY,
    request: ({ course, head }) => ({ courseId: course, from: head, to: head }),
  },
  createBranch: {
    people: WRITERS,
    processes: NOBODY,
    request: ({ course }) => ({ courseId: course, name: `b-${newId()}` }),
  },
  getBranch: { people: STAFF, processes: NOBODY, request: ({ course }) => ({ courseId: course, name: 'main' }) },
  listBranches: { people: STAFF, processes: NOBODY, request: about },
  checkIntegrity: { people: STAFF, processes: NOBODY, request: about },
};

const hidden = (): string => `import/${newId()}`;

/** content, method by method. */
export const content: Rules<typeof ContentServiceDefinition> = {
  saveLesson: {
    people: WRITERS,
    processes: NOBODY,
    request: ({ course, lesson }) => ({ courseId: course, lessonId: lesson, content: document, message: '' }),
  },
  getLesson: {
    people: STAFF,
    processes: NOBODY,
    request: ({ course, lesson }) => ({ courseId: course, lessonId: lesson }),
  },
  getRendered: {
    people: ALL,
    processes: NOBODY,
    request: ({ course, lesson, head }) => ({ courseId: course, lessonId: lesson, ref: head }),
  },
  diffBodies: { people: STAFF, processes: NOBODY, request: about },
  getBodies: { people: NOBODY, processes: ['versioning'], request: about },
  putBodies: { people: NOBODY, processes: ['versioning'], request: (place) => [about(place)] },
  checkBodies: { people: NOBODY, processes: ['versioning'], request: about },
  startImport: {
    people: WRITERS,
    processes: NOBODY,
    request: ({ course }) => [
      { part: { $case: 'header', value: { format: 'olx', courseId: course, mediaType: 'application/gzip' } } },
      { part: { $case: 'chunk', value: Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0]) } },
    ],
  },
  getImport: { people: STAFF, processes: NOBODY, request: (place) => ({ id: place.import }) },
  listImportLosses: { people: STAFF, processes: NOBODY, request: (place) => ({ id: place.import }) },
  listImportKept: { people: STAFF, processes: NOBODY, request: (place) => ({ id: place.import }) },
  getAsset: { people: STAFF, processes: NOBODY, request: ({ course, asset }) => ({ courseId: course, hash: asset }) },
  locate: { people: NOBODY, processes: ['gateway'], request: (place) => ({ kind: 'import', id: place.import }) },
};

/** catalog, method by method. */
export const catalog: Rules<typeof CatalogServiceDefinition> = {
  createCourse: { people: 'platform', processes: NOBODY, request: () => ({ fields: { title: 'Who may' } }) },
  registerCourse: {
    people: NOBODY,
    processes: ['content'],
    request: ({ course }) => ({ courseId: course, owner: 'dev-author' }),
  },
  getCourse: { people: ALL, processes: NOBODY, request: about },
  listCourses: { people: 'anyone', processes: NOBODY, request: () => ({}) },
  deleteCourse: { people: ['admin'], processes: NOBODY, request: about, destroys: true },
  // What is deleted only a platform admin sees; what is not nobody else may restore either.
  restoreCourse: { people: NOBODY, processes: NOBODY, request: about },
  getAccess: {
    people: NOBODY,
    processes: ['gateway', 'content'],
    request: ({ course }) => ({ courseId: course, subject: 'somebody' }),
  },
  claimKey: {
    people: NOBODY,
    processes: ['gateway'],
    request: () => ({ actor: 'somebody', key: newId(), fingerprint: 'f' }),
  },
  putMember: {
    people: ['admin'],
    processes: NOBODY,
    request: ({ course }) => ({ courseId: course, subject: 'somebody', role: 'reviewer' }),
  },
  listMembers: { people: STAFF, processes: NOBODY, request: about },
};

/** review, method by method. */
export const review: Rules<typeof ReviewServiceDefinition> = {
  getReviewState: { people: STAFF, processes: NOBODY, request: about },
};

/** deployment, method by method. */
export const deployment: Rules<typeof DeploymentServiceDefinition> = {
  listSubmittableContents: { people: STAFF, processes: NOBODY, request: about },
};

/** What every service answers about its events; `consumers` are those that have an effect of them. */
export function eventSource(consumers: readonly string[]): Rules<typeof EventSourceServiceDefinition> {
  const asked = { people: NOBODY, processes: consumers, request: about };
  return { eventsSince: asked, watermarks: asked, getState: asked };
}

/** What every service answers about keyed writes. */
export function requests(askers: readonly string[]): Rules<typeof RequestServiceDefinition> {
  return {
    recall: {
      people: NOBODY,
      processes: askers,
      request: () => ({ actor: 'somebody', key: newId(), fingerprint: 'f' }),
    },
  };
}
