import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';

/** The data servers that the test runner has started. Throws when a test is run without it. */
export function testServers(env: Readonly<Record<string, string | undefined>> = process.env): {
  postgres: string;
  redis: string;
  nats: string;
  mongodb: string;
} {
  const read = (name: string): string => {
    const value = env[name];
    if (!value) throw new Error(`${name} is not set: run tests with "npm test", which starts the servers`);
    return value;
  };
  return {
    postgres: read('TEST_POSTGRES_URL'),
    redis: read('TEST_REDIS_URL'),
    nats: read('TEST_NATS_URL'),
    mongodb: read('TEST_MONGODB_URL'),
  };
}

export interface TestDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

/** A new database with all migrations of a service applied; migrationsDir holds Prisma's folders. */
export async function createTestDatabase(name: string, migrationsDir?: string): Promise<TestDatabase> {
  const admin = new URL(testServers().postgres);
  const database = `t_${name}_${randomBytes(5).toString('hex')}`;
  await withClient(admin.href, (client) => client.query(`CREATE DATABASE "${database}"`));
  const url = new URL(admin);
  url.pathname = `/${database}`;
  if (migrationsDir !== undefined) {
    await withClient(url.href, async (client) => {
      for (const folder of readdirSync(migrationsDir).sort()) {
        const file = join(migrationsDir, folder, 'migration.sql');
        if (existsSync(file)) await client.query(readFileSync(file, 'utf8'));
      }
    });
  }
  return {
    url: url.href,
    drop: () => withClient(admin.href, (client) => client.query(`DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`)),
  };
}

async function withClient(url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
