// @prisma/adapter-pg 7.10 as the schema engine needs it. Four corrections:
// - columns of type "char" (OID 18, in pg_catalog) have no mapping: they are reported as Character;
// - executeScript() splits at semicolons and so breaks $$ bodies: the whole script goes by the simple protocol;
// - its "shadow" database would be the main one, as a connection string wins over a database name: URLs are made here;
// - ?schema= is not applied to the session: it is given as search_path.
import { PrismaPg } from '@prisma/adapter-pg';
import { ColumnTypeEnum } from '@prisma/driver-adapter-utils';
import pg from 'pg';

const CHAR = 18;
const BPCHAR = 1042;

const quoted = (name) => `"${name.replaceAll('"', '""')}"`;

/** A database URL taken apart: address without `?schema=`, schema, database and host. */
export function target(url) {
  const parsed = new URL(url);
  const schema = parsed.searchParams.get('schema') ?? 'public';
  parsed.searchParams.delete('schema');
  return { href: parsed.href, schema, name: decodeURIComponent(parsed.pathname.slice(1)), host: parsed.host };
}

/** The same server, another database. */
export function withDatabase(url, database) {
  const parsed = new URL(target(url).href);
  parsed.pathname = `/${encodeURIComponent(database)}`;
  return parsed.href;
}

/** Runs one statement on a connection of its own. */
export async function runOnce(href, sql) {
  const client = new pg.Client({ connectionString: href, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Makes the database that a URL names; resolves to its name. */
export async function createDatabase(url) {
  const { name } = target(url);
  await runOnce(withDatabase(url, 'postgres'), `CREATE DATABASE ${quoted(name)}`);
  return name;
}

let corrected = false;

function correctCharColumns(adapter) {
  if (corrected) return;
  corrected = true;
  const prototype = Object.getPrototypeOf(Object.getPrototypeOf(adapter));
  const { performIO, queryRaw } = prototype;
  const columnsOf = new WeakMap();
  prototype.performIO = async function (query) {
    const result = await performIO.call(this, query);
    for (const [index, field] of (result.fields ?? []).entries()) {
      if (field.dataTypeID !== CHAR) continue;
      field.dataTypeID = BPCHAR;
      columnsOf.set(query, [...(columnsOf.get(query) ?? []), index]);
    }
    return result;
  };
  prototype.queryRaw = async function (query) {
    const result = await queryRaw.call(this, query);
    for (const index of columnsOf.get(query) ?? []) result.columnTypes[index] = ColumnTypeEnum.Character;
    return result;
  };
}

/** Opens an adapter on the database of a URL, or on another one of that server: `{adapter, close}`. */
export async function openAdapter(url, database) {
  const { href, schema } = target(url);
  const connectionString = database ? withDatabase(url, database) : href;
  const pool = new pg.Pool({ connectionString, max: 4, options: `-c search_path="${schema}"` });
  if (schema !== 'public') await pool.query(`CREATE SCHEMA IF NOT EXISTS ${quoted(schema)}`);
  const adapter = await new PrismaPg(pool, { schema }).connect();
  correctCharColumns(adapter);
  adapter.executeScript = async (script) => {
    try {
      await pool.query(script);
    } catch (error) {
      adapter.onError(error);
    }
  };
  return { adapter, close: () => pool.end() };
}
