// The six processes: where each lies and what its environment says.
import { join } from 'node:path';
import { AUDIENCE, ISSUER, publicHalf } from './keys.mjs';
import { serviceNames } from './names.mjs';
import { productNode, root } from './paths.mjs';

/** The folder of a process in the checkout. */
export function folderOf(name) {
  return name === 'gateway' ? 'gateway' : `services/${name}`;
}

/** The name of a service's database. */
export function databaseOf(name) {
  return `cw_${name}`;
}

/** The address of a service's database on the server of `postgresUrl` (options after `?` are kept). */
export function databaseUrl(postgresUrl, name) {
  const url = new URL(postgresUrl);
  url.pathname = `/${databaseOf(name)}`;
  return url.href;
}

/** What a process inherits: the caller's environment without what npm, Jest and the caller's own Node put into it. */
export function inherited(env) {
  const foreign = /^(npm_|JEST_|COREPACK_|NODE_OPTIONS$|NODE_ENV$|NODE$|INIT_CWD$|PWD$|OLDPWD$)/;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !foreign.test(name)));
}

/**
 * The environment of one process. `system` is `{ports, servers: {postgres, mongodb, redis, nats} (URLs), keys, data
 * (folder), env (of the caller; may name another issuer by AUTH_*), settings (win over everything)}`.
 */
export function environmentOf(name, system) {
  const { ports, servers, keys, data, env = {}, settings = {}, host = '127.0.0.1' } = system;
  const gatewayUrl = `http://127.0.0.1:${ports.gateway}`;
  const common = {
    ...inherited(env),
    NODE_ENV: 'production',
    HOST: host,
    PORT: String(ports[name]),
    NATS_URL: servers.nats,
    REDIS_URL: servers.redis,
    INTERNAL_TOKEN_KEY: JSON.stringify(keys.internal[name]),
    INTERNAL_TOKEN_JWKS: JSON.stringify({ keys: Object.values(keys.internal).map(publicHalf) }),
  };
  for (const service of serviceNames) common[`${service.toUpperCase()}_ADDRESS`] = addressOf(service, system);
  if (name === 'gateway') {
    return {
      ...common,
      AUTH_ISSUER: env.AUTH_ISSUER ?? ISSUER,
      AUTH_AUDIENCE: env.AUTH_AUDIENCE ?? AUDIENCE,
      AUTH_JWKS: env.AUTH_JWKS ?? JSON.stringify({ keys: [publicHalf(keys.issuer)] }),
      DEV_ISSUER: env.AUTH_JWKS ? 'false' : 'true',
      CURSOR_KEY: keys.cursor,
      PUBLIC_URL: env.PUBLIC_URL ?? gatewayUrl,
      ...settings,
    };
  }
  const service = {
    ...common,
    OPS_PORT: String(ports[`${name}-ops`]),
    DATABASE_URL: databaseUrl(servers.postgres, name),
  };
  if (name === 'content') Object.assign(service, { MONGODB_URL: servers.mongodb, DATA_DIR: join(data, 'content') });
  return { ...service, ...settings };
}

function addressOf(name, { ports, hosts = {} }) {
  return `${hosts[name] ?? '127.0.0.1'}:${ports[name]}`;
}

/** A process as the supervisor wants it: what to run, when it is ready, how it ends. */
export function processUnit(name, system) {
  const opsPort = name === 'gateway' ? system.ports.gateway : system.ports[`${name}-ops`];
  const url = `http://127.0.0.1:${opsPort}`;
  return {
    name,
    kind: 'process',
    program: {
      command: productNode(),
      args: [join(root, folderOf(name), 'dist/main.js')],
      cwd: root,
      env: environmentOf(name, system),
    },
    ready: { how: 'http', url: `${url}/readyz` },
    stop: { signal: 'SIGTERM', ms: 25_000 },
    describe: { url, ...(name === 'gateway' ? {} : { grpc: addressOf(name, system) }) },
  };
}
