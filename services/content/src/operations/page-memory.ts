import { LRUCache } from 'lru-cache';
import type { Rendering } from '../domain/body-tasks.js';

/** Pages of which a part took too long to render, so that it is not tried again and again. */
export interface PageMemory {
  get(key: string): Rendering | undefined;
  set(key: string, rendering: Rendering): void;
}

const MOST_BYTES = 8 * 1024 * 1024;
const KEPT_MS = 10 * 60 * 1000;

/** Remembers such pages of this process for ten minutes; at most 8 MiB of them. */
export function createPageMemory(): PageMemory {
  // A character takes two bytes at most, an item some hundred for itself.
  const sizeOf = ({ page }: Rendering): number =>
    [...page.items, ...page.objectives].reduce((sum, { html }) => sum + 2 * html.length + 500, 500);
  const pages = new LRUCache<string, Rendering>({ maxSize: MOST_BYTES, ttl: KEPT_MS, sizeCalculation: sizeOf });
  return { get: (key) => pages.get(key), set: (key, rendering) => void pages.set(key, rendering) };
}
