import type { SourcePart } from './source-parts.js';
import { shortText } from './text.js';

/** A part of the source that has no full counterpart. `kept`: nothing of it is lost, authors can have it back. */
export interface Loss {
  source: string;
  what: string;
  kept: boolean;
}

/**
 * Something of the source that stands nowhere in the course, kept for authors and for an export: attributes of a part, an element or
 * a text as it was written, or a file, whose bytes are stored by their hash.
 */
export type KeptPart =
  | { kind: 'attributes'; source: string; value: Readonly<Record<string, string>> }
  | { kind: 'element' | 'text'; source: string; value: string }
  | { kind: 'file'; source: string; file: KeptFile };

/** A stored file. */
export interface KeptFile {
  /** SHA-256 of its bytes, base64url. */
  hash: string;
  bytes: number;
  /** Media type. */
  type: string;
}

/** What an import has read and made so far. `read = mapped + kept`: each part of the source is the one or the other. */
export interface ImportReport {
  read: number;
  /** Parts that learners get. */
  mapped: number;
  kept: number;
  counts: { units: number; modules: number; lessons: number; assignments: number };
  items: number;
  /** Files of the course that are stored. */
  assets: number;
  /** The first 1,000 at most; `lossCount` counts all. */
  losses: Loss[];
  lossCount: number;
  /** How many parts are kept beside the course. */
  keptCount: number;
}

/** Lines of a report with the number that each has in it, from 0. */
export interface ReportLines {
  losses: { ordinal: number; loss: Loss }[];
  kept: { ordinal: number; part: KeptPart }[];
  /** What the source says, part by part, for the next time that it comes. */
  parts: { ordinal: number; part: SourcePart }[];
}

/** Lines and characters of those that the report has in itself; the others are read in pages. */
const MAX_LISTED = 1000;
const MAX_LISTED_TEXT = 300_000;
const MAX_TEXT = 2000;

/** A report of nothing yet. */
export function emptyReport(): ImportReport {
  return {
    read: 0,
    mapped: 0,
    kept: 0,
    counts: { units: 0, modules: 0, lessons: 0, assignments: 0 },
    items: 0,
    assets: 0,
    losses: [],
    lossCount: 0,
    keptCount: 0,
  };
}

/**
 * The book of one reading of a source: its report, and the lines that nobody has taken yet. The same source gives the same lines with
 * the same numbers, so that an attempt that is repeated writes each of them once.
 */
export class ImportBook {
  readonly report = emptyReport();
  private lines: ReportLines = noLines();
  private partCount = 0;
  private listedText = 0;

  /** With `counting` no lines are held: nobody is going to take them. */
  constructor(private readonly mode: 'whole' | 'counting' = 'whole') {}

  /** How many lines wait to be taken. */
  get waiting(): number {
    const { losses, kept, parts } = this.lines;
    return losses.length + kept.length + parts.length;
  }

  /** Adds a loss. */
  lose({ source, what, kept }: Loss): void {
    const loss = { source: shortText(source, MAX_TEXT), what: shortText(what, MAX_TEXT), kept };
    const ordinal = this.report.lossCount++;
    this.listedText += loss.source.length + loss.what.length;
    if (this.report.losses.length < MAX_LISTED && this.listedText <= MAX_LISTED_TEXT) this.report.losses.push(loss);
    if (this.mode === 'whole') this.lines.losses.push({ ordinal, loss });
  }

  /** Keeps a part beside the course. */
  keep(part: KeptPart): void {
    const ordinal = this.report.keptCount++;
    if (this.mode === 'whole') this.lines.kept.push({ ordinal, part });
  }

  /** Remembers what the source says of a part. */
  remember(part: SourcePart): void {
    const ordinal = this.partCount++;
    if (this.mode === 'whole') this.lines.parts.push({ ordinal, part });
  }

  /** The lines since the last time. */
  take(): ReportLines {
    const taken = this.lines;
    this.lines = noLines();
    return taken;
  }
}

function noLines(): ReportLines {
  return { losses: [], kept: [], parts: [] };
}
