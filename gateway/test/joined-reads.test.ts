import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createJoinedReads } from '../src/joined-reads.js';

describe('joined reads', () => {
  it('never answer with a state from before the question was asked, whatever the timing', async () => {
    const steps = fc.array(fc.constantFrom('read', 'write', 'finish'), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        const reads = createJoinedReads<number>();
        const open: (() => void)[] = [];
        let state = 0;
        let asked = 0;
        let answered = 0;
        const load = (): Promise<number> => {
          const seen = state;
          return new Promise((resolve) => open.push(() => resolve(seen)));
        };
        const finishOne = async (): Promise<void> => {
          open.shift()?.();
          await new Promise((resolve) => setImmediate(resolve));
        };
        const check = (least: number) => (seen: number) => {
          answered += 1;
          expect(seen).toBeGreaterThanOrEqual(least);
        };
        const answers: Promise<void>[] = [];
        for (const step of plan) {
          if (step === 'write') state += 1;
          else if (step === 'finish') await finishOne();
          else {
            asked += 1;
            answers.push(reads.of('k', load).then(check(state)));
          }
        }
        while (open.length > 0) await finishOne();
        await Promise.all(answers);
        expect(answered).toBe(asked);
      }),
    );
  });

  it('load once for many who ask while another load is under way', async () => {
    const reads = createJoinedReads<number>();
    let loads = 0;
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const load = async (): Promise<number> => {
      loads += 1;
      await gate;
      return loads;
    };
    const all = Array.from({ length: 50 }, () => reads.of('k', load));
    release();
    expect(await Promise.all(all)).toEqual([1, ...Array.from({ length: 49 }, () => 2)]);
    expect(await reads.of('other', load)).toBe(3);
  });

  it('tell a failure to those who shared it, and try again for the next', async () => {
    const reads = createJoinedReads<string>();
    let fails = true;
    const load = async (): Promise<string> => {
      if (fails) throw new Error('away');
      return 'there';
    };
    await expect(reads.of('k', load)).rejects.toThrow('away');
    fails = false;
    expect(await reads.of('k', load)).toBe('there');
  });
});
