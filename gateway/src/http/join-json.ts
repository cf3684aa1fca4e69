import { createPace } from '@coursewright/platform/pace';

/** A list as JSON, item by item; between two of them others get their turn, so that a large answer holds nobody up. */
export async function joinJson<T>(items: readonly T[], toJson: (item: T) => string): Promise<string> {
  const pieces: string[] = [];
  const pace = createPace();
  for (const item of items) {
    pieces.push(toJson(item));
    await pace();
  }
  return `[${pieces.join()}]`;
}
