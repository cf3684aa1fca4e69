import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import type { Leases } from './leases.js';
import type { Logger } from './logger.js';
import { counter } from './metrics.js';
import { OwedDrops } from './owed-drops.js';
import type { Database, TxSql } from './sql.js';
import { inClientSpan } from './telemetry.js';

/** A cache that may vanish at any time: then every read loads, slower but never wrong. */
export interface Cache {
  /** The cached value, else what load gives; callers that want the same key at once share one load. */
  through<T>(key: string, options: ThroughOptions, load: () => Promise<T>): Promise<T>;
  /**
   * Makes everything under these tags unreachable once the transaction has committed. The drop is owed from that transaction on: while it
   * has not reached Redis, this process serves nothing under it, and others stop within a second (3 s while the database does not answer
   * them), whatever is killed or restarted in between.
   */
  drop(sql: TxSql, tags: readonly string[]): void;
  isUp(): boolean;
  close(): Promise<void>;
}

export interface ThroughOptions {
  /** Name for the hit-rate metric: "course-list". */
  readonly kind: string;
  readonly ttlSeconds: number;
  /** Dropping one of them drops the entry. Only for a cache that was given a database. */
  readonly tags?: readonly string[];
}

export interface CacheOptions {
  /** Where drops are owed; needed for tags. */
  readonly database?: Database;
  /** Whose heartbeat asks for what is owed; without it this cache looks by itself, five times a second. */
  readonly leases?: Leases;
  /** A cache that answers later than this is no faster than loading. */
  readonly patienceMs?: number;
}

const reads = counter('cache_reads_total', 'Cache reads by what became of them', ['kind', 'outcome']);
const usualPatienceMs = 100;
/** Longer than any entry is kept. A tag that was forgotten gets a version that no entry has. */
const tagSeconds = 7 * 24 * 60 * 60;

const tagsAtOnce = 200;

const newVersion = (): string => randomBytes(9).toString('base64url');

/**
 * A Redis cache. Keys carry the versions of their tags, so an invalidation is one SET and nothing has to be searched; a value that was
 * being loaded while its tag was dropped lands under the old version and is never read.
 * A version is random and belongs to one run of the server: whatever Redis forgets, evicts or brings back from an older file, no version
 * is ever used again.
 */
export function openCache(url: string, prefix: string, logger: Logger, options: CacheOptions = {}): Cache {
  return new RedisCache(url, prefix, { ...options, logger });
}

class RedisCache implements Cache {
  private readonly redis: Redis;
  private readonly owed: OwedDrops | undefined;
  private readonly loading = new Map<string, Promise<unknown>>();
  /** The run of the server behind the present connection; undefined until it has said. */
  private run: string | undefined;
  private connectedAt = Infinity;

  constructor(url: string, prefix: string, options: CacheOptions & { readonly logger: Logger }) {
    const { logger, database, leases, patienceMs = usualPatienceMs } = options;
    const redis = new Redis(url, {
      keyPrefix: `${prefix}:`,
      commandTimeout: patienceMs,
      connectTimeout: 1_000,
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      retryStrategy: (tries) => Math.min(tries * 100, 1_000),
    });
    this.redis = redis;
    let complained = false;
    redis.on('error', (error: Error) => {
      if (!complained) logger.warn({ reason: error.message }, 'Redis is away; reading without cache');
      complained = true;
    });
    redis.on('close', () => (this.run = undefined));
    redis.on('ready', () => {
      complained = false;
      this.connectedAt = performance.now();
      void this.owed?.look().then(() => this.owed?.look());
    });
    if (database !== undefined)
      this.owed = new OwedDrops({ database, leases, logger, drop: (tags) => this.setVersions(tags) });
  }

  async through<T>(key: string, options: ThroughOptions, load: () => Promise<T>): Promise<T> {
    const place = await inClientSpan('redis get', { 'db.system.name': 'redis' }, async () => {
      if (!this.isUp()) return undefined;
      const versions = await this.versionsOf(options.tags ?? []);
      if (versions === undefined) return undefined;
      const fullKey = `${options.kind}:${key}@${versions}`;
      return { fullKey, found: await this.redis.get(fullKey) };
    }).catch(() => undefined);
    if (place?.found != null) {
      reads.inc({ kind: options.kind, outcome: 'hit' });
      return JSON.parse(place.found) as T;
    }
    reads.inc({ kind: options.kind, outcome: place === undefined ? 'away' : 'miss' });
    if (place === undefined) return load();
    return this.shareLoad(place.fullKey, options.ttlSeconds, load);
  }

  drop(sql: TxSql, tags: readonly string[]): void {
    if (this.owed === undefined) throw new Error('a cache without a database has no tags');
    this.owed.owe(sql, tags);
  }

  isUp(): boolean {
    return this.redis.status === 'ready';
  }

  async close(): Promise<void> {
    await this.owed?.stop();
    this.redis.disconnect();
  }

  /** The versions of tags as part of a key; undefined while something under them is owed, or it is not known whether. */
  private async versionsOf(tags: readonly string[]): Promise<string | undefined> {
    if (tags.length === 0) return '';
    if (this.owed === undefined) throw new Error('a cache without a database has no tags');
    if (!this.owed.isSettled(tags, this.connectedAt)) return undefined;
    const { connectedAt } = this;
    const run = this.run ?? (await this.askRun());
    const keys = tags.map((tag) => `tag:${tag}`);
    let versions = await this.redis.mget(keys);
    if (versions.includes(null)) {
      await Promise.all(keys.map((key) => this.redis.set(key, newVersion(), 'EX', tagSeconds, 'NX')));
      versions = await this.redis.mget(keys);
    }
    // Between question and answer a drop may have become owed, or another server may have answered.
    if (versions.includes(null) || this.connectedAt !== connectedAt || this.run !== run) return undefined;
    if (!this.owed.isSettled(tags, connectedAt)) return undefined;
    return [run, ...versions].join('.');
  }

  private async askRun(): Promise<string | undefined> {
    const { connectedAt } = this;
    const id = /^run_id:(\w+)/m.exec(await this.redis.info('server'))?.[1];
    if (id === undefined) throw new Error('Redis does not say which run this is');
    if (this.connectedAt === connectedAt) this.run = id;
    return id;
  }

  private async setVersions(tags: readonly string[]): Promise<void> {
    if (!this.isUp()) throw new Error('Redis is away');
    for (let start = 0; start < tags.length; start += tagsAtOnce) {
      const some = tags.slice(start, start + tagsAtOnce);
      await Promise.all(some.map((tag) => this.redis.set(`tag:${tag}`, newVersion(), 'EX', tagSeconds)));
    }
  }

  private shareLoad<T>(key: string, ttlSeconds: number, load: () => Promise<T>): Promise<T> {
    const under = this.loading.get(key);
    if (under) return under as Promise<T>;
    const started = load();
    this.loading.set(key, started);
    // Shared until Redis has it, and a turn longer: who was told of a miss in the same breath finds the load still here.
    const forget = (): void => void setImmediate(() => this.loading.delete(key));
    started.then((value) => this.redis.set(key, JSON.stringify(value), 'EX', ttlSeconds)).then(forget, forget);
    return started;
  }
}
