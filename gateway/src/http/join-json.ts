const turnMs = 10;

/** A list as JSON, item by item; between two of them others get their turn, so that a large answer holds nobody up. */
export async function joinJson<T>(items: readonly T[], toJson: (item: T) => string): Promise<string> {
  const pieces: string[] = [];
  let began = performance.now();
  for (const item of items) {
    pieces.push(toJson(item));
    if (performance.now() - began < turnMs) continue;
    await new Promise((resolve) => setImmediate(resolve));
    began = performance.now();
  }
  return `[${pieces.join()}]`;
}
