import { caseFold } from './case-fold.js';

/** What all spellings of a tag have in common: NFC without case. Two tags with the same key are one. */
export function tagKey(tag: string): string {
  return caseFold(tag);
}

/** The tags without those that an earlier one equals in another spelling: of each the first spelling stays, in its place. */
export function uniqueTags(tags: readonly string[]): string[] {
  const first = new Map<string, string>();
  for (const tag of tags) {
    const key = tagKey(tag);
    if (!first.has(key)) first.set(key, tag);
  }
  return [...first.values()];
}
