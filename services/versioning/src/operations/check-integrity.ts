import { setImmediate as breathe, setTimeout as wait } from 'node:timers/promises';
import { AppError } from '@coursewright/platform/errors';
import { fromHash, idToBytes } from '@coursewright/platform/ids';
import { HashSet } from '../domain/hash-set.js';
import { ObjectChecker, type IntegrityProblem, type ProblemKind } from '../domain/integrity.js';
import { LogCheck, logName, type KeptRefs } from '../domain/ref-check.js';
import { checkTree } from '../domain/tree-check.js';
import { CommitCheck } from './check-commits.js';
import { treeOf } from './commit.js';
import type { Bodies, IntegrityReads, StoredCommit, VersioningReads } from './ports.js';

/** How far a check has come. Counts are of the whole check so far, problems those found since the step before. */
export interface IntegrityProgress {
  readonly commits: number;
  readonly objects: number;
  readonly bodies: number;
  readonly problems: readonly IntegrityProblem[];
  /** All that were found so far, those too that were too many to list. */
  readonly problemCount: number;
  /** The last one: the course is whole when `problemCount` is 0. */
  readonly done: boolean;
}

/** What a check needs. */
export interface CheckDeps {
  readonly store: Pick<VersioningReads, 'integrity' | 'refLog' | 'homes'>;
  readonly bodies: Bodies;
}

/** So many problems are listed; the others are counted. */
export const LISTED = 1_000;
const BODIES_AT_ONCE = 500;
const HOMES_AT_ONCE = 5_000;
const LOG_ROWS = 1_000;
const HISTORY_ROWS = 20_000;
const STEP_MS = 1_000;

/**
 * Checks all that is kept of a course, from every ref: hashes, generations and counts of its commits, closure and hashes of their objects,
 * shape and index of the trees that refs name, the homes of their nodes, the log with every ref against it, and (by content) the bodies.
 * Reads everything anew, past all caches, in pieces; tells how far it has come every second and stops when the caller goes. Throws
 * not_found `COURSE_NOT_FOUND`, unavailable `SERVICE_UNAVAILABLE` when bodies cannot be checked: then nothing is said of the course.
 */
export async function* checkIntegrity(
  deps: CheckDeps,
  courseId: string,
  options: { readonly signal?: AbortSignal | undefined; readonly stepMs?: number } = {},
): AsyncGenerator<IntegrityProgress> {
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const check = new Check(deps, courseId, signal);
  const ended = check.run().then(() => true);
  // Met where it is awaited; between two steps nobody waits for it.
  ended.catch(() => undefined);
  try {
    for (let done = false; !done;) {
      const step = wait(options.stepMs ?? STEP_MS, false, { signal: stop.signal });
      step.catch(() => undefined);
      done = await Promise.race([ended, step]);
      yield check.progress(done);
    }
  } finally {
    stop.abort();
  }
}

/** The end of a check, with every problem that it lists. */
export async function integrityReport(steps: AsyncIterable<IntegrityProgress>): Promise<IntegrityProgress> {
  const problems: IntegrityProblem[] = [];
  let last: IntegrityProgress | undefined;
  for await (const step of steps) {
    problems.push(...step.problems);
    last = step;
  }
  if (!last?.done) throw new AppError('internal', 'INTERNAL', {}, { message: 'the check ended before its last step' });
  return { ...last, problems };
}

function* batches<T>(items: Iterable<T>, size: number): Generator<T[]> {
  let batch: T[] = [];
  for (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

class Check {
  readonly #deps: CheckDeps;
  readonly #courseId: string;
  readonly #signal: AbortSignal;
  readonly #reads: IntegrityReads;
  readonly #objects: ObjectChecker;
  readonly #commits: CommitCheck;
  readonly #homes = new HashSet();
  readonly #bodies = new HashSet();
  #bodiesToAsk: string[] = [];
  #bodiesAsked = 0;
  #problems: IntegrityProblem[] = [];
  #problemCount = 0;

  constructor(deps: CheckDeps, courseId: string, signal: AbortSignal) {
    this.#deps = deps;
    this.#courseId = courseId;
    this.#signal = signal;
    this.#reads = deps.store.integrity(courseId);
    const report = this.#report.bind(this);
    this.#objects = new ObjectChecker({
      read: (hashes) => this.#reads.bytes(hashes),
      report,
      body: (hash) => {
        if (this.#bodies.add(fromHash(hash))) this.#bodiesToAsk.push(hash);
      },
      pause: () => this.#pause(),
    });
    this.#commits = new CommitCheck({
      reads: this.#reads,
      report,
      found: ({ commit }) => this.#objects.close([commit.root, commit.index]),
    });
  }

  async run(): Promise<void> {
    const kept = await this.#refs();
    const heads = [...new Set(kept.refs.map(({ commit }) => commit))];
    await this.#checkTrees(heads, kept);
    await this.#commits.run(heads);
    await this.#checkLog(kept);
    await this.#checkHistory();
    await this.#askForBodies(1);
    // A course that was dropped meanwhile has nothing left to be wrong with.
    await this.#refs();
  }

  /** What was found since the last time it was asked. */
  progress(done: boolean): IntegrityProgress {
    const problems = this.#problems;
    this.#problems = [];
    return {
      commits: this.#commits.commits,
      objects: this.#objects.objects,
      bodies: this.#bodiesAsked,
      problems,
      problemCount: this.#problemCount,
      done,
    };
  }

  async #refs(): Promise<KeptRefs> {
    const kept = await this.#reads.refs();
    if (!kept) throw new AppError('not_found', 'COURSE_NOT_FOUND', { courseId: this.#courseId });
    return kept;
  }

  async #checkTrees(heads: readonly string[], { refs }: KeptRefs): Promise<void> {
    const roots = new Map<string, string>();
    const trees = new Map<string, StoredCommit[]>();
    for (let at = 0; at < heads.length; at += BODIES_AT_ONCE) {
      for (const row of await this.#reads.commits(heads.slice(at, at + BODIES_AT_ONCE))) {
        roots.set(row.commit.hash, row.commit.root);
        const key = `${row.commit.root} ${row.commit.index}`;
        trees.set(key, [...(trees.get(key) ?? []), row]);
      }
    }
    for (const ref of refs)
      if (ref.tree !== null && roots.has(ref.commit) && roots.get(ref.commit) !== ref.tree)
        this.#report('bad_ref', logName(ref), `its tree is not that of its commit ${ref.commit}`);
    for (const rows of trees.values()) {
      const { commit } = rows[0] as StoredCommit;
      const tree = await checkTree(this.#objects, treeOf(commit), this.#report.bind(this));
      await this.#checkHomes([this.#courseId]);
      for (const ids of batches(tree.placements.keys(), HOMES_AT_ONCE)) await this.#checkHomes(ids);
      const counts = JSON.stringify(tree.counts);
      for (const row of rows)
        if (tree.isWhole && JSON.stringify(row.commit.counts) !== counts)
          this.#report('bad_commit', row.commit.hash, `its counts are not those of its tree, ${counts}`);
    }
  }

  async #checkHomes(ids: readonly string[]): Promise<void> {
    await this.#pause();
    const fresh = ids.filter((id) => this.#homes.add(idToBytes(id)));
    const homes = new Map((await this.#deps.store.homes(fresh)).map(({ node, courseId }) => [node, courseId]));
    for (const id of fresh) {
      const home = homes.get(id);
      if (home === undefined) this.#report('bad_home', id, 'the node has no home');
      else if (home !== this.#courseId) this.#report('bad_home', id, `the node is at home in course ${home}`);
    }
  }

  async #checkLog(kept: KeptRefs): Promise<void> {
    const log = new LogCheck(kept, this.#report.bind(this));
    for (let after = 0; after < kept.logSeq;) {
      await this.#pause();
      const rows = await this.#deps.store.refLog(this.#courseId, after, LOG_ROWS);
      log.take(rows);
      after = rows.at(-1)?.seq ?? kept.logSeq;
    }
    log.finish();
  }

  /** The rows that tell which commit changed a node. */
  async #checkHistory(): Promise<void> {
    for (let after: string | null = ''; after !== null;) {
      await this.#pause();
      const page = await this.#reads.history(after, HISTORY_ROWS);
      for (const { node, commit } of page.stray)
        this.#report(
          'bad_commit',
          commit,
          `the history of node ${node} names it at a generation that it has not, or it is not there`,
        );
      after = page.next;
    }
  }

  async #pause(): Promise<void> {
    await breathe();
    this.#signal.throwIfAborted();
    await this.#askForBodies(BODIES_AT_ONCE);
  }

  /** Asks for the bodies that wait, once there are so many. */
  async #askForBodies(least: number): Promise<void> {
    while (this.#bodiesToAsk.length >= least) {
      const hashes = this.#bodiesToAsk.splice(0, BODIES_AT_ONCE);
      const found = await this.#deps.bodies.check(this.#courseId, hashes, this.#signal);
      for (const { hash, what } of found) {
        if (what === 'missing') this.#report('missing_body', hash, 'the body is not there');
        else this.#report('damaged_body', hash, 'the body is not what its hash says');
      }
      this.#bodiesAsked += hashes.length;
    }
  }

  #report(what: ProblemKind, object: string, message: string): void {
    if (this.#problemCount++ < LISTED) this.#problems.push({ what, object, message });
  }
}
