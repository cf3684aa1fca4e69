import { setTimeout as sleep } from 'node:timers/promises';
import { Api } from '../src/api.js';
import { makeCourse, type SmallCourse } from '../src/course.js';
import { checkAnswers, haveWorked, tally } from './answers.js';
import { atOnce } from './at-once.js';
import type { ChaosSystem } from './chaos-system.js';
import { Client, PatientApi } from './client.js';
import { readEtags, readTree } from './course-state.js';
import type { Fault } from './faults.js';
import type { ImportRun, Violation } from './history.js';
import { runImports } from './importer.js';
import { Observer } from './observe.js';
import { randomOf } from './random.js';
import { longestStaleness, rightAfter } from './trail.js';
import { settle, verifyCourse, verifyImports, type Begun } from './verify.js';
import { Writer, type Journal } from './writers.js';

/** What one drill showed. */
export interface DrillResult {
  readonly fault: string;
  readonly seed: number;
  readonly acknowledged: number;
  readonly lost: number;
  readonly doubled: number;
  /** From the fault's end until every process said that it was ready; null when it never did. */
  readonly readyMs: number | null;
  /** What was the last to be ready; empty when everything was all the time. */
  readonly lastReady: string;
  /** From the fault's end until no event waited for its effect for more than a second any more; null when it never came to that. */
  readonly rightMs: number | null;
  readonly staleMs: number;
  readonly staleWho: string;
  /** Answers with 503 and a time to come back, and those of them that came only when the time of the request was over. */
  readonly putOff: number;
  readonly timedOut: number;
  /** Answers that no client should get, and how often. */
  readonly odd: ReadonlyMap<string, number>;
  readonly violations: readonly Violation[];
  /** It could not be brought to its end: it says nothing of the product. */
  readonly isBroken?: true;
}

const WRITERS = 8;
const COURSES = 2;
const IMPORTERS = 2;
const LESSONS_EACH = 4;
const WARM_MS = 3_000;
const JITTER_MS = 1_000;
const TAIL_MS = 2_000;
const RECOVER_MS = 60_000;
const WORK_MS = 10_000;
const PATIENCE_MS = 30_000;
/** The promise: so long after the fault's end, or after all processes are ready again, projections are right. */
const RIGHT_WITHIN_MS = 5_000;
const STEADY_LOOKS = 20;

/** One fault under load, and the judgement on everything that was seen meanwhile. */
export async function runDrill(system: ChaosSystem, fault: Fault, seed: number): Promise<DrillResult> {
  const api = new Api(system.facts.gateway, system.facts.tokens.author);
  const name = `${fault.name.replace(/[^a-z0-9]+/g, '')}${seed}`;
  const courses: SmallCourse[] = [];
  const begun: Begun[] = [];
  for (let n = 1; n <= COURSES; n += 1) {
    const title = `Chaos ${name}${n}x${Date.now().toString(36)}`;
    const course = await makeCourse(api, title, LESSONS_EACH);
    const tree = await readTree(api, { course: course.id, branch: '' }, () => '');
    courses.push(course);
    begun.push({ id: course.id, title, tree, etags: await readEtags(api, tree) });
  }
  const load = startLoad({ api, courses, seed, name: `i${name}x${Date.now().toString(36)}` });
  const observer = new Observer(
    system,
    courses.map(({ id }) => id),
  );
  let injectedAt = 0;
  let recovered: Recovery;
  let wellAt: number | undefined;
  try {
    await sleep(WARM_MS + randomOf(seed, fault.name).below(JITTER_MS));
    injectedAt = performance.now();
    await fault.inject(system);
    await sleep(fault.holdMs);
    const endedAt = performance.now();
    observer.countAnew();
    await fault.end(system);
    recovered = await recovery(observer, endedAt);
    if (recovered.violations.length === 0) wellAt = performance.now();
    await sleep(TAIL_MS);
    if (wellAt !== undefined) await work(load, wellAt);
  } finally {
    await load.stop();
    await observer.close();
  }
  const mayBeSilent = fault.touches.some((it) => it === 'gateway' || it === 'everything');
  const { clients, writers, journal } = load;
  const readyAt = recovered.readyMs === null ? Infinity : observer.readySince;
  const answered = { clients, writers, writes: journal.writes, injectedAt, readyAt, wellAt, mayBeSilent };
  const violations = [...recovered.violations, ...checkAnswers(answered), ...(await judgeAll(system, begun, load))];
  const stale = longestStaleness(observer.marks.filter(({ at }) => at >= injectedAt));
  const count = (kind: Violation['kind']): number => violations.filter((violation) => violation.kind === kind).length;
  return {
    fault: fault.name,
    seed,
    acknowledged: [...load.journal.writes, ...load.imports].filter(({ outcome }) => outcome === 'acknowledged').length,
    lost: count('lost'),
    doubled: count('doubled'),
    readyMs: recovered.readyMs,
    lastReady: recovered.lastReady,
    rightMs: recovered.rightMs,
    staleMs: stale.ms,
    staleWho: stale.who,
    putOff: clients.reduce((sum, client) => sum + client.putOffs.length, 0),
    timedOut: clients.reduce((sum, client) => sum + client.timedOut, 0),
    odd: tally(clients.flatMap((client) => client.odd)),
    violations,
  };
}

/** Everything that was seen against everything that is kept. What cannot be read for good is no accident of the drill: it is gone. */
async function judgeAll(system: ChaosSystem, begun: readonly Begun[], load: Load): Promise<Violation[]> {
  const judge = { system, api: new PatientApi(system.facts.gateway, system.facts.tokens.author) };
  const violations: Violation[] = [];
  try {
    await settle(
      system,
      begun.map(({ id }) => id),
    );
    violations.push(...(await atOnce(begun, (one) => verifyCourse(judge, one, load.journal))).flat());
    violations.push(...(await verifyImports(judge, load.imports)));
  } catch (error) {
    violations.push({ kind: 'lost', what: `what is kept cannot be read: ${String((error as Error)?.stack ?? error)}` });
  }
  return violations;
}

type Recovery = Pick<DrillResult, 'readyMs' | 'lastReady' | 'rightMs' | 'violations'>;

interface Load {
  readonly journal: Journal;
  readonly imports: ImportRun[];
  readonly clients: readonly Client[];
  /** Their names. */
  readonly writers: readonly string[];
  stop(): Promise<void>;
}

function startLoad(options: {
  readonly api: Api;
  readonly courses: readonly SmallCourse[];
  readonly seed: number;
  readonly name: string;
}): Load {
  const { api, courses, seed, name } = options;
  const journal: Journal = { writes: [], reads: [] };
  const imports: ImportRun[] = [];
  const clients: Client[] = [];
  let stoppedAt = Infinity;
  const isStopped = (): boolean => performance.now() > stoppedAt;
  const isOver = (): boolean => performance.now() > stoppedAt + PATIENCE_MS;
  const newClient = (): Client => {
    const client = new Client(api);
    clients.push(client);
    return client;
  };
  const writers = Array.from({ length: WRITERS }, (_, n) => {
    const course = courses[n % courses.length]!;
    const isKeyed = Math.floor(n / courses.length) % 2 === 0;
    return new Writer({ name: `w${n}`, course, seed, isKeyed, client: newClient(), journal, isStopped, isOver });
  });
  const working = Promise.all([
    ...writers.map((writer) => writer.run()),
    ...Array.from({ length: IMPORTERS }, (_, n) =>
      runImports({ name: `${name}x${n}`, client: newClient(), runs: imports, isStopped, isOver }),
    ),
  ]);
  return {
    journal,
    imports,
    clients,
    writers: writers.map(({ name }) => name),
    async stop() {
      stoppedAt = performance.now();
      await working;
    },
  };
}

/** Waits, for a while, until each writer has got something done again. */
async function work({ journal: { writes }, writers }: Load, wellAt: number): Promise<void> {
  for (const end = performance.now() + WORK_MS; performance.now() < end; await sleep(200))
    if (haveWorked({ writes, writers }, wellAt).length === writers.length) return;
}

/** Waits, under load, until all has been ready for a while and no event waits any more; says how long that took. */
async function recovery(observer: Observer, endedAt: number): Promise<Recovery> {
  const isReady = (): boolean => observer.looksSinceReady >= STEADY_LOOKS;
  while (!isReady() || rightAfter(observer.marks, endedAt) === null) {
    if (performance.now() > endedAt + RECOVER_MS) break;
    await sleep(200);
  }
  const violations: Violation[] = [];
  const { at, what } = observer.lastNotReady;
  const readyMs = isReady() ? Math.max(0, at - endedAt) : null;
  const rightMs = rightAfter(observer.marks, endedAt);
  if (readyMs === null) violations.push({ kind: 'late', what: `not ready after ${RECOVER_MS / 1000} s: ${what}` });
  if (rightMs === null || rightMs > (readyMs ?? 0) + RIGHT_WITHIN_MS) {
    const time = rightMs === null ? `${RECOVER_MS / 1000} s and more` : `${(rightMs / 1000).toFixed(1)} s`;
    violations.push({ kind: 'late', what: `projections were right ${time} after the fault's end` });
  }
  return { readyMs, lastReady: at > endedAt ? what : '', rightMs, violations };
}

/** What is said of a drill that could not be brought to its end. */
export function brokenDrill(fault: Fault, seed: number, error: unknown): DrillResult {
  const what = `the drill broke off: ${String((error as Error)?.stack ?? error)}`;
  return {
    fault: fault.name,
    seed,
    acknowledged: 0,
    lost: 0,
    doubled: 0,
    readyMs: null,
    lastReady: '',
    rightMs: null,
    staleMs: 0,
    staleWho: '',
    putOff: 0,
    timedOut: 0,
    isBroken: true,
    odd: new Map(),
    violations: [{ kind: 'late', what }],
  };
}
