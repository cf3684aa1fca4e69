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
  /** As the service uses it: a role that owns nothing. The owner where there are no migrations, since the test makes the tables. */
  readonly url: string;
  /** As the owner of the tables, for tests that damage what no service could. */
  readonly adminUrl: string;
  drop(): Promise<void>;
}

const grants = new URL('../../sql/grants.sql', import.meta.url);

/** A new database with all migrations of a service applied and their rights given, as a start does; migrationsDir holds Prisma's folders. */
export async function createTestDatabase(name: string, migrationsDir?: string): Promise<TestDatabase> {
  const admin = new URL(testServers().postgres);
  const database = `t_${name}_${randomBytes(5).toString('hex')}`;
  await withClient(admin.href, (client) => client.query(`CREATE DATABASE "${database}"`));
  const owner = new URL(admin);
  owner.pathname = `/${database}`;
  const drop = (more?: string): Promise<void> =>
    withClient(admin.href, async (client) => {
      await client.query(`DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`);
      if (more !== undefined) await client.query(more);
    });
  if (migrationsDir === undefined) return { url: owner.href, adminUrl: owner.href, drop };
  const runtime = new URL(owner);
  runtime.username = database;
  runtime.password = randomBytes(16).toString('hex');
  await withClient(owner.href, async (client) => {
    for (const folder of readdirSync(migrationsDir).sort()) {
      const file = join(migrationsDir, folder, 'migration.sql');
      if (existsSync(file)) await client.query(readFileSync(file, 'utf8'));
    }
    await client.query(`CREATE ROLE "${database}" LOGIN PASSWORD '${runtime.password}'`);
    await client.query(`SELECT set_config('coursewright.role', $1, false)`, [database]);
    await client.query(readFileSync(grants, 'utf8'));
  });
  return { url: runtime.href, adminUrl: owner.href, drop: () => drop(`DROP ROLE IF EXISTS "${database}"`) };
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
