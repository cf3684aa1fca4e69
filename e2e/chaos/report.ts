import type { DrillResult } from './drill.js';
import { commonName } from './faults.js';

/** Under which conditions a table came about. */
export interface RunFacts {
  readonly command: string;
  readonly replicas: number;
  readonly date: string;
  readonly machine: string;
}

const HEAD = [
  'fault',
  'runs',
  'acknowledged',
  'lost',
  'doubled',
  's until ready',
  's until right',
  'longest staleness, s',
  'put off (503)',
  'of these out of time',
  'other answers',
  'violations',
];

const seconds = (ms: number | null): string => (ms === null ? 'never' : (ms / 1000).toFixed(1));

/** The worse of two times; null is never. */
function worst(times: readonly (number | null)[]): number | null {
  return times.some((time) => time === null) ? null : Math.max(...(times as number[]));
}

function rowOf(fault: string, results: readonly DrillResult[]): string[] {
  const sum = (of: (result: DrillResult) => number): string =>
    String(results.reduce((total, one) => total + of(one), 0));
  const odd = new Map<string, number>();
  for (const result of results) for (const [what, times] of result.odd) odd.set(what, (odd.get(what) ?? 0) + times);
  const slowest = [...results].sort((a, b) => b.staleMs - a.staleMs)[0]!;
  return [
    fault,
    String(results.length),
    sum(({ acknowledged }) => acknowledged),
    sum(({ lost }) => lost),
    sum(({ doubled }) => doubled),
    seconds(worst(results.map(({ readyMs }) => readyMs))),
    seconds(worst(results.map(({ rightMs }) => rightMs))),
    `${seconds(slowest.staleMs)}${slowest.staleWho && ` (${slowest.staleWho})`}`,
    sum(({ putOff }) => putOff),
    sum(({ timedOut }) => timedOut),
    [...odd].map(([what, times]) => `${times} × ${what}`).join(', ') || '–',
    sum(({ violations }) => violations.length),
  ];
}

/** The table of a run, in Markdown: a row for each fault, the worst of its drills where they are not added up. */
export function tableOf(results: readonly DrillResult[]): string {
  const rows = [...Map.groupBy(results, ({ fault }) => commonName(fault))].map(([fault, drills]) =>
    rowOf(fault, drills),
  );
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(HEAD), line(HEAD.map(() => '---')), ...rows.map(line)].join('\n');
}

/** The page docs/reliability.md with the table of a run in the place of the last one. */
export function pageWith(page: string, results: readonly DrillResult[], facts: RunFacts): string {
  const mark = '<!-- last run -->';
  const [before] = page.split(mark);
  const broken = results.flatMap(({ fault, seed, violations }) =>
    violations.map(({ kind, what }) => `- \`${fault}\`, seed ${seed}: ${kind}: ${what}`),
  );
  return [
    `${before!.trimEnd()}\n\n${mark}\n`,
    `\`${facts.command}\`, ${facts.date}, ${facts.replicas} of each service, ${facts.machine}.\n`,
    tableOf(results),
    broken.length === 0 ? '\nNothing was violated.\n' : `\nWhat was violated:\n\n${shortened(broken).join('\n')}\n`,
  ].join('\n');
}

const LISTED = 40;

function shortened(lines: readonly string[]): string[] {
  if (lines.length <= LISTED) return [...lines];
  return [...lines.slice(0, LISTED), `- and ${lines.length - LISTED} more`];
}
