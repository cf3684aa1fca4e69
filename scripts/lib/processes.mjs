// The processes: where each lies and what its environment says.
import { join } from 'node:path';
import { AUDIENCE, ISSUER, secretsOf } from './keys.mjs';
import { memoryFlags, memoryLimits } from './memory.mjs';
import { replicasOf, serviceNames, serviceOf } from './names.mjs';
import { productNode, root } from './paths.mjs';
import { runtimeUrl, withUser } from './servers/users.mjs';

/** The folder of a process in the checkout. */
export function folderOf(name) {
  return name === 'gateway' ? 'gateway' : `services/${name}`;
}

/** What a process inherits: the caller's environment without what npm, Jest and the caller's own Node put into it. */
export function inherited(env) {
  const foreign = /^(npm_|JEST_|COREPACK_|NODE_OPTIONS$|NODE_ENV$|NODE$|INIT_CWD$|PWD$|OLDPWD$)/;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !foreign.test(name)));
}

/** What the caller knows of data servers is not for every process: each is told its own below. */
function withoutCredentials(env) {
  const told =
    /^((TEST_|BENCH_)?(POSTGRES|MONGODB|REDIS|NATS)_(URL|PASSWORD)|([A-Z]+_)?DATABASE_URL|PGPASSWORD|PGPASSFILE)$/;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !told.test(name)));
}

/** What only some of the services need. */
function storesOf(name, { servers, data }) {
  return {
    ...(name === 'content' ? { MONGODB_URL: servers.mongodb, DATA_DIR: join(data, 'content') } : {}),
    ...(name === 'content' || name === 'catalog' ? { REDIS_URL: servers.redis } : {}),
  };
}

/**
 * The environment of one process (`catalog-2` is the second catalog). `system` is `{ports, replicas (of each service), servers: {postgres, mongodb,
 * redis, nats} (URLs), foreign (names of servers that are used by the URL as it is), keys (or `secrets`: the part of them for this process), data
 * (folder), env (of the caller; may name another issuer by AUTH_*), settings (win over everything)}`. Replicas are one service to everybody: keys,
 * passwords, database and data folder are the same.
 */
export function environmentOf(instance, system) {
  const name = serviceOf(instance);
  const { ports, servers, foreign = [], env = {}, settings = {}, host = '127.0.0.1' } = system;
  const secrets = system.secrets ?? secretsOf(name, system.keys);
  const common = {
    ...withoutCredentials(inherited(env)),
    NODE_ENV: 'production',
    INSTANCE: instance,
    HOST: host,
    PORT: String(ports[instance]),
    OPS_PORT: String(ports[`${instance}-ops`]),
    OPS_TOKEN: secrets.opsToken,
    MEMORY_LIMIT_MIB: String(memoryLimits[name]),
    NATS_URL: foreign.includes('nats') ? servers.nats : withUser(servers.nats, name, secrets.nats),
    INTERNAL_TOKEN_KEY: JSON.stringify(secrets.key),
    INTERNAL_TOKEN_JWKS: JSON.stringify(secrets.jwks),
  };
  for (const service of serviceNames) common[`${service.toUpperCase()}_ADDRESS`] = addressesOf(service, system);
  const own =
    name === 'gateway'
      ? gatewayEnvironment(system, secrets)
      : {
          DATABASE_URL: runtimeUrl(name, {
            postgresUrl: servers.postgres,
            password: secrets.postgres,
            env: foreign.includes('postgres') ? env : {},
          }),
          ...storesOf(name, system),
        };
  return { ...common, ...own, ...settings };
}

function gatewayEnvironment({ ports, env = {} }, secrets) {
  return {
    AUTH_ISSUER: env.AUTH_ISSUER ?? ISSUER,
    AUTH_AUDIENCE: env.AUTH_AUDIENCE ?? AUDIENCE,
    AUTH_JWKS: env.AUTH_JWKS ?? JSON.stringify({ keys: [secrets.issuer] }),
    DEV_ISSUER: env.AUTH_JWKS ? 'false' : 'true',
    CURSOR_KEY: secrets.cursor,
    PUBLIC_URL: env.PUBLIC_URL ?? `http://127.0.0.1:${ports.gateway}`,
  };
}

function addressOf(instance, { ports, hosts = {} }) {
  return `${hosts[instance] ?? '127.0.0.1'}:${ports[instance]}`;
}

/** Where a service's replicas are, as their clients are told: `host:port,host:port`. */
export function addressesOf(service, system) {
  return replicasOf(service, system.replicas)
    .map((instance) => addressOf(instance, system))
    .join(',');
}

/** A process as the supervisor wants it: what to run, when it is ready, how it is known to live, how it ends. */
export function processUnit(instance, system) {
  const name = serviceOf(instance);
  const ops = `http://127.0.0.1:${system.ports[`${instance}-ops`]}`;
  const url = name === 'gateway' ? `http://127.0.0.1:${system.ports.gateway}` : ops;
  return {
    name: instance,
    kind: 'process',
    program: {
      command: productNode(),
      args: [...memoryFlags(name), join(root, folderOf(name), 'dist/main.js')],
      cwd: root,
      env: environmentOf(instance, system),
    },
    // On the port of its own operators: whoever else has taken a public port would answer there, too.
    ready: { how: 'http', url: `${ops}/readyz` },
    alive: { how: 'live', url: `${ops}/livez` },
    stop: { signal: 'SIGTERM', ms: 25_000 },
    describe: { url, ...(name === 'gateway' ? { ops } : { grpc: addressOf(instance, system) }) },
  };
}
