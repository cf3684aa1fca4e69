// What runs in a container of docker-compose.yml, by its first argument:
//   build          (while the image is made) generates the Prisma clients and compiles
//   setup          makes the keys at the first start, migrates the databases at each
//   ready          loads the sample course, says where to look and how to sign in
//   health <port>  asks a process whether it is ready
//   <process>      runs that process
// POSTGRES_URL, MONGODB_URL, REDIS_URL and NATS_URL name the data servers.
import { join } from 'node:path';
import { developmentTokens, keysOf } from './lib/keys.mjs';
import { processNames, serviceNames } from './lib/names.mjs';
import { root } from './lib/paths.mjs';
import { environmentOf, folderOf } from './lib/processes.mjs';
import { isReady } from './lib/ready.mjs';
import { main } from './lib/steps.mjs';

const KEYS = process.env.KEYS_FILE ?? '/keys/keys.json';
const SAMPLE = '/keys';
const RPC_PORT = 7000;
const OPS_PORT = 7001;

const ports = {
  gateway: 8080,
  ...Object.fromEntries(
    serviceNames.flatMap((name) => [
      [name, RPC_PORT],
      [`${name}-ops`, OPS_PORT],
    ]),
  ),
};
const hosts = Object.fromEntries(serviceNames.map((name) => [name, name]));

/** Compose passes unset variables on as empty ones. */
const env = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== ''));

async function runProcess(name) {
  const { POSTGRES_URL: postgres, MONGODB_URL: mongodb, REDIS_URL: redis, NATS_URL: nats } = env;
  const servers = { postgres, mongodb, redis, nats };
  const system = { ports, hosts, servers, keys: keysOf(KEYS), data: '/data', env, host: '0.0.0.0' };
  for (const key of Object.keys(process.env)) delete process.env[key];
  Object.assign(process.env, environmentOf(name, system));
  await import(join(root, folderOf(name), 'dist/main.js'));
}

const jobs = {
  async build() {
    const { build, generateClients } = await import('./lib/build.mjs');
    console.log(await generateClients());
    console.log(await build());
  },
  async setup() {
    const { migrateAll } = await import('./migrate.mjs');
    keysOf(KEYS);
    console.log(await migrateAll(env.POSTGRES_URL, console.log));
  },
  async ready() {
    if (env.AUTH_JWKS) return;
    const { seed } = await import('./seed.mjs');
    const { summary } = await import('./lib/summary.mjs');
    const keys = keysOf(KEYS);
    const tokens = developmentTokens(keys, { issuer: env.AUTH_ISSUER, audience: env.AUTH_AUDIENCE });
    const { sampleCourse, detail } = await seed({
      folder: SAMPLE,
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
