// What runs in a container of docker-compose.yml, by its first argument:
//   build          (while the image is made) generates the Prisma clients and compiles
//   setup          makes the secrets at the first start and gives each container its own; migrates the databases at each start
//   ready          loads the sample course, says where to look and how to sign in
//   health <port>  asks a process whether it is ready
//   <process>      runs that process
// A service may run in several containers: the service's name stands for all of them, and each is an instance by the name of its host.
// POSTGRES_URL, MONGODB_URL, REDIS_URL and NATS_URL name the data servers. Only setup knows the owner of PostgreSQL; a
// process finds its user and password for PostgreSQL and NATS among its secrets.
import { hostname } from 'node:os';
import { join } from 'node:path';
import { readJson, writeJson, writeText } from './lib/files.mjs';
import { developmentTokens, keysOf, secretsOf } from './lib/keys.mjs';
import { processNames, serviceNames } from './lib/names.mjs';
import { root } from './lib/paths.mjs';
import { environmentOf, folderOf } from './lib/processes.mjs';
import { isReady } from './lib/ready.mjs';
import { natsConfig } from './lib/servers/nats-config.mjs';
import { runtimeRoles } from './lib/servers/roles.mjs';
import { main } from './lib/steps.mjs';

const KEYS = process.env.KEYS_FILE ?? '/keys/keys.json';
const SECRETS = process.env.SECRETS_DIR ?? '/secrets';
const RPC_PORT = 7000;
const OPS_PORT = 7001;

const ports = {
  ...Object.fromEntries(
    processNames.flatMap((name) => [
      [name, RPC_PORT],
      [`${name}-ops`, OPS_PORT],
    ]),
  ),
  gateway: 8080,
};
const hosts = Object.fromEntries(serviceNames.map((name) => [name, name]));

/** Compose passes unset variables on as empty ones. */
const env = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== ''));

/** The file with what one container may know. */
const secretsFile = (name) => join(SECRETS, name, 'secrets.json');

async function runProcess(name) {
  const { POSTGRES_URL: postgres, MONGODB_URL: mongodb, REDIS_URL: redis, NATS_URL: nats } = env;
  const servers = { postgres, mongodb, redis, nats };
  // A database or a NATS that is named with its user is somebody else's, and used as it is.
  const foreign = ['postgres', ...(new URL(nats).username === '' ? [] : ['nats'])];
  const secrets = readJson(secretsFile(name));
  const settings = { INSTANCE: env.INSTANCE ?? `${name}-${hostname()}` };
  const system = { ports, hosts, servers, foreign, secrets, data: '/data', env, host: '0.0.0.0', settings };
  for (const key of Object.keys(process.env)) delete process.env[key];
  Object.assign(process.env, environmentOf(name, system));
  await import(join(root, folderOf(name), 'dist/main.js'));
}

/** Writes to each volume what its container may know: `ready` signs people in and acts for the gateway, once. */
function handOut(keys) {
  for (const name of processNames) writeJson(secretsFile(name), secretsOf(name, keys));
  writeJson(secretsFile('ready'), { internal: { gateway: keys.internal.gateway }, issuer: keys.issuer });
  const listen = { host: '0.0.0.0', port: 4222, monitor: 8222, data: '/data' };
  writeText(join(SECRETS, 'nats/nats.conf'), natsConfig({ ...listen, passwords: keys.nats }));
}

const jobs = {
  async build() {
    const { build, generateClients } = await import('./lib/build.mjs');
    console.log(await generateClients());
    console.log(await build());
  },
  async setup() {
    const { migrateAll } = await import('./migrate.mjs');
    const keys = keysOf(KEYS);
    handOut(keys);
    const roles = runtimeRoles({ passwords: keys.postgres, env });
    console.log(await migrateAll(env.POSTGRES_URL, { roles, own: true, log: console.log }));
  },
  async ready() {
    if (env.AUTH_JWKS) return;
    const { seed } = await import('./seed.mjs');
    const { summary } = await import('./lib/summary.mjs');
    const keys = readJson(secretsFile('ready'));
    const tokens = developmentTokens(keys, { issuer: env.AUTH_ISSUER, audience: env.AUTH_AUDIENCE });
    const { sampleCourse, detail } = await seed({
      folder: join(SECRETS, 'ready'),
      gateway: 'http://gateway:8080',
      tokens,
      ports,
      hosts,
      keys,
    });
    console.log(`sample course: ${detail}\n\n${summary({ gateway: env.PUBLIC_URL, tokens, sampleCourse })}`);
  },
  async health() {
    return (await isReady({ how: 'http', url: `http://127.0.0.1:${process.argv[3]}/readyz` })) ? 0 : 1;
  },
  ...Object.fromEntries(processNames.map((name) => [name, () => runProcess(name)])),
};

await main(async () => {
  const job = jobs[process.argv[2]];
  if (!job) throw new Error(`say what to run: ${Object.keys(jobs).join(', ')}`);
  return job();
});
