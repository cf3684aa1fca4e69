import { execFileSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import { memoryFlags, memoryLimits } from '../lib/memory.mjs';

/** Makes much that lives for a while, as requests do: the young heap grows as far as it may. */
const churn = `
  let kept = [];
  for (let n = 0; n < 2_000_000; n += 1) { kept.push({ n, list: [n, n, n] }); if (kept.length > 200_000) kept = []; }
  const { getHeapSpaceStatistics } = require('node:v8');
  console.log(getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size / 2 ** 20);
`;

describe('the memory of a process', () => {
  it.each(Object.keys(memoryLimits))(
    'of %s has room for its old heap when the young one is as large as can be',
    (name) => {
      const flags = memoryFlags(name);
      const young = Number(execFileSync(process.execPath, [...flags, '-e', churn], { encoding: 'utf8' }));
      const old = Number(/--max-old-space-size=(\d+)/.exec(flags.join(' '))[1]);
      expect(young).toBeLessThanOrEqual(32);
      // The rest is for code, buffers and stacks.
      expect(young + old).toBeLessThan(memoryLimits[name] * 0.8);
    },
  );
});
