import { readConfig, readServiceConfig, type Env, type ServiceConfig } from '@coursewright/platform/config';

/** What the service is told. */
export interface Config extends ServiceConfig {
  /** Memory for the objects of trees, in MiB. */
  readonly objectCacheMib: number;
  /** Where content is asked whether bodies are there. */
  readonly contentAddress: string;
}

/** Reads the configuration. Throws ConfigError with every problem at once. */
export function configFrom(env: Env): Config {
  return readConfig(env, (reader) => ({
    ...readServiceConfig(reader),
    objectCacheMib: reader.integer('OBJECT_CACHE_MIB', { fallback: 96, min: 8, max: 16_384 }),
    contentAddress: reader.address('CONTENT_ADDRESS'),
  }));
}
