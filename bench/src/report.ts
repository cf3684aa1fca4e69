import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';

/** One measured figure; floor is what the same machine did for the bare minimum in the same run. */
export interface Row {
  /** Row of the targets page: "S3". */
  readonly id: string;
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  readonly floor: number | null;
  /** value / floor. */
  readonly ratio: number | null;
  /** As the targets page words it, or null for a figure that is only reported. */
  readonly target: string | null;
  readonly met: boolean | null;
}

/** The value below which a share of the samples lies. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** A row, its ratio worked out. */
export function row(
  id: string,
  metric: string,
  value: number,
  more: { unit: string; floor?: number; target?: string; met?: boolean },
): Row {
  const floor = more.floor ?? null;
  const ratio = floor === null ? null : round(value / floor);
  return {
    id,
    metric,
    value: round(value),
    unit: more.unit,
    floor: floor === null ? null : round(floor),
    ratio,
    target: more.target ?? null,
    met: more.met ?? null,
  };
}

/** Prints the rows as a table and keeps them in bench/results/<name>.json. */
export function report(name: string, rows: readonly Row[], notes: readonly string[] = []): void {
  const cells = rows.map((one) => [
    one.id,
    one.metric,
    `${one.value} ${one.unit}`,
    one.floor === null ? '' : `${one.floor}`,
    one.ratio === null ? '' : `${one.ratio}×`,
    one.target ?? '',
    one.met === null ? '' : one.met ? 'met' : 'MISSED',
  ]);
  const heads = ['id', 'metric', 'value', 'floor', 'ratio', 'target', ''];
  const widths = heads.map((head, column) => Math.max(head.length, ...cells.map((line) => line[column]!.length)));
  for (const line of [heads, widths.map((width) => '-'.repeat(width)), ...cells]) {
    console.log(line.map((cell, column) => cell.padEnd(widths[column]!)).join('  '));
  }
  for (const note of notes) console.log(`  ${note}`);
  const folder = new URL('../results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const machine = {
    cores: cpus().length,
    cpu: cpus()[0]?.model ?? '',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  };
  writeFileSync(
    new URL(`${name}.json`, folder),
    `${JSON.stringify({ name, measuredAt: new Date().toISOString(), machine, notes, rows }, null, 2)}\n`,
  );
}

function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
