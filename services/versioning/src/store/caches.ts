import { LRUCache } from 'lru-cache';
import type { CommitLink, CommitMark } from '../domain/history.js';
import { memoryOfText } from '../domain/sizes.js';
import type { HiddenNodes } from '../domain/viewer.js';
import type { Commit } from '../operations/ports.js';
import { ObjectCache } from './object-cache.js';

const MIB = 1024 * 1024;

/** How much the store keeps in memory, in bytes. Together with what one answer takes they fit into the service's 512 MiB. */
export const CACHE_BYTES = {
  objects: 96 * MIB,
  commits: 16 * MIB,
  links: 24 * MIB,
  descents: 8 * MIB,
  reached: 4 * MIB,
  hidden: 4 * MIB,
} as const;

/** What a hash with its course's id takes as a key, and the cache's own share of an entry. */
const KEY = 24 + 80 + 120;
const HASH = 24 + 48;
const OBJECT = 56;

/** What the store keeps in memory; every part of it is bounded by bytes. */
export interface Caches {
  readonly objects: ObjectCache;
  readonly commits: LRUCache<string, Commit>;
  readonly links: LRUCache<string, CommitLink>;
  readonly descents: LRUCache<string, CommitMark>;
  /** Commits that were found in the history of a visible ref. */
  readonly reached: LRUCache<string, true>;
  readonly hidden: LRUCache<string, HiddenNodes>;
}

/** Empty caches. */
export function createCaches(objectBytes: number = CACHE_BYTES.objects): Caches {
  return {
    objects: new ObjectCache(objectBytes),
    commits: new LRUCache({ maxSize: CACHE_BYTES.commits, sizeCalculation: sizeOfCommit }),
    links: new LRUCache({ maxSize: CACHE_BYTES.links, sizeCalculation: sizeOfLink }),
    descents: new LRUCache({ maxSize: CACHE_BYTES.descents, sizeCalculation: () => KEY + OBJECT + HASH }),
    reached: new LRUCache({ maxSize: CACHE_BYTES.reached, sizeCalculation: () => KEY }),
    hidden: new LRUCache({ maxSize: CACHE_BYTES.hidden, sizeCalculation: sizeOfHidden }),
  };
}

function sizeOfCommit({ parents, author, authorName, message }: Commit): number {
  const texts = memoryOfText(author) + memoryOfText(authorName) + memoryOfText(message);
  return KEY + 4 * OBJECT + (3 + parents.length) * HASH + texts;
}

function sizeOfLink({ parents }: CommitLink): number {
  return KEY + 2 * OBJECT + (1 + parents.length) * HASH;
}

function sizeOfHidden({ byParent }: HiddenNodes): number {
  let sum = KEY + 4 * OBJECT;
  for (const positions of byParent.values()) sum += 3 * OBJECT + HASH + 8 * positions.length;
  return sum;
}
