import { readConfig, readServiceConfig, type Env, type ServiceConfig } from '@coursewright/platform/config';

/** What the catalog is told. */
export interface CatalogConfig extends ServiceConfig {
  /** Names the stream of its events and its durables. */
  readonly name: string;
  readonly redisUrl: string;
  readonly versioningAddress: string;
  readonly reviewAddress: string;
}

/** Reads the catalog's configuration. Throws ConfigError with every problem at once. */
export function readCatalogConfig(env: Env): CatalogConfig {
  return readConfig(env, (reader) => ({
    ...readServiceConfig(reader),
    name: 'catalog',
    redisUrl: reader.url('REDIS_URL', ['redis:', 'rediss:']),
    versioningAddress: reader.address('VERSIONING_ADDRESS'),
    reviewAddress: reader.address('REVIEW_ADDRESS'),
  }));
}
