import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { readConfig, readServiceConfig, type Env, type ServiceConfig } from '@coursewright/platform/config';
import type { ArchiveLimits } from './domain/archive.js';

/** What the content service is told. */
export interface Config extends ServiceConfig {
  readonly mongodbUrl: string;
  readonly redisUrl: string;
  readonly versioningAddress: string;
  readonly catalogAddress: string;
  /** Folder for archives that wait for their import. */
  readonly spoolDir: string;
  /** Folder of the files of courses; every process of the service has to see the same. */
  readonly filesDir: string;
  /** Most bytes of an archive as it is sent. */
  readonly maxImportBytes: number;
  readonly archiveLimits: ArchiveLimits;
  /** Key of the hashes that learners get; made from the service's own signing key. */
  readonly hashKey: Uint8Array;
}

const MIB = 1024 * 1024;
const MAX_NAMES = 32 * MIB;

/** Reads the configuration. Throws ConfigError with every problem at once. */
export function readContentConfig(env: Env): Config {
  return readConfig(env, (reader) => {
    const service = readServiceConfig(reader);
    return {
      ...service,
      mongodbUrl: reader.url('MONGODB_URL', ['mongodb:', 'mongodb+srv:']),
      redisUrl: reader.url('REDIS_URL', ['redis:', 'rediss:']),
      versioningAddress: reader.address('VERSIONING_ADDRESS'),
      catalogAddress: reader.address('CATALOG_ADDRESS'),
      spoolDir: join(reader.text('DATA_DIR'), 'imports'),
      filesDir: join(reader.text('DATA_DIR'), 'files'),
      maxImportBytes: reader.integer('MAX_IMPORT_BYTES', { fallback: 512 * MIB, min: 1 }),
      archiveLimits: {
        names: MAX_NAMES,
        entries: reader.integer('MAX_ARCHIVE_ENTRIES', { fallback: 500_000, min: 1 }),
        fileBytes: reader.integer('MAX_ARCHIVE_FILE_BYTES', { fallback: 256 * MIB, min: 1 }),
        totalBytes: reader.integer('MAX_UNPACKED_BYTES', { fallback: 4096 * MIB, min: 1 }),
        ratio: reader.integer('MAX_ARCHIVE_RATIO', { fallback: 200, min: 2 }),
      },
      hashKey: createHash('sha256')
        .update(`learner-hash\n${JSON.stringify(service.tokenKey ?? {})}`)
        .digest(),
    };
  });
}
