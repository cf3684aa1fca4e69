import { sameFields, sameValue } from './etag.js';
import { withKind, type Counts } from './kinds.js';
import type { Fields, NodeHead, NodeKind } from './objects.js';
import type { TreeDraft } from './tree-draft.js';

/**
 * What happened to a node in a commit. `reordered` is said of the parent whose children changed their order, `kind_changed` of an id that
 * was taken away as one kind and put back as another.
 */
export type What = 'added' | 'removed' | 'moved' | 'edited' | 'reordered' | 'kind_changed';

/** A node that a commit changed, as it is after it (a removed one: as it was). */
export interface NodeChange {
  readonly id: string;
  readonly kind: NodeKind;
  /** What it was before; set when `kind_changed`. */
  readonly wasKind?: NodeKind;
  readonly what: readonly What[];
  readonly fields: Fields;
  readonly parent: string | null;
  /** Hash of the body, or null. */
  readonly body: string | null;
  /** Whether the body is another one than before. */
  readonly bodyChanged: boolean;
  /** Whether it is known that nothing else differs. */
  readonly bodyOnly: boolean;
}

/** How many nodes a commit added, removed, moved and edited; a list put in another order counts as one move. */
export interface ChangeCounts {
  readonly added: number;
  readonly removed: number;
  readonly moved: number;
  readonly edited: number;
}

/** The nodes that differ between the tree a draft began with and the draft, by what happened to each. */
export function changesOf(draft: TreeDraft): NodeChange[] {
  const changes: NodeChange[] = [];
  for (const { id, before, after, reordered } of draft.outcomes()) {
    const present = after ?? before?.head;
    if (!present) continue;
    const what: What[] = [];
    if (!before) what.push('added');
    else if (!after) what.push('removed');
    else {
      if (before.parent !== after.parent) what.push('moved');
      if (before.head.kind !== after.kind) what.push('kind_changed');
      if (isEdited(before.head, after)) what.push('edited');
    }
    if (reordered && before && after) what.push('reordered');
    if (what.length === 0) continue;
    changes.push({
      id,
      kind: present.kind,
      ...(what.includes('kind_changed') && before && { wasKind: before.head.kind }),
      what,
      fields: present.fields,
      parent: after ? after.parent : (before?.parent ?? null),
      body: present.body,
      bodyChanged: (before?.head.body ?? null) !== (after?.body ?? null),
      bodyOnly: what.join() === 'edited' && before !== null && after !== null && hasSameRest(before.head, after),
    });
  }
  return changes;
}

type Own = Pick<NodeHead, 'body' | 'fields' | 'source'>;

function isEdited(before: Own, after: Own): boolean {
  return before.body !== after.body || !hasSameRest(before, after);
}

function hasSameRest(before: Own, after: Own): boolean {
  return sameFields(before.fields, after.fields) && sameValue(before.source, after.source);
}

const COUNTED_AS: Readonly<Record<What, keyof ChangeCounts>> = {
  added: 'added',
  removed: 'removed',
  moved: 'moved',
  reordered: 'moved',
  edited: 'edited',
  kind_changed: 'edited',
};

/** Sums of the changes of a commit, as the log shows them. A node whose kind and fields changed is edited once. */
export function countChanges(changes: readonly NodeChange[]): ChangeCounts {
  const counts = { added: 0, removed: 0, moved: 0, edited: 0 };
  for (const { what } of changes) {
    const words = what.includes('edited') ? what.filter((one) => one !== 'kind_changed') : what;
    for (const one of words) counts[COUNTED_AS[one]]++;
  }
  return counts;
}

/** The counts of a tree after these changes to one that had those. */
export function countsAfter(before: Counts, changes: readonly NodeChange[]): Counts {
  return changes.reduce((counts, { kind, wasKind, what }) => {
    if (wasKind !== undefined) return withKind(withKind(counts, wasKind, -1), kind, 1);
    return withKind(counts, kind, (what.includes('added') ? 1 : 0) - (what.includes('removed') ? 1 : 0));
  }, before);
}
