/** A run of equal length on both sides: `a[aStart .. aStart+length)` equals `b[bStart .. bStart+length)`. */
export interface Match {
  aStart: number;
  bStart: number;
  length: number;
}

/** How much work a diff may still do, in steps; shared by all that is compared in one go. Deterministic, unlike a clock. */
export interface DiffBudget {
  steps: number;
}

/** Edits beyond this are not searched for a shortest script: what is left between the known matches counts as replaced. */
const MAX_EDITS = 2000;

/**
 * The runs that two sequences share, in order, by Myers' greedy shortest edit script. Equal ends are matched first, items
 * that only one side has are set aside, and after 2,000 edits, or when the budget is used up, the rest counts as replaced; so
 * hostile input costs bounded time and memory. Deterministic.
 */
export function matchSequences(
  a: readonly string[],
  b: readonly string[],
  budget: DiffBudget = { steps: Infinity },
): Match[] {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;

  const inner = matchInner(a.slice(head, a.length - tail), b.slice(head, b.length - tail), budget);
  const matches: Match[] = [];
  if (head > 0) matches.push({ aStart: 0, bStart: 0, length: head });
  for (const [i, j] of inner) append(matches, i + head, j + head);
  if (tail > 0) {
    for (let k = tail; k > 0; k--) append(matches, a.length - k, b.length - k);
  }
  return matches;
}

function append(matches: Match[], aStart: number, bStart: number): void {
  const last = matches.at(-1);
  if (last && last.aStart + last.length === aStart && last.bStart + last.length === bStart) last.length++;
  else matches.push({ aStart, bStart, length: 1 });
}

/** Pairs of equal positions. Interns the items to numbers and leaves out those that the other side has nowhere. */
function matchInner(a: readonly string[], b: readonly string[], budget: DiffBudget): [number, number][] {
  const inA = new Set(a);
  const numbers = new Map<string, number>();
  const bAt: number[] = [];
  const bIds: number[] = [];
  for (const [j, item] of b.entries()) {
    if (!inA.has(item)) continue;
    const number = numbers.get(item) ?? numbers.size;
    numbers.set(item, number);
    bAt.push(j);
    bIds.push(number);
  }
  const aAt: number[] = [];
  const aIds: number[] = [];
  for (const [i, item] of a.entries()) {
    const number = numbers.get(item);
    if (number === undefined) continue;
    aAt.push(i);
    aIds.push(number);
  }
  return myers(aIds, bIds, budget).map(([i, j]) => [aAt[i] ?? 0, bAt[j] ?? 0]);
}

function myers(a: readonly number[], b: readonly number[], budget: DiffBudget): [number, number][] {
  const max = Math.min(a.length + b.length, MAX_EDITS);
  if (a.length === 0 || b.length === 0) return [];
  const furthest = new Int32Array(2 * max + 3);
  const middle = max + 1;
  const trace: Int32Array[] = [];
  let best = { d: 0, k: 0, sum: -1 };
  for (let d = 0; d <= max && budget.steps > 0; d++) {
    budget.steps -= d + 1;
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && at(furthest, middle + k - 1) < at(furthest, middle + k + 1));
      let x = down ? at(furthest, middle + k + 1) : at(furthest, middle + k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      furthest[middle + k] = x;
      if (x <= a.length && x - k <= b.length && 2 * x - k > best.sum) best = { d, k, sum: 2 * x - k };
      if (x >= a.length && x - k >= b.length) {
        trace.push(furthest.slice(middle - d - 1, middle + d + 2));
        return walkBack(a, b, trace, { d, k });
      }
    }
    trace.push(furthest.slice(middle - d - 1, middle + d + 2));
  }
  return walkBack(a, b, trace, best);
}

function at(values: Int32Array, index: number): number {
  return values[index] ?? 0;
}

/** Goes the found path from its end to the start; `trace[d]` holds the furthest points for k in -d-1 .. d+1 after step d. */
function walkBack(
  a: readonly number[],
  b: readonly number[],
  trace: readonly Int32Array[],
  end: { d: number; k: number },
): [number, number][] {
  const pairs: [number, number][] = [];
  let k = end.k;
  let x = at(trace[end.d] ?? new Int32Array(), end.k + end.d + 1);
  for (let d = end.d; d >= 0; d--) {
    const before = d > 0 ? (trace[d - 1] ?? new Int32Array()) : new Int32Array([0, 0, 0]);
    const reach = (diagonal: number) => (d > 0 ? at(before, diagonal + d) : 0);
    const down = k === -d || (k !== d && reach(k - 1) < reach(k + 1));
    const from = d === 0 ? 0 : down ? reach(k + 1) : reach(k - 1) + 1;
    while (x > from) {
      x--;
      pairs.push([x, x - k]);
    }
    if (d > 0) {
      k = down ? k + 1 : k - 1;
      x = reach(k);
    }
  }
  return pairs.reverse().filter(([i, j]) => a[i] === b[j]);
}

/** The ids of `b` that stand outside the longest common order of the ids that both lists have: those that were moved. */
export function movedIds(a: readonly string[], b: readonly string[]): string[] {
  const inA = new Set(a);
  const inB = new Set(b);
  const from = a.filter((id) => inB.has(id));
  const to = b.filter((id) => inA.has(id));
  const kept = new Set(longestIncreasing(from, to));
  return to.filter((id) => !kept.has(id));
}

/** The longest common subsequence of two permutations of one set, by patience sorting: O(n log n). */
function longestIncreasing(from: readonly string[], to: readonly string[]): string[] {
  const place = new Map(from.map((id, i) => [id, i]));
  const values = to.map((id) => place.get(id) ?? 0);
  const tops: number[] = [];
  const previous: number[] = [];
  for (const [i, value] of values.entries()) {
    let low = 0;
    let high = tops.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if ((values[tops[mid] ?? 0] ?? 0) < value) low = mid + 1;
      else high = mid;
    }
    previous[i] = low > 0 ? (tops[low - 1] ?? -1) : -1;
    tops[low] = i;
  }
  const kept: string[] = [];
  for (let i = tops.at(-1) ?? -1; i >= 0; i = previous[i] ?? -1) kept.push(to[i] ?? '');
  return kept.reverse();
}
