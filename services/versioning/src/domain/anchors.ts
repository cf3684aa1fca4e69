import type { ListDraft } from './list-draft.js';
import type { TreeDraft } from './tree-draft.js';

/** Where a node shall go: after the child it names, before all (null), or at the end. */
export type Place = { readonly at: 'end' } | { readonly at: 'after'; readonly anchor: string | null };

/** The place that a position means in the tree that the writer saw. */
export type Anchor =
  | { readonly at: 'end' }
  /** After the child at `index` of that list, or the nearest before it that is still there. */
  | { readonly at: 'after'; readonly list: ListDraft; readonly index: number; readonly moving: string };

/**
 * The anchor of a position under a parent, in the tree that the writer saw as it stands at this op. The position counts the other
 * children, so that moving a node within its parent means where it ends up. A parent that tree does not know gives the end.
 */
export async function anchorOf(
  seen: TreeDraft,
  parentId: string,
  moving: string,
  position: number | null,
): Promise<Anchor> {
  const parent = position === null ? null : await seen.node(parentId);
  if (position === null || !parent) return { at: 'end' };
  const list = await seen.list(parent);
  const own = parent.id === (await seen.node(moving))?.parent ? await list.positionOf(moving) : -1;
  const others = list.size - (own < 0 ? 0 : 1);
  const before = Math.min(position, others) - 1;
  return { at: 'after', list, index: own >= 0 && before >= own ? before + 1 : before, moving };
}

/** The place that an anchor means in the present list: a lost anchor walks back in its own list, else the node goes first. */
export async function placeAt(anchor: Anchor, present: ListDraft): Promise<Place> {
  if (anchor.at === 'end') return anchor;
  for (let index = anchor.index; index >= 0; index--) {
    const id = await anchor.list.idAt(index);
    if (id === null || id === anchor.moving) continue;
    if (anchor.list === present || (await present.find(id))) return { at: 'after', anchor: id };
  }
  return { at: 'after', anchor: null };
}

/**
 * The order of a list after a reorder that names some of its children: the named ones in the order named, each with the unnamed ones
 * that follow it now; what follows no named one stays first.
 */
export function reordered(present: readonly string[], named: readonly string[]): string[] {
  const isNamed = new Set(named);
  const leading: string[] = [];
  const following = new Map<string, string[]>();
  let group = leading;
  for (const id of present) {
    if (isNamed.has(id)) {
      group = [id];
      following.set(id, group);
    } else group.push(id);
  }
  return [...leading, ...named.flatMap((id) => following.get(id) ?? [])];
}
