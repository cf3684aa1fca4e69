import { canonicalJson, pointerToken } from './canonical.js';
import { PAGE_LISTS, type LessonDocument } from './lesson.js';
import { movedIds, type DiffBudget } from './sequence-diff.js';
import { diffText, type Hunk } from './text-diff.js';

/**
 * One change between two documents. `pointer` names an item by its id (`/materials/<id>`) or something in it
 * (`/materials/<id>/content`). `from` and `to`: the item or the value before and after; for `moved` its place (from 0) in
 * the order of the page, for objectives in their list. Texts have `hunks` instead of the two whole texts.
 */
export interface LessonChange {
  pointer: string;
  change: 'added' | 'removed' | 'moved' | 'edited';
  from?: unknown;
  to?: unknown;
  hunks?: Hunk[];
}

const LISTS = ['objectives', ...PAGE_LISTS] as const;

/**
 * The changes that lead from one document to another, item by item by id; empty exactly when both are equal. An item that
 * went to another list counts as removed there and added here. Both documents must be in normal form. Texts that are left when
 * the budget is used up are still compared, more coarsely.
 */
export function diffLessons(
  from: LessonDocument,
  to: LessonDocument,
  budget: DiffBudget = { steps: Infinity },
): LessonChange[] {
  const changes: LessonChange[] = [];
  const movedOnPage = new Set(movedIds(from.order, to.order));
  for (const list of LISTS) {
    const before = new Map<string, object>(from[list].map((item) => [item.id, item]));
    const after = new Map<string, object>(to[list].map((item) => [item.id, item]));
    for (const [id, item] of before) {
      if (!after.has(id)) changes.push({ pointer: `/${list}/${id}`, change: 'removed', from: item });
    }
    const oldIds = [...before.keys()];
    const newIds = [...after.keys()];
    const movedInList = new Set(movedIds(oldIds, newIds));
    const oldPlaces = placesOf(list === 'objectives' ? oldIds : from.order);
    const newPlaces = placesOf(list === 'objectives' ? newIds : to.order);
    for (const [id, item] of after) {
      const pointer = `/${list}/${id}`;
      const old = before.get(id);
      if (!old) {
        changes.push({ pointer, change: 'added', to: item });
        continue;
      }
      if (movedInList.has(id) || movedOnPage.has(id)) {
        changes.push({ pointer, change: 'moved', from: oldPlaces.get(id), to: newPlaces.get(id) });
      }
      for (const change of diffValues(old, item, pointer, budget)) changes.push(change);
    }
  }
  return changes;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function placesOf(ids: readonly string[]): Map<string, number> {
  return new Map(ids.map((id, place) => [id, place]));
}

/** Descends into objects field by field; anything else is compared as a whole, texts line by line. */
function* diffValues(from: unknown, to: unknown, pointer: string, budget: DiffBudget): Generator<LessonChange> {
  if (isRecord(from) && isRecord(to)) {
    for (const key of [...new Set([...Object.keys(from), ...Object.keys(to)])].sort()) {
      const at = `${pointer}/${pointerToken(key)}`;
      if (!Object.hasOwn(from, key)) yield { pointer: at, change: 'added', to: to[key] };
      else if (!Object.hasOwn(to, key)) yield { pointer: at, change: 'removed', from: from[key] };
      else yield* diffValues(from[key], to[key], at, budget);
    }
  } else if (typeof from === 'string' && typeof to === 'string') {
    if (from === to) return;
    const oneLine = !from.includes('\n') && !to.includes('\n');
    if (oneLine) yield { pointer, change: 'edited', from, to };
    else yield { pointer, change: 'edited', hunks: diffText(from, to, 3, budget) };
  } else if (canonicalJson(from) !== canonicalJson(to)) yield { pointer, change: 'edited', from, to };
}
