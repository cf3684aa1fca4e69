import { describe, expect, it } from '@jest/globals';
import { createPace } from '@coursewright/platform/pace';

function work(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}

/** Runs what is costly and answers the longest time in which nothing else had its turn. */
async function longestWait(costly: () => Promise<unknown>): Promise<number> {
  let last = performance.now();
  let longest = 0;
  const others = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  await costly();
  longest = Math.max(longest, performance.now() - last);
  clearInterval(others);
  return longest;
}

describe('a pace', () => {
  // 400 ms of work in pieces of 1 ms: without turns in between it is one wait of 400 ms, whatever the machine.
  const pieces = Array.from({ length: 400 }, (_, n) => n);

  it('lets others in between pieces that follow each other', async () => {
    const pace = createPace();
    const wait = await longestWait(async () => {
      for (const _ of pieces) {
        await pace();
        work(1);
      }
    });
    expect(wait).toBeLessThan(200);
  });

  it('lets others in between pieces that were begun side by side', async () => {
    const pace = createPace();
    work(20);
    const done: number[] = [];
    const wait = await longestWait(() =>
      Promise.all(
        pieces.map(async (piece) => {
          await pace();
          work(1);
          done.push(piece);
        }),
      ),
    );
    expect(wait).toBeLessThan(200);
    expect(done).toEqual(pieces);
  });
});
