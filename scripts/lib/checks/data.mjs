// Checks of contracts and database schemas.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ASYNCAPI, asyncApi } from '../asyncapi.mjs';
import { CONTRACT, breaks, buf, generateInto } from '../contracts.mjs';
import { dataFolder } from '../data-folder.mjs';
import { serviceNames } from '../names.mjs';
import { productNode, root, tool } from '../paths.mjs';
import { folderOf } from '../processes.mjs';
import { run } from '../run.mjs';
import { databaseUrl } from '../servers/users.mjs';
import { Refusal } from '../steps.mjs';
import { newRun, startTestServers } from '../test-run.mjs';

async function inTemporaryFolder(work) {
  const folder = mkdtempSync(join(tmpdir(), 'check-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The contracts: well formed and well named, nothing broken for clients of the noted contract, and that one up to date. */
export async function contracts() {
  await buf(['lint']);
  await buf(['format', '-d', '--exit-code']);
  if (!existsSync(CONTRACT)) throw new Refusal('proto/contract.binpb is missing: npm run gen');
  const found = await breaks();
  if (found)
    throw new Refusal(`breaks clients of the noted contract:\n${found}\nIf that is meant: npm run gen -- --break`);
  return inTemporaryFolder(async (folder) => {
    const image = join(folder, 'contract.binpb');
    await buf(['build', '--exclude-source-info', '-o', image]);
    if (!readFileSync(image).equals(readFileSync(CONTRACT)))
      throw new Refusal('proto/contract.binpb is behind: npm run gen');
    return '';
  });
}

/** Whether the generated code in the repository is what the contracts give. */
export async function generatedCode() {
  return inTemporaryFolder(async (folder) => {
    await generateInto(folder);
    try {
      execFileSync('diff', ['-rq', join(folder, 'gen'), join(root, 'proto/gen')], { encoding: 'utf8' });
    } catch (error) {
      throw new Refusal(`proto/gen is not what the contracts give (npm run gen):\n${error.stdout}`);
    }
    if (!existsSync(ASYNCAPI) || readFileSync(ASYNCAPI, 'utf8') !== (await asyncApi())) {
      throw new Refusal('docs/events/asyncapi.json is not what the contracts give (npm run gen)');
    }
    return '';
  });
}

async function drift(name, postgresUrl) {
  const folder = join(root, folderOf(name), 'prisma');
  const [path, schema] = [join(folder, 'migrations'), join(folder, 'schema.prisma')];
  const config = join(root, 'scripts/lib/checks/prisma.config.mjs');
  const args = ['migrate', 'diff', '--config', config, '--exit-code', '--from-migrations', path, '--to-schema', schema];
  const env = {
    ...process.env,
    DATABASE_URL: databaseUrl(postgresUrl, name),
    DRIFT_SCHEMA: schema,
    DRIFT_MIGRATIONS: path,
    CHECKPOINT_DISABLE: '1',
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    PRISMA_SCHEMA_ENGINE_BINARY: join(root, 'scripts/schema-engine.mjs'),
    PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}`,
  };
  const options = { env, accept: [1, 2], timeoutMs: 120_000 };
  const { code, stdout, stderr } = await run(productNode(), [tool('prisma'), ...args], options);
  if (code === 0) return null;
  return `${name}: ${code === 2 ? 'the migrations do not lead to the schema' : 'failed'}:\n${stdout}${stderr}`.trim();
}

/** Applies all migrations to an empty server, then asks Prisma whether they lead to the schemas. */
export async function migrations() {
  const services = serviceNames.filter((name) => existsSync(join(root, folderOf(name), 'prisma/schema.prisma')));
  if (services.length === 0) return 'no schemas yet';
  const data = dataFolder();
  const place = newRun(data);
  let servers;
  try {
    servers = await startTestServers({ folder: place.folder, data, env: {}, names: ['postgres'] });
    const url = servers.env.TEST_POSTGRES_URL;
    const { migrateAll } = await import('../../migrate.mjs');
    await migrateAll(url);
    const found = [];
    for (const name of services) found.push(await drift(name, url));
    if (found.some(Boolean)) throw new Refusal(found.filter(Boolean).join('\n'));
    return services.join(', ');
  } finally {
    await servers?.close();
    await place.remove();
  }
}
