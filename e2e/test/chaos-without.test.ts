import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { safeties, takeOut } from '../chaos/without.mjs';

const all = Object.entries(safeties).flatMap(([safety, files]) =>
  Object.entries(files).map(([path, edits]) => [safety, path, edits] as const),
);

describe('a safety that the chaos suite does without', () => {
  it.each(all)('%s is where it is looked for in %s, each of its checks once', (_, path, edits) => {
    const text = readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
    for (const [check] of edits) expect(text.match(new RegExp(check, 'g'))).toHaveLength(1);
    expect(takeOut(text, edits)).not.toBe(text);
  });

  it('is not left out silently where it is not found', () => {
    expect(() => takeOut('return true;', [[/return false;/, '']])).toThrow('there is nothing like');
  });
});
