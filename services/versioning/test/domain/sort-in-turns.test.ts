import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { sortInTurns } from '../../src/sort-in-turns.js';

it('sorts as sort does, equal items as they came', async () => {
  const items = fc.array(fc.record({ key: fc.nat(20), n: fc.nat() }), { maxLength: 50 });
  const many = fc
    .tuple(items, fc.integer({ min: 1, max: 300 }))
    .map(([few, times]) => Array.from({ length: times }, () => few).flat());
  const byKey = (a: { key: number }, b: { key: number }): number => a.key - b.key;
  await fc.assert(
    fc.asyncProperty(many, async (list) => expect(await sortInTurns(list, byKey)).toEqual([...list].sort(byKey))),
    { numRuns: 30 },
  );
});
