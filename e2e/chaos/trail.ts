import type { Log, Violation } from './history.js';

/** A row of a consumer as it was after each of its changes, in the order of the changes. */
export interface TrailRow {
  readonly consumer: string;
  readonly table: string;
  readonly course: string;
  /** Of an inbox row the number of the last event, of a projection the commit that it shows, of an import the token of its attempt. */
  readonly value: string;
  /** Of an inbox row: source and epoch, within which numbers only grow. Of an import its id. */
  readonly line: string;
  /** The process that made the change. */
  readonly who: string;
}

/** Events take effect once and in order: the numbers of an inbox only grow, and what a projection shows never goes back in the log. */
export function checkTrail(rows: readonly TrailRow[], logs: readonly Log[]): Violation[] {
  const heads = new Map(
    logs
      .filter(({ branch }) => branch === '')
      .map(({ course, entries }) => [course, new Map(entries.map(({ hash }, index) => [hash, index]))]),
  );
  const last = new Map<string, number>();
  const effects = rows.filter(({ table }) => table !== 'outbox' && table !== 'import');
  return effects.flatMap((row): Violation[] => {
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

/** A death, a pause and a balancing afterwards each move a course from one process to another; more than so often none of them does. */
const MOST_HANDOVERS = 6;

/** The events of a course are sent, and taken, by one process at a time: the work passes to another one now and then, not back and forth. */
export function checkHolders(rows: readonly TrailRow[]): Violation[] {
  const last = new Map<string, string>();
  const handovers = new Map<string, number>();
  for (const { consumer, table, course, who, line: from } of rows) {
    if (table !== 'inbox' && table !== 'outbox') continue;
    // The events of each source are taken under a lease of their own.
    const line = `${table} of ${consumer}, course ${course}${from && `, ${from}`}`;
    if ((last.get(line) ?? who) !== who) handovers.set(line, (handovers.get(line) ?? 0) + 1);
    last.set(line, who);
  }
  return [...handovers]
    .filter(([, times]) => times > MOST_HANDOVERS)
    .map(([line, times]) => ({ kind: 'shared', what: `${line}: passed from one process to another ${times} times` }));
}

/** An attempt at an import is one process's: what follows it takes a token of its own, and the one before writes nothing any more. */
export function checkAttempts(rows: readonly TrailRow[]): Violation[] {
  const holders = new Map<string, string>();
  const strangers = new Set<string>();
  for (const { table, value, line, who } of rows) {
    if (table !== 'import') continue;
    const attempt = `import ${line}, attempt ${value}`;
    const holder = holders.get(attempt);
    if (holder === undefined) holders.set(attempt, who);
    else if (holder !== who) strangers.add(`${attempt}: claimed by ${holder}, and ${who} wrote`);
  }
  return [...strangers].map((what) => ({ kind: 'shared', what }));
}

/** How far the source of events, or a consumer of them, was with a course at a moment. */
export interface Mark {
  readonly at: number;
  /** `versioning` is the source. */
  readonly who: string;
  readonly course: string;
  readonly seq: number;
}

/** An event that was seen waiting for its effect at a consumer. */
interface Wait {
  readonly at: number;
  readonly ms: number;
  readonly who: string;
}

/** For each look at a consumer how long the oldest event without effect had been waiting; what has taken effect since the look before, up to now. */
function waits(marks: readonly Mark[]): Wait[] {
  const waiting = new Map<string, { readonly at: number; readonly seq: number }[]>();
  const known = new Map<string, number>();
  const consumers = new Set(marks.map(({ who }) => who).filter((who) => who !== 'versioning'));
  return marks.flatMap(({ at, who, course, seq }): Wait[] => {
    if (who === 'versioning') {
      if (seq <= (known.get(course) ?? 0)) return [];
      known.set(course, seq);
      for (const consumer of consumers) {
        const key = `${consumer} ${course}`;
        waiting.set(key, [...(waiting.get(key) ?? []), { at, seq }]);
      }
      return [];
    }
    const list = waiting.get(`${who} ${course}`) ?? [];
    const [oldest] = list;
    if (oldest === undefined) return [];
    waiting.set(
      `${who} ${course}`,
      list.filter((one) => one.seq > seq),
    );
    return [{ at, ms: at - oldest.at, who }];
  });
}

/** The longest time for which an event that was there had not yet taken effect at some consumer, in milliseconds. */
export function longestStaleness(marks: readonly Mark[]): { readonly ms: number; readonly who: string } {
  return waits(marks).reduce((longest, { ms, who }) => (ms > longest.ms ? { ms, who } : longest), { ms: 0, who: '' });
}

/** So long may an event wait without a projection being called wrong. */
const RIGHT_MS = 1_000;

/**
 * How long after a moment projections were right for good: until the last look that found an event waiting for more than a second.
 * Null when the last looks still do.
 */
export function rightAfter(marks: readonly Mark[], since: number): number | null {
  const late = waits(marks).filter(({ at, ms }) => at >= since && ms > RIGHT_MS);
  const last = late.at(-1)?.at ?? since;
  const end = marks.at(-1)?.at ?? since;
  return end - last < RIGHT_MS && late.length > 0 ? null : last - since;
}
