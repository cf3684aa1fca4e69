import { diffTrees, type Change, type NodeDiff } from '../domain/diff.js';
import { NODE_KINDS } from '../domain/kinds.js';
import { ObjectPool } from '../domain/object-pool.js';
import type { NodeHead } from '../domain/objects.js';
import { memoryOf } from '../domain/sizes.js';
import { LRUCache } from 'lru-cache';
import { sortInTurns } from '../sort-in-turns.js';
import { treeOf } from './commit.js';
import type { Commit, VersioningReads } from './ports.js';
import type { Resolved } from './refs.js';

/** How many nodes have each kind of change. */
export type CompareSummary = Readonly<Record<Exclude<Change, 'kind_changed'> | 'kindChanged', number>>;

/** What differs between two versions, whole; the same for every page. */
interface Comparison {
  readonly diffs: readonly NodeDiff[];
  readonly summary: CompareSummary;
}

/** What comparisons may take in memory. One that is larger is made anew for each of its pages. */
const KEPT_BYTES = 32 * 1024 * 1024;

function sizeOf({ diffs }: Comparison): number {
  const memory = (head: NodeHead | null): number => (head ? memoryOf(head) : 0);
  return diffs.reduce(
    (sum, { before, after, fields, path }) =>
      sum + memory(before) + memory(after) + 300 + 100 * (fields.length + path.length),
    1_000,
  );
}

/** Compares versions of courses; as versions never change, results are kept for the pages to come. */
export class Comparer {
  readonly #kept: LRUCache<string, Comparison>;

  constructor(maxBytes: number = KEPT_BYTES) {
    this.#kept = new LRUCache({ max: 64, maxSize: maxBytes, sizeCalculation: sizeOf });
  }

  /** Bytes of all that is kept. */
  get size(): number {
    return this.#kept.calculatedSize;
  }

  /** A page of what differs between two refs of a course. Nodes come by kind from the course down, then by their place. */
  async compare(
    reads: VersioningReads,
    sides: { readonly from: Resolved; readonly to: Resolved },
    page: { readonly offset: number; readonly limit: number },
  ): Promise<{
    readonly summary: CompareSummary;
    readonly items: readonly NodeDiff[];
    readonly next: number | null;
  }> {
    const { courseId } = sides.to.course;
    const pool = new ObjectPool(reads.objects(courseId));
    const { diffs, summary } = await this.#comparison(pool, sides.from.commit, sides.to.commit, courseId);
    const shown = diffs.slice(page.offset, page.offset + page.limit);
    const end = page.offset + shown.length;
    return { summary, items: shown, next: end < diffs.length ? end : null };
  }

  async #comparison(pool: ObjectPool, from: Commit, to: Commit, courseId: string): Promise<Comparison> {
    const key = `${courseId}${from.root}${to.root}`;
    const kept = this.#kept.get(key);
    if (kept) return kept;
    const diffs = await sortInTurns(await diffTrees(pool, treeOf(from), treeOf(to)), byPlace);
    const comparison = { diffs, summary: summaryOf(diffs) };
    this.#kept.set(key, comparison);
    return comparison;
  }
}

function summaryOf(diffs: readonly NodeDiff[]): CompareSummary {
  const summary = { added: 0, removed: 0, moved: 0, renamed: 0, reordered: 0, edited: 0, kindChanged: 0 };
  for (const { changes } of diffs)
    for (const change of changes) summary[change === 'kind_changed' ? 'kindChanged' : change]++;
  return summary;
}

function byPlace(a: NodeDiff, b: NodeDiff): number {
  const kind = rank(a) - rank(b);
  if (kind !== 0) return kind;
  const [x, y] = [a.to ?? a.from, b.to ?? b.from];
  const [p, q] = [x?.parent ?? '', y?.parent ?? ''];
  // Ids have lower-case hexadecimal digits: by code unit they stand as any language would put them.
  if (p !== q) return p < q ? -1 : 1;
  return (x?.position ?? 0) - (y?.position ?? 0) || (a.id < b.id ? -1 : 1);
}

function rank(diff: NodeDiff): number {
  return NODE_KINDS.indexOf((diff.after ?? diff.before)?.kind ?? 'course');
}
