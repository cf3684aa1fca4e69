import { setImmediate } from 'node:timers/promises';

/** Longest that one piece of work goes on before others have their turn. */
const turnMs = 8;

/**
 * For a loop over many pieces of work, none of them long: awaited after each, it lets other work of the process in whenever 8 ms
 * have passed since the last time. Pieces that are begun side by side stand in line and go on one by one: let go together, a thousand of
 * them would be one long piece. Answers undefined when nobody has to be let in: most of a million pieces
 * wait for nothing, and the shortest of them do not even await it.
 */
export function createPace(): () => Promise<void> | undefined {
  let since = performance.now();
  let line: Promise<void> | undefined;
  const isDue = (): boolean => performance.now() - since >= turnMs;
  const rest = async (before: Promise<void> | undefined): Promise<void> => {
    await before;
    if (!isDue()) return;
    // The first comes before timers when the work was begun by an answer from the network: only the second lets all in.
    await setImmediate();
    await setImmediate();
    since = performance.now();
  };
  return () => (isDue() ? (line = rest(line)) : undefined);
}
