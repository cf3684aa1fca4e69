/** After so much work in one go others get their turn. */
const STRETCH_MS = 10;

let since = performance.now();

/**
 * Lets the event loop turn when this thread has gone on for 10 ms. What is answered from memory never waits for anything else, and a
 * course can have 100,000 nodes: without this one reader of it would keep all others waiting.
 */
export async function turn(): Promise<void> {
  if (performance.now() - since < STRETCH_MS) return;
  await new Promise((resolve) => setImmediate(resolve));
  since = performance.now();
}
