import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { DrillResult } from './drill.js';

/** What results must have in common to be told in one table. */
export interface Setting {
  readonly replicas: number;
  readonly without: string | null;
  /** Of the code under test. */
  readonly commit: string;
}

/** The results of a run in a file, a line each, so that a run of hours can be ended and gone on with. The first line says of what they are. */
export class KeptResults {
  readonly results: DrillResult[];

  /** Without a file nothing is kept. Throws when the file has results of another setting. */
  constructor(
    private readonly file: string | undefined,
    setting: Setting,
  ) {
    const text = file !== undefined && existsSync(file) ? readFileSync(file, 'utf8') : '';
    const [first, ...lines] = text.split('\n').filter((line) => line !== '');
    const own = JSON.stringify(setting);
    if (first !== undefined && first !== own) throw new Error(`${file} has results of ${first}, not of ${own}`);
    if (file !== undefined && first === undefined) appendFileSync(file, `${own}\n`);
    this.results = lines.flatMap(read);
  }

  has(fault: string, seed: number): boolean {
    return this.results.some((result) => result.fault === fault && result.seed === seed);
  }

  /** A drill that broke off is told, but done again next time. */
  add(result: DrillResult): void {
    this.results.push(result);
    if (this.file === undefined || result.isBroken) return;
    appendFileSync(this.file, `${JSON.stringify({ ...result, odd: [...result.odd] })}\n`);
  }
}

type Line = Omit<DrillResult, 'odd'> & { readonly odd: [string, number][] };

/** A line that was cut off when the run was ended is none: its drill is done again. */
function read(line: string, index: number, all: readonly string[]): DrillResult[] {
  try {
    const result = JSON.parse(line) as Line;
    return [{ ...result, odd: new Map(result.odd) }];
  } catch (error) {
    if (index === all.length - 1) return [];
    throw error;
  }
}
