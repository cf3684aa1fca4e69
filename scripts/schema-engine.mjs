#!/usr/bin/env node
// Prisma's schema engine for machines where its native binary cannot be had: the same engine compiled to WebAssembly,
// spoken to by the CLI over JSON-RPC on stdio. A service's prisma.config.ts names this file by PRISMA_SCHEMA_ENGINE_BINARY.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import { createDatabase, openAdapter, runOnce, target, withDatabase } from './lib/schema-engine-adapter.mjs';

const args = process.argv.slice(2);
const optionsNamed = (name) => args.flatMap((arg, index) => (arg === name ? [args[index + 1]] : []));
const datasource = JSON.parse(optionsNamed('--datasource')[0] ?? '{}');

if (/^(-V|--version)$/.test(args[0] ?? '')) {
  console.log('schema-engine-cli wasm');
  process.exit(0);
}
const cli = args.indexOf('cli');
if (cli >= 0) await oneShot(args[cli + 1]);

/** The commands `can-connect-to-database` and `create-database`. The CLI skips the first line of stderr and parses the rest. */
async function oneShot(command) {
  const { href, name, host } = target(datasource.url);
  const log = (level, fields) =>
    process.stderr.write(`${JSON.stringify({ level, fields, target: 'schema_engine::logger' })}\n`);
  log('INFO', { message: 'start' });
  try {
    if (command === 'can-connect-to-database') await runOnce(href, 'select 1');
    else if (command === 'create-database') await createDatabase(datasource.url);
    else throw new Error(`unsupported: ${command}`);
    process.exit(0);
  } catch (error) {
    const code = { '3D000': 'P1003', '28P01': 'P1000', '42P04': 'P1009' }[error.code] ?? 'P1001';
    const message =
      code === 'P1003'
        ? `Database \`${name}\` does not exist`
        : `Can't use the database server at \`${host}\`: ${error.message}`;
    log('ERROR', { is_panic: false, error_code: code, message });
    process.exit(1);
  }
}

const wasm = await import('@prisma/schema-engine-wasm/schema_engine_bg');
const panic = {
  message: '',
  set_message(message) {
    this.message = message;
  },
};
globalThis.PRISMA_WASM_PANIC_REGISTRY = panic;
const bytes = readFileSync(
  new URL('schema_engine_bg.wasm', import.meta.resolve('@prisma/schema-engine-wasm/schema_engine_bg')),
);
const { exports } = new globalThis.WebAssembly.Instance(new globalThis.WebAssembly.Module(bytes), {
  './schema_engine_bg.js': wasm,
});
wasm.__wbg_set_wasm(exports);
exports.__wbindgen_start();

const opened = new Set();

async function open(url, database, after) {
  const { adapter, close } = await openAdapter(url, database);
  adapter.dispose = async () => {
    if (!opened.delete(adapter.dispose)) return;
    await close();
    await after?.();
  };
  opened.add(adapter.dispose);
  return adapter;
}

async function closeAll() {
  for (const dispose of [...opened]) await dispose().catch(() => {});
}

/** A new engine: one a request, as its caches outlive a change of the database. */
async function engine(url = datasource.url) {
  const factory = bindMigrationAwareSqlAdapterFactory({
    provider: 'postgres',
    adapterName: '@prisma/adapter-pg',
    connect: () => open(url),
    connectToShadowDb: async () => {
      const name = `prisma_migrate_shadow_db_${crypto.randomUUID()}`;
      const admin = withDatabase(url, 'postgres');
      await runOnce(admin, `CREATE DATABASE "${name}"`);
      return open(url, name, () => runOnce(admin, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`));
    },
  });
  const files = optionsNamed('--datamodels').map((path) => [path, readFileSync(path, 'utf8')]);
  const options = { datamodels: files.length > 0 ? files : undefined };
  return wasm.SchemaEngine.new(options, (line) => process.stderr.write(`${line}\n`), factory);
}

let printId = 1_000_000;

function send(message) {
  return new Promise((resolve) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`, resolve));
}

/** These two read only the schema cache, which devDiagnostic fills when the database has every listed migration. */
const primed = (method) => async (params) => {
  const one = await engine();
  await one.devDiagnostic({ migrationsList: params.migrationsList, filters: params.filters });
  return one[method](params);
};

const special = {
  evaluateDataLoss: primed('evaluateDataLoss'),
  createMigration: primed('createMigration'),
  introspectSql: () => {
    throw new Error('TypedSQL (generate --sql) needs the native schema engine');
  },
  createDatabase: async (params) => ({
    databaseName: await createDatabase(params.datasource?.url ?? datasource.url),
  }),
  getDatabaseVersion: async (params) => (await engine()).version(params),
  dbExecute: async (params) => (await engine(params?.datasourceType?.url)).dbExecute(params),
  diff: async (params) => {
    const { exitCode, stdout } = await (await engine()).diff(params);
    const print = { method: 'print', params: { content: stdout?.replace(/\n$/, '') } };
    if (stdout !== null && stdout !== undefined) await send({ id: ++printId, ...print });
    return { exitCode, stdout: null };
  },
};

function fail(id, message, code = null, meta = null) {
  const data = { is_panic: false, message, meta, error_code: code };
  return send({ id, error: { code: 4466, message, data } });
}

let current;

async function answer({ id, method, params }) {
  current = id;
  try {
    const result = special[method] ? await special[method](params) : await (await engine())[method](params);
    await closeAll();
    await send({ id, result: result ?? {} });
  } catch (error) {
    await closeAll();
    await fail(id, panic.message || String(error?.message ?? error), error?.code, error?.meta);
  }
}

process.on('uncaughtException', async (error) => {
  await closeAll();
  await fail(current, `schema-engine-wasm: ${panic.message || error}`);
  process.exit(1);
});

let chain = Promise.resolve();
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const request = line.trim() && JSON.parse(line);
    // Replies to our own print requests have no method.
    if (request?.method) chain = chain.then(() => answer(request));
  })
  .on('close', () => chain.then(() => process.exit(0)));
