/** An item of the new order, with its place in the old one and how many things it stands for. */
export interface Placed {
  readonly from: number;
  readonly weight: number;
}

/**
 * Which items stay when an order changes: the heaviest subsequence whose old places increase. Those outside it are what moved;
 * as the ids of a list are unique this is the longest common subsequence, in O(n log n). Answers the indexes that stay.
 */
export function stayingIndexes(items: readonly Placed[]): ReadonlySet<number> {
  const rank = new Map(
    [...new Set(items.map((item) => item.from))].sort((a, b) => a - b).map((from, i) => [from, i + 1]),
  );
  const size = rank.size;
  // Fenwick tree over old places: the item that ends the heaviest run among the places up to this one.
  const best: number[] = new Array<number>(size + 1).fill(-1);
  const weight: number[] = [];
  const before: number[] = [];
  let top = -1;
  for (const [i, item] of items.entries()) {
    const place = rank.get(item.from) as number;
    let prior = -1;
    for (let at = place - 1; at > 0; at -= at & -at) {
      const other = best[at] as number;
      if (other >= 0 && (prior < 0 || (weight[other] as number) > (weight[prior] as number))) prior = other;
    }
    weight[i] = item.weight + (prior < 0 ? 0 : (weight[prior] as number));
    before[i] = prior;
    for (let at = place; at <= size; at += at & -at) {
      const other = best[at] as number;
      if (other < 0 || (weight[other] as number) < weight[i]) best[at] = i;
    }
    if (top < 0 || weight[i] > (weight[top] as number)) top = i;
  }
  const staying = new Set<number>();
  for (let at = top; at >= 0; at = before[at] as number) staying.add(at);
  return staying;
}
