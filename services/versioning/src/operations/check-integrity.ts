import { hashCommit, generation } from '../domain/commit.js';
import { TreeChecker, type IntegrityProblem } from '../domain/integrity.js';
import { brokenLink, LOG_START } from '../domain/ref-log.js';
import { treeOf } from './commit.js';
import type { Commit, RefLogRow, VersioningReads } from './ports.js';

/** What a check of a course's repository found. */
export interface IntegrityReport {
  readonly commits: number;
  readonly objects: number;
  readonly bodies: readonly string[];
  /** At most 100. */
  readonly problems: readonly IntegrityProblem[];
}

const PROBLEMS = 100;
const COMMITS_AT_ONCE = 500;

/**
 * Checks a course's repository from every ref: hashes, generations and parents of its commits, closure and hashes of all their
 * objects, shape and index of the trees that refs name, and the chain of the ref log. Reads everything anew, past all caches.
 */
export async function checkIntegrity(
  reads: VersioningReads,
  courseId: string,
  signal?: AbortSignal,
): Promise<IntegrityReport> {
  const problems: IntegrityProblem[] = [];
  const heads = await reads.refHeads(courseId);
  const commits = await reachable(reads, courseId, heads, problems);
  const checker = new TreeChecker(reads.bytes(courseId));
  const trees = new Set<string>();
  for (const commit of [...commits.values()].sort((a, b) => a.gen - b.gen)) {
    signal?.throwIfAborted();
    if (heads.includes(commit.hash) && !trees.has(commit.root)) await checker.check(treeOf(commit));
    else await checker.close(treeOf(commit));
    trees.add(commit.root);
  }
  problems.push(...checker.problems, ...(await logProblems(reads, courseId)));
  return {
    commits: commits.size,
    objects: checker.objects,
    bodies: [...checker.bodies].sort(),
    problems: problems.slice(0, PROBLEMS),
  };
}

async function reachable(
  reads: VersioningReads,
  courseId: string,
  heads: readonly string[],
  problems: IntegrityProblem[],
): Promise<ReadonlyMap<string, Commit>> {
  const commits = new Map<string, Commit>();
  const bad = (object: string, message: string): void => void problems.push({ what: 'bad_commit', object, message });
  let open = [...new Set(heads)];
  while (open.length > 0) {
    const batch = open.splice(0, COMMITS_AT_ONCE);
    const found = await reads.commits(courseId, batch);
    const next = new Set<string>();
    for (const hash of batch) {
      const commit = found.get(hash);
      if (!commit) {
        bad(hash, 'the commit is not there');
        continue;
      }
      if (hashCommit(commit) !== hash) bad(hash, 'the commit is not what its hash says');
      commits.set(hash, commit);
      for (const parent of commit.parents) if (!commits.has(parent)) next.add(parent);
    }
    open = [...new Set([...open, ...next])];
  }
  for (const commit of commits.values()) {
    const parents = commit.parents.map((parent) => commits.get(parent)?.gen ?? 0);
    if (commit.gen !== generation(parents)) bad(commit.hash, 'its generation does not follow its parents');
  }
  return commits;
}

async function logProblems(reads: VersioningReads, courseId: string): Promise<IntegrityProblem[]> {
  let start = LOG_START;
  let after = 0;
  for (;;) {
    const rows: RefLogRow[] = await reads.refLog(courseId, after, 1_000);
    const last = rows.at(-1);
    if (!last) return [];
    const broken = rows[0]?.seq === after + 1 ? brokenLink(rows, start) : after + 1;
    if (broken !== null)
      return [{ what: 'bad_ref_log', object: String(broken), message: 'the chain of the ref log breaks at this row' }];
    start = last.hash;
    after = last.seq;
  }
}
