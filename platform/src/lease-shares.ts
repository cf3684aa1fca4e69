import type { BeatRow } from './lease-statements.js';

/** Leases that replicas share among themselves. */
export interface SharedLeases {
  readonly names: readonly string[];
  /** Whether this replica could do just now what they are for. */
  readonly isAble: () => boolean;
}

/** What a replica says with each heartbeat of what it takes part in: that it does, or that it would if nobody else could. */
export const partIn = (shared: SharedLeases): string => said(shared, shared.isAble());

const workOf = ({ names }: SharedLeases): string => names[0] ?? '';
const said = (shared: SharedLeases, isAble: boolean): string => (isAble ? '' : 'unable ') + workOf(shared);

/**
 * Which of them fall to a replica: those that are able to do the work, ordered by name, take them in turn. Undefined for who is not able
 * while another is; when nobody is, all share them as ever.
 */
export function portionOf(
  shared: SharedLeases,
  self: { readonly id: string; readonly name: string },
  others: BeatRow['others'],
): ReadonlySet<string> | undefined {
  const isAble = shared.isAble();
  const those = (able: boolean): BeatRow['others'] =>
    others.filter(([, , works]) => works.includes(said(shared, able)));
  if (!isAble && those(true).length > 0) return undefined;
  const living = [...those(isAble), [self.id, self.name] as const].sort(byName);
  const place = living.findIndex(([id]) => id === self.id);
  const offset = [...workOf(shared)].reduce((sum, letter) => sum + letter.charCodeAt(0), 0);
  return new Set(shared.names.filter((_, i) => (i + offset) % living.length === place));
}

type Named = readonly [id: string, name: string, ...rest: unknown[]];

function byName([a, nameA]: Named, [b, nameB]: Named): number {
  const [left, right] = nameA === nameB ? [a, b] : [nameA, nameB];
  return left < right ? -1 : 1;
}
