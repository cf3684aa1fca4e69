import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { DrillResult } from './drill.js';

/** The results of a run in a file, a line each, so that a run of hours can be ended and gone on with. */
export class KeptResults {
  readonly results: DrillResult[];

  /** Without a file nothing is kept. */
  constructor(private readonly file: string | undefined) {
    const text = file !== undefined && existsSync(file) ? readFileSync(file, 'utf8') : '';
    this.results = text
      .split('\n')
      .filter((line) => line !== '')
      .map(read);
  }

  has(fault: string, seed: number): boolean {
    return this.results.some((result) => result.fault === fault && result.seed === seed);
  }

  add(result: DrillResult): void {
    this.results.push(result);
    if (this.file !== undefined) appendFileSync(this.file, `${JSON.stringify({ ...result, odd: [...result.odd] })}\n`);
  }
}

function read(line: string): DrillResult {
  const result = JSON.parse(line) as Omit<DrillResult, 'odd'> & { readonly odd: [string, number][] };
  return { ...result, odd: new Map(result.odd) };
}
