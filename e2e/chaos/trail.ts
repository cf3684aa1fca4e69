import type { Log, Violation } from './history.js';

/** A row of a consumer as it was after each of its changes, in the order of the changes. */
export interface TrailRow {
  readonly consumer: string;
  readonly table: string;
  readonly course: string;
  /** Of an inbox row the number of the last event, of a projection the commit that it shows. */
  readonly value: string;
  /** Of an inbox row: source and epoch, within which numbers only grow. */
  readonly line: string;
}

/** Events take effect once and in order: the numbers of an inbox only grow, and what a projection shows never goes back in the log. */
export function checkTrail(rows: readonly TrailRow[], logs: readonly Log[]): Violation[] {
  const heads = new Map(
    logs
      .filter(({ branch }) => branch === '')
      .map(({ course, entries }) => [course, new Map(entries.map(({ hash }, index) => [hash, index]))]),
  );
  const last = new Map<string, number>();
  return rows.flatMap((row): Violation[] => {
    const isInbox = row.table === 'inbox';
    const place = isInbox ? Number(row.value) : heads.get(row.course)?.get(row.value);
    const where = `${row.table} of ${row.consumer}, course ${row.course}`;
    if (place === undefined)
      return heads.has(row.course) ? [{ kind: 'wrong', what: `${where}: shows ${row.value}, which is in no log` }] : [];
    const line = `${row.consumer} ${row.table} ${row.course} ${row.line}`;
    const before = last.get(line) ?? -1;
    last.set(line, place);
    if (place < before) return [{ kind: 'reordered', what: `${where}: went back from ${before} to ${place}` }];
    if (place === before && isInbox) return [{ kind: 'doubled', what: `${where}: event ${place} took effect again` }];
    return [];
  });
}

/** How far the source of events, or a consumer of them, was with a course at a moment. */
export interface Mark {
  readonly at: number;
  /** `versioning` is the source. */
  readonly who: string;
  readonly course: string;
  readonly seq: number;
}

/** The longest time for which an event that was there had not yet taken effect at some consumer, in milliseconds. */
export function longestStaleness(marks: readonly Mark[]): { readonly ms: number; readonly who: string } {
  const waiting = new Map<string, { readonly at: number; readonly seq: number }[]>();
  const known = new Map<string, number>();
  const consumers = new Set(marks.map(({ who }) => who).filter((who) => who !== 'versioning'));
  let longest = { ms: 0, who: '' };
  for (const { at, who, course, seq } of marks) {
    if (who === 'versioning') {
      if (seq <= (known.get(course) ?? 0)) continue;
      known.set(course, seq);
      for (const consumer of consumers) {
        const key = `${consumer} ${course}`;
        const list = waiting.get(key) ?? [];
        list.push({ at, seq });
        waiting.set(key, list);
      }
      continue;
    }
    const list = waiting.get(`${who} ${course}`) ?? [];
    // What has taken effect since the look before was stale up to now at the most.
    if (list[0] !== undefined && at - list[0].at > longest.ms) longest = { ms: at - list[0].at, who };
    while (list[0] !== undefined && list[0].seq <= seq) list.shift();
  }
  return longest;
}

/** When everything that was there at a moment had taken effect at all consumers; null when it never was. */
export function rightAt(marks: readonly Mark[], since: number): number | null {
  const aims = new Map<string, number>();
  const later = marks.filter(({ at }) => at >= since);
  for (const { who, course, seq } of later) if (who === 'versioning' && !aims.has(course)) aims.set(course, seq);
  const left = new Set<string>();
  for (const { who } of marks) if (who !== 'versioning') for (const course of aims.keys()) left.add(`${who} ${course}`);
  let right = since;
  for (const { at, who, course, seq } of later) {
    if (who === 'versioning' || seq < (aims.get(course) ?? Infinity)) continue;
    if (left.delete(`${who} ${course}`)) right = Math.max(right, at);
  }
  return left.size === 0 && aims.size > 0 ? right : null;
}
