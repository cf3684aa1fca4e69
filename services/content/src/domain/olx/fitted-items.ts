import { MAX_LESSON_BYTES, type LessonInput } from '@coursewright/course-model/lesson';
import { applyTextRules } from '@coursewright/course-model/text-rules';
import type { ImportBook } from '../import-report.js';
import { shortText } from '../text.js';
import type { FileKeeper } from './course-files.js';
import type { ListedItem } from './leaf.js';
import { noteShrunk, shrink, type Shrunk } from './shrink.js';

/** Room for the frame of a document round its items, and for each item's place in the order. */
const FRAME_BYTES = 4096;
const PLACE_BYTES = 41;
/** Items that a list of a lesson may have. */
const MAX_ITEMS = 2000;

interface Entry {
  listed: ListedItem;
  bytes: number;
  /** Nothing more can be taken out of it. */
  isSmallest: boolean;
}

/**
 * The items of one lesson as they are read. What does not fit into a document of 1 MiB leaves it, the largest first: pictures inside of
 * texts and sources become files that the item names, its title and text stay. Never holds more than a document and one item.
 */
export class FittedItems {
  private readonly items: Entry[] = [];
  private total: number;

  constructor(
    private readonly to: { readonly book: ImportBook; readonly keeper: FileKeeper },
    private readonly objectives: NonNullable<LessonInput['objectives']>,
  ) {
    this.total = FRAME_BYTES + sizeOf(objectives);
  }

  /** Adds an item behind the others; false when it has no place and was left out. */
  async add(listed: ListedItem): Promise<boolean> {
    const entry: Entry = { listed, bytes: sizeOf(listed.item) + PLACE_BYTES, isSmallest: false };
    const [problem] = applyTextRules(listed.item).problems;
    if (problem !== undefined) {
      await this.leaveOut(entry, `${shortText(problem.pointer, 100)} ${problem.message}, as no document may`);
      return false;
    }
    if (this.items.length >= MAX_ITEMS) {
      await this.leaveOut(entry, `a lesson has at most ${MAX_ITEMS} items`);
      return false;
    }
    this.items.push(entry);
    this.total += entry.bytes;
    while (this.total > MAX_LESSON_BYTES) {
      const large = this.items.filter((item) => !item.isSmallest);
      if (large.length === 0) break;
      await this.shrinkOne(large.reduce((most, item) => (item.bytes > most.bytes ? item : most)));
    }
    if (this.total <= MAX_LESSON_BYTES) return true;
    this.items.pop();
    this.total -= entry.bytes;
    await this.leaveOut(entry, `the lesson's document of ${MAX_LESSON_BYTES} bytes is full`);
    return false;
  }

  /** The document of all of them. */
  document(): LessonInput {
    const all = this.items.map(({ listed }) => listed);
    return {
      objectives: this.objectives,
      materials: all.flatMap((listed) => (listed.list === 'materials' ? [listed.item] : [])),
      exercises: all.flatMap((listed) => (listed.list === 'exercises' ? [listed.item] : [])),
      assessments: all.flatMap((listed) => (listed.list === 'assessments' ? [listed.item] : [])),
      order: all.flatMap((listed) => listed.item.id ?? []),
    };
  }

  private async shrinkOne(entry: Entry): Promise<void> {
    const shrunk: Shrunk | undefined = await shrink(entry.listed, this.to.keeper);
    if (shrunk === undefined) {
      entry.isSmallest = true;
      return;
    }
    const source = entry.listed.item.source?.key ?? '';
    noteShrunk(this.to.book, source, shrunk);
    const bytes = sizeOf(shrunk.listed.item) + PLACE_BYTES;
    // Whatever it is that does not become smaller is not tried again.
    entry.isSmallest = bytes >= entry.bytes;
    this.total += bytes - entry.bytes;
    Object.assign(entry, { listed: shrunk.listed, bytes });
  }

  /** Keeps an item that has no place, as a file. */
  private async leaveOut({ listed }: Entry, why: string): Promise<void> {
    const source = listed.item.source?.key ?? '';
    const file = await this.to.keeper.keepBytes(Buffer.from(JSON.stringify(listed.item)), 'application/json');
    this.to.book.keep({ kind: 'file', source, file });
    this.to.book.lose({ source, what: `${why}; it was left out and is kept as a file (${file.hash})`, kept: true });
  }
}

function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
