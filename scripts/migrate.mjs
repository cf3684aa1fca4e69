#!/usr/bin/env node
// Applies a service's migrations, as `prisma migrate deploy` would and compatible with it, without Prisma's engine.
// node scripts/migrate.mjs                         every service, on POSTGRES_URL; the roles that CATALOG_DATABASE_URL and its
//                                                  like name get their rights
// node scripts/migrate.mjs <database URL> <folder> one folder of migrations
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { serviceNames } from './lib/names.mjs';
import { root } from './lib/paths.mjs';
import { folderOf } from './lib/processes.mjs';
import { closeCommonDatabases, grantTo, runtimeRoles } from './lib/servers/roles.mjs';
import { databaseUrl, databaseVariable } from './lib/servers/users.mjs';

/** The advisory lock that Prisma takes too. */
const LOCK = 72_707_369;

const TABLE = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
  id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ,
  migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ,
  started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)`;

const quoted = (name) => `"${name.replaceAll('"', '""')}"`;

async function open(url, schema) {
  const client = new pg.Client({ connectionString: url.href, options: `-c search_path="${schema}"` });
  await client.connect();
  return client;
}

/** Does something as the owner in the database that every server has. */
async function inCommonDatabase(url, work) {
  const admin = new URL(url);
  admin.pathname = '/postgres';
  const client = new pg.Client({ connectionString: admin.href });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

async function createDatabase(url) {
  await inCommonDatabase(url, async (client) => {
    try {
      await client.query(`CREATE DATABASE ${quoted(decodeURIComponent(url.pathname.slice(1)))}`);
    } catch (error) {
      // 42P04, or 23505 on the catalogue's own index: another one was quicker.
      if (error.code !== '42P04' && error.code !== '23505') throw error;
    }
  });
}

async function openOrCreate(url, schema) {
  try {
    return await open(url, schema);
  } catch (error) {
    if (error.code !== '3D000') throw error;
  }
  await createDatabase(url);
  return open(url, schema);
}

/** The migrations of a folder, in their order: `[{name, sql, checksum}]`. */
export function migrationsIn(folder) {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'migration.sql')));
  return names.sort().map((name) => {
    const sql = readFileSync(join(folder, name, 'migration.sql'), 'utf8');
    return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
  });
}

async function apply(client, { name, sql, checksum }) {
  const id = randomUUID();
  await client.query(
    'INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at) VALUES ($1, $2, $3, clock_timestamp())',
    [id, checksum, name],
  );
  try {
    // Without parameters: the simple protocol, so that the file is one implicit transaction.
    await client.query(sql);
  } catch (error) {
    await client.query('UPDATE _prisma_migrations SET logs = $2 WHERE id = $1', [
      id,
      `${error.code}: ${error.message}`,
    ]);
    throw new Error(`P3018: migration ${name} failed: ${error.message}`, { cause: error });
  }
  await client.query(
    'UPDATE _prisma_migrations SET finished_at = clock_timestamp(), applied_steps_count = 1 WHERE id = $1',
    [id],
  );
}

/**
 * Applies the migrations of `folder` that the database does not have yet, making the database (and the schema named by
 * `?schema=`) when they are missing; resolves to the names of those applied. Safe to run several times at once. Throws
 * P3009 when an earlier migration failed, P3018 when one fails now. `role` (`{role, password}`) gets its rights afterwards.
 */
export async function migrateDeploy(databaseUrlText, folder, { role, log = () => {} } = {}) {
  const url = new URL(databaseUrlText);
  const schema = url.searchParams.get('schema') ?? 'public';
  url.searchParams.delete('schema');
  const client = await openOrCreate(url, schema);
  try {
    await client.query('SELECT pg_advisory_lock($1)', [LOCK]);
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${quoted(schema)}`);
    await client.query(TABLE);
    const { rows } = await client.query(
      'SELECT migration_name, checksum, finished_at, rolled_back_at FROM _prisma_migrations ORDER BY started_at',
    );
    const failed = rows.filter((row) => !row.finished_at && !row.rolled_back_at).map((row) => row.migration_name);
    if (failed.length > 0) throw new Error(`P3009: failed migrations in the database: ${failed.join(', ')}`);
    const done = new Map(rows.filter((row) => !row.rolled_back_at).map((row) => [row.migration_name, row.checksum]));
    const applied = [];
    for (const migration of migrationsIn(folder)) {
      const known = done.get(migration.name);
      if (known && known !== migration.checksum) log(`${migration.name} was changed after it had been applied`);
      if (known) continue;
      await apply(client, migration);
      applied.push(migration.name);
      log(`applied ${migration.name}`);
    }
    if (role && !(await grantTo(client, role))) log(`${role.role} owns the tables: no right is kept from it`);
    return applied;
  } finally {
    await client.end();
  }
}

/**
 * Migrates the database of every service on one server and gives the services' roles their rights; resolves to
 * `{service: [applied]}`. `roles` is made by `runtimeRoles`; without it no role is touched. `own`: the server is ours alone.
 */
export async function migrateAll(postgresUrl, { roles = {}, own = false, log = () => {} } = {}) {
  if (own) await inCommonDatabase(postgresUrl, closeCommonDatabases);
  const results = await Promise.all(
    serviceNames.map(async (name) => {
      const folder = join(root, folderOf(name), 'prisma/migrations');
      const options = { role: roles[name], log: (line) => log(`${name}: ${line}`) };
      return [name, await migrateDeploy(databaseUrl(postgresUrl, name), folder, options)];
    }),
  );
  return Object.fromEntries(results);
}

async function fromCommandLine() {
  const [url, folder] = process.argv.slice(2);
  const { env } = process;
  if (url && folder) return migrateDeploy(url, folder, { log: console.log });
  if (!env.POSTGRES_URL) {
    throw new Error('say where: POSTGRES_URL in the environment, or <database URL> <folder of migrations>');
  }
  const all = Object.entries(runtimeRoles({ passwords: {}, env }));
  const roles = Object.fromEntries(all.filter(([, { named }]) => named));
  for (const [name, { named }] of all)
    if (!named) console.log(`${name}: ${databaseVariable(name)} names no role to give rights to`);
  return migrateAll(env.POSTGRES_URL, { roles, log: console.log });
}

if (import.meta.url === `file://${process.argv[1]}`) await fromCommandLine();
