import { cutText } from './text.js';

/** A part of the source that has no full counterpart. `kept`: it is there whole, visible to authors only. */
export interface Loss {
  source: string;
  what: string;
  kept: boolean;
}

/** What an import has read and made so far. `read = mapped + kept`: each part of the source is the one or the other. */
export interface ImportReport {
  read: number;
  mapped: number;
  kept: number;
  counts: { units: number; modules: number; lessons: number; assignments: number };
  items: number;
  assets: number;
  /** The first 1,000; `lossCount` counts all. */
  losses: Loss[];
  lossCount: number;
}

const MAX_LISTED = 1000;
const MAX_TEXT = 500;

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
  };
}

/** Adds a loss to a report. */
export function addLoss(report: ImportReport, loss: Loss): void {
  report.lossCount++;
  if (report.losses.length < MAX_LISTED) {
    report.losses.push({ ...loss, source: cutText(loss.source, MAX_TEXT), what: cutText(loss.what, MAX_TEXT) });
  }
}
