import { readConfig, readServiceConfig, type Env, type ServiceConfig } from '@coursewright/platform/config';

/** What deployment is told. */
export interface DeploymentConfig extends ServiceConfig {
  /** Names the stream of its events and its durables. */
  readonly name: string;
  readonly versioningAddress: string;
}

/** Reads deployment's configuration. Throws ConfigError with every problem at once. */
export function readDeploymentConfig(env: Env): DeploymentConfig {
  return readConfig(env, (reader) => ({
    ...readServiceConfig(reader),
    name: 'deployment',
    versioningAddress: reader.address('VERSIONING_ADDRESS'),
  }));
}
