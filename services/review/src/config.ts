import { readConfig, readServiceConfig, type Env, type ServiceConfig } from '@coursewright/platform/config';

/** What review is told. */
export interface ReviewConfig extends ServiceConfig {
  /** Names the stream of its events and its durables. */
  readonly name: string;
  readonly versioningAddress: string;
}

/** Reads review's configuration. Throws ConfigError with every problem at once. */
export function readReviewConfig(env: Env): ReviewConfig {
  return readConfig(env, (reader) => ({
    ...readServiceConfig(reader),
    name: 'review',
    versioningAddress: reader.address('VERSIONING_ADDRESS'),
  }));
}
