// npm run bench:versioning — commit, branch, diff, outline and bytes at 1,000 and 100,000 lessons, inside the service (S4, S5).
// BENCH_POSTGRES_URL names a PostgreSQL server to use; without it a system of its own is started.
import { newId } from '@coursewright/platform/ids';
import { commitSize } from '@coursewright/versioning/domain/commit';
import { createBranch } from '@coursewright/versioning/operations/branches';
import { CommitQueue } from '@coursewright/versioning/operations/commit-queue';
import { Comparer } from '@coursewright/versioning/operations/compare';
import { getOutline } from '@coursewright/versioning/operations/nodes';
import { resultOf, type WriteResult } from '@coursewright/versioning/operations/outcomes';
import { resolveRef } from '@coursewright/versioning/operations/refs';
import { startBenchSystem } from './bench-system.js';
import { quantile, report, row, type Row } from './report.js';
import {
  bodyOf,
  loadCourse,
  makeCourse,
  openBenchStore,
  type BenchCourse,
  type BenchStore,
  type Shape,
} from './versioning-course.js';
import { GitCourse } from './versioning-git.js';

const shapes: readonly { readonly name: string; readonly small: Shape; readonly large: Shape }[] = [
  { name: 'deep', small: [10, 10, 10], large: [50, 20, 100] },
  { name: 'wide', small: [2, 5, 100], large: [2, 5, 10_000] },
];
const samples = 200;
const limits = { commit: 5, branch: 1, diff: 3, outline: 10 } as const;
type Metric = keyof typeof limits;
type Times = Record<Metric, number[]>;

interface Measured {
  readonly ours: Times;
  readonly git: Times;
  readonly bytes: number[];
  readonly listBytes: number[];
  gitBytes: number;
}

/** A course in both stores, with what was measured on it. */
interface Subject extends Measured {
  readonly shape: Shape;
  readonly course: BenchCourse;
  readonly repository: GitCourse;
  /** Some lesson, by its path. */
  readonly any: () => readonly [string, string, string];
}

async function timed(times: number[], work: () => Promise<unknown>): Promise<void> {
  const started = performance.now();
  await work();
  times.push(performance.now() - started);
}

const none = (): Times => ({ commit: [], branch: [], diff: [], outline: [] });

async function commitEdits(
  store: BenchStore,
  queue: CommitQueue,
  course: BenchCourse,
  lessons: readonly string[],
): Promise<WriteResult> {
  const ops = lessons.map((node) => ({ op: 'setBody', node, body: bodyOf(newId()) }) as const);
  const outcome = await queue.commit({
    courseId: course.courseId,
    branch: '',
    base: '',
    expectedHead: '',
    expect: [],
    ops,
    start: '',
    author: { id: 'bench', name: 'Bench' },
    message: 'An edit',
    kind: 'edit',
    mayPassProtection: false,
    command: { actor: 'bench', id: newId(), fingerprint: 'f', kept: 'minted' },
  });
  return resultOf(outcome);
}

/** Where about a thousand nodes are to be listed in this shape: below which node, how deep. */
function outlineOf(course: BenchCourse, shape: Shape): { root: string; depth: number | null } {
  const [units, modules, lessons] = shape;
  if (units * modules >= 1_000) return { root: '', depth: null };
  return lessons >= 1_000 ? { root: course.lessons[0]![1], depth: 1 } : { root: '', depth: 3 };
}

async function prepare(store: BenchStore, shape: Shape): Promise<Subject> {
  const course = makeCourse(shape);
  await loadCourse(store, course);
  const any = (): readonly [string, string, string] =>
    course.lessons[Math.floor(Math.random() * course.lessons.length)]!;
  const repository = await GitCourse.load(course);
  return { shape, course, repository, any, ours: none(), git: none(), bytes: [], listBytes: [], gitBytes: 0 };
}

/** Measures all subjects turn by turn, so that a busy moment of the machine falls on each alike. */
async function measure(store: BenchStore, subjects: readonly Subject[]): Promise<void> {
  const queue = new CommitQueue(store.deps);
  const reads = store.deps.store;
  for (let n = -20; n < samples; n++) {
    for (const { course, any, ours, bytes, listBytes } of subjects) {
      const { courseId } = course;
      const times = n < 0 ? none() : ours;
      await timed(n < 0 ? [] : bare, () => store.database.tx((sql) => sql.rows(bareInsert, [newId()])));
      await timed(times.commit, () => commitEdits(store, queue, course, [any()[2]]));
      if (n >= 0) sizes(store, { bytes, listBytes });
      const branch = {
        courseId,
        name: `b${n}x`,
        from: '',
        isProtected: false,
        metadata: {},
        createdBy: 'bench',
        command: { actor: 'bench', id: newId(), fingerprint: 'f', kept: 'minted' },
      } as const;
      await timed(times.branch, () => createBranch(store.deps, branch));
    }
  }
  for (let n = -10; n < 50; n++) {
    for (const { course, any, ours, shape } of subjects) {
      const { courseId } = course;
      const from = await resolveRef(reads, courseId, '');
      await commitEdits(
        store,
        queue,
        course,
        Array.from({ length: 10 }, () => any()[2]),
      );
      const to = await resolveRef(reads, courseId, '');
      await timed(n < 0 ? [] : ours.diff, () => new Comparer().compare(reads, { from, to }, { offset: 0, limit: 50 }));
      const ask = outlineOf(course, shape);
      await timed(n < 0 ? [] : ours.outline, async () => getOutline(reads, await resolveRef(reads, courseId, ''), ask));
    }
  }
  for (const subject of subjects) await measureGit(subject);
}

const bare: number[] = [];
const bareInsert = {
  name: 'bench_bare',
  text: `INSERT INTO meta (name, value) VALUES ($1::text, '')`,
};

async function measureGit(subject: Subject): Promise<void> {
  const { repository, course, any, git } = subject;
  const before = repository.looseBytes();
  for (let n = 0; n < 30; n++) await timed(git.commit, () => repository.edit([any()], bodyOf(String(n))));
  subject.gitBytes = (repository.looseBytes() - before) / 30;
  for (let n = 0; n < 30; n++) await timed(git.branch, () => repository.branch(`b${n}`));
  for (let n = 0; n < 20; n++) {
    await repository.edit(Array.from({ length: 10 }, any), bodyOf(`d${n}`));
    await timed(git.diff, () => repository.diff());
  }
  const paths = course.lessons.slice(0, 1_000).map((path) => `${path.join('/')}.json`);
  for (let n = 0; n < 5; n++) await timed(git.outline, () => repository.heads(paths));
  repository.remove();
}

/** Bytes of what the last change wrote: objects, lists among them, and the commit. */
function sizes(store: BenchStore, into: { bytes: number[]; listBytes: number[] }): void {
  const change = store.written.at(-1)!;
  const sum = (types: readonly string[]): number =>
    change.objects.reduce((total, { type, data }) => total + (types.includes(type) ? Buffer.byteLength(data) : 0), 0);
  const commits = change.commits.reduce((total, commit) => total + commitSize(commit), 0);
  into.bytes.push(sum(['node', 'list', 'index']) + commits);
  into.listBytes.push(sum(['list']));
  store.written.length = 0;
}

function rowsOf(name: string, small: Measured, large: Measured): Row[] {
  const rows: Row[] = [];
  const words: Record<Metric, string> = {
    commit: 'commit of one edit',
    branch: 'branch',
    diff: 'diff of 10 changes',
    outline: 'outline of 1,000 nodes',
  };
  for (const metric of Object.keys(limits) as Metric[]) {
    const [p50, p99] = [quantile(large.ours[metric], 0.5), quantile(large.ours[metric], 0.99)];
    const at1k = quantile(small.ours[metric], 0.5);
    const label = `${words[metric]}, ${name}`;
    rows.push(
      row('S4', `${label}, 100k lessons, p50`, p50, {
        unit: 'ms',
        floor: quantile(large.git[metric], 0.5),
        target: `< ${limits[metric]} ms`,
        met: p50 < limits[metric],
      }),
      row('S4', `${label}, 100k lessons, p99`, p99, { unit: 'ms', floor: quantile(large.git[metric], 0.99) }),
      row('S4', `${label}, 1k lessons, p50`, at1k, { unit: 'ms', floor: quantile(small.git[metric], 0.5) }),
      row('S4', `${label}, 100k against 1k`, p50 / at1k, { unit: '×', target: '≤ 2 ×', met: p50 / at1k <= 2 }),
    );
  }
  for (const [size, { bytes, listBytes, gitBytes }] of [
    ['100k', large],
    ['1k', small],
  ] as const) {
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    const line = (metric: string, value: number, limit: number, floor?: number): Row =>
      row('S5', `${metric} an edit, ${name}, ${size} lessons`, value, {
        unit: 'bytes',
        target: `≤ ${limit}`,
        met: value <= limit,
        ...(floor === undefined ? {} : { floor }),
      });
    rows.push(
      line('object and commit bytes, mean', mean(bytes), 8_000, gitBytes),
      line('object and commit bytes, max', Math.max(...bytes), 10_000),
      line('list bytes, mean', mean(listBytes), 6_500),
      line('list bytes, max', Math.max(...listBytes), 8_500),
    );
  }
  return rows;
}

const given = process.env.BENCH_POSTGRES_URL;
const system = given === undefined ? await startBenchSystem() : undefined;
const store = await openBenchStore(given ?? system!.servers.postgres);
try {
  const rows: Row[] = [];
  for (const { name, small, large } of shapes) {
    const subjects = [await prepare(store, small), await prepare(store, large)] as const;
    await measure(store, subjects);
    rows.push(...rowsOf(name, ...subjects));
  }
  rows.push(row('S4', 'a bare transaction of one small row, p50', quantile(bare, 0.5), { unit: 'ms' }));
  rows.push(row('S4', 'a bare transaction of one small row, p99', quantile(bare, 0.99), { unit: 'ms' }));
  report('versioning', rows, [
    'Structure only, inside the service, PostgreSQL durable; each commit and branch with its command, event and history, as a call makes it.',
    'Floor: git plumbing on the same trees (fast-import, update-ref, diff-tree, cat-file --batch), a process each time.',
  ]);
} finally {
  await store.close();
  await system?.stop();
}
