import { MAX_LESSON_BYTES, type LessonInput, type Source } from '@coursewright/course-model/lesson';
import { addLoss, type ImportReport } from '../import-report.js';
import type { LeafItem } from './leaf.js';

/** Room for the frame of a document round its items, and for each item's place in the order. */
const FRAME_BYTES = 4096;
const PLACE_BYTES = 41;
/** About what is left of an item when it was taken out. */
const PLACEHOLDER_BYTES = 500;
/** Items that a list of a lesson may have. */
const MAX_ITEMS = 2000;

/**
 * The items of one lesson as they are read. What does not fit into a document of 1 MiB is listed and left out, the largest first; the
 * places and keys of such items stay. Never holds more than a document and one item.
 */
export class FittedItems {
  private readonly items: { leaf: LeafItem; bytes: number }[] = [];
  private total: number;

  constructor(
    private readonly report: ImportReport,
    private readonly objectives: NonNullable<LessonInput['objectives']>,
  ) {
    this.total = FRAME_BYTES + sizeOf(objectives);
  }

  /** Adds an item behind the others. */
  add(leaf: LeafItem): void {
    const key = leaf.item.source?.key ?? '';
    if (this.items.length >= MAX_ITEMS) {
      this.lose(key, `a lesson has at most ${MAX_ITEMS} items; it was left out`);
      return;
    }
    const bytes = sizeOf(leaf.item) + PLACE_BYTES;
    this.items.push({ leaf, bytes });
    this.total += bytes;
    while (this.total > MAX_LESSON_BYTES) {
      const largest = this.items.reduce((most, item) => (item.bytes > most.bytes ? item : most));
      if (largest.bytes > PLACEHOLDER_BYTES) this.empty(largest);
      else {
        this.items.pop();
        this.total -= bytes;
        this.lose(key, `the lesson's document of ${MAX_LESSON_BYTES} bytes is full; it was left out`);
        return;
      }
    }
  }

  /** Adds the place of an item that is too large to be looked at. */
  addEmpty(item: { id: string; source: Source }, why: string): void {
    this.lose(item.source.key, `${why}; its place is kept empty`);
    this.add(placeholder(item));
  }

  /** The document of all of them. */
  document(): LessonInput {
    const leaves = this.items.map(({ leaf }) => leaf);
    return {
      objectives: this.objectives,
      materials: leaves.flatMap((leaf) => (leaf.list === 'materials' ? [leaf.item] : [])),
      exercises: leaves.flatMap((leaf) => (leaf.list === 'exercises' ? [leaf.item] : [])),
      assessments: leaves.flatMap((leaf) => (leaf.list === 'assessments' ? [leaf.item] : [])),
      order: leaves.flatMap((leaf) => leaf.item.id ?? []),
    };
  }

  private empty(entry: { leaf: LeafItem; bytes: number }): void {
    const { id = '', source } = entry.leaf.item;
    const what = `${entry.bytes} bytes do not fit into a lesson document of ${MAX_LESSON_BYTES}; its place is kept empty`;
    this.lose(source?.key ?? '', what);
    entry.leaf = placeholder({ id, source });
    this.total += PLACEHOLDER_BYTES - entry.bytes;
    entry.bytes = PLACEHOLDER_BYTES;
  }

  private lose(source: string, what: string): void {
    addLoss(this.report, { source, what, kept: false });
  }
}

function placeholder({ id, source }: { id: string; source: Source | undefined }): LeafItem {
  const item = { id, audience: 'author' as const, type: 'vendor/olx-too-large', content: '', source };
  return { list: 'materials', item, kept: false };
}

function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
