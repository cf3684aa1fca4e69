import { Redis } from 'ioredis';
import type { Logger } from './logger.js';
import { counter } from './metrics.js';
import { inClientSpan } from './telemetry.js';

/** A cache that may vanish at any time: then every read loads, slower but never wrong. */
export interface Cache {
  /** The cached value, else what load gives; callers that want the same key at once share one load. */
  through<T>(key: string, options: ThroughOptions, load: () => Promise<T>): Promise<T>;
  /** Makes everything under these tags unreachable at once. */
  drop(tags: readonly string[]): Promise<void>;
  isUp(): boolean;
  close(): Promise<void>;
}

export interface ThroughOptions {
  /** Name for the hit-rate metric: "course-list". */
  readonly kind: string;
  readonly ttlSeconds: number;
  /** Dropping one of them drops the entry. */
  readonly tags?: readonly string[];
}

const reads = counter('cache_reads_total', 'Cache reads by what became of them', ['kind', 'outcome']);
/** A cache that answers later than this is no faster than loading. */
const usualPatienceMs = 100;

/**
 * A Redis cache. Keys carry the versions of their tags, so an invalidation is one INCR and nothing has to be searched;
 * a value that was being loaded while its tag was dropped lands under the old version and is never read.
 */
export function openCache(url: string, prefix: string, logger: Logger, patienceMs = usualPatienceMs): Cache {
  const redis = new Redis(url, {
    keyPrefix: `${prefix}:`,
    commandTimeout: patienceMs,
    connectTimeout: 1_000,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: (tries) => Math.min(tries * 100, 1_000),
  });
  let complained = false;
  redis.on('error', (error: Error) => {
    if (!complained) logger.warn({ reason: error.message }, 'Redis is away; reading without cache');
    complained = true;
  });
  redis.on('ready', () => (complained = false));
  const loading = new Map<string, Promise<unknown>>();
  // Tags whose drop did not reach Redis: until it does, nothing under them is served from there.
  const owed = new Set<string>();
  redis.on('ready', () => void payDebts(redis, owed));
  const versionsOf = async (tags: readonly string[]): Promise<string | undefined> => {
    if (tags.length === 0) return '';
    if (tags.some((tag) => owed.has(tag))) return undefined;
    return (await redis.mget(tags.map((tag) => `tag:${tag}`))).map((version) => version ?? '0').join('.');
  };

  async function through<T>(key: string, options: ThroughOptions, load: () => Promise<T>): Promise<T> {
    const place = await inClientSpan('redis get', { 'db.system.name': 'redis' }, async () => {
      if (redis.status !== 'ready') return undefined;
      const versions = await versionsOf(options.tags ?? []);
      if (versions === undefined) return undefined;
      const fullKey = `${options.kind}:${key}@${versions}`;
      return { fullKey, found: await redis.get(fullKey) };
    }).catch(() => undefined);
    if (place?.found != null) {
      reads.inc({ kind: options.kind, outcome: 'hit' });
      return JSON.parse(place.found) as T;
    }
    reads.inc({ kind: options.kind, outcome: place === undefined ? 'away' : 'miss' });
    if (place === undefined) return load();
    return shareLoad(place.fullKey, options.ttlSeconds, load);
  }

  function shareLoad<T>(key: string, ttlSeconds: number, load: () => Promise<T>): Promise<T> {
    const under = loading.get(key);
    if (under) return under as Promise<T>;
    const started = load();
    loading.set(key, started);
    const forget = (): void => void loading.delete(key);
    // Shared until Redis has it: who asked Redis before that and was told of a miss finds the load still here.
    started.then((value) => {
      redis.set(key, JSON.stringify(value), 'EX', ttlSeconds).then(forget, forget);
    }, forget);
    return started;
  }

  return {
    through,
    async drop(tags) {
      await Promise.all(
        tags.map((tag) =>
          redis.incr(`tag:${tag}`).catch(() => {
            owed.add(tag);
          }),
        ),
      );
    },
    isUp: () => redis.status === 'ready',
    async close() {
      redis.disconnect();
    },
  };
}

async function payDebts(redis: Redis, owed: Set<string>): Promise<void> {
  for (const tag of [...owed]) {
    await redis.incr(`tag:${tag}`).then(
      () => owed.delete(tag),
      () => undefined,
    );
  }
}
