// Servers that somebody else runs, named by a URL in the environment.
import { requireFrom } from '../paths.mjs';
import { converse } from '../ready.mjs';
import { Refusal } from '../steps.mjs';
import { atLeast, oldest, versionIn } from './versions.mjs';

const MS = 5_000;

/** How each server says its version. Drivers are those of the services, loaded only here. */
const versions = {
  async postgres(url) {
    const { Client } = requireFrom('.', 'pg');
    const client = new Client({ connectionString: url, connectionTimeoutMillis: MS });
    await client.connect();
    try {
      const { rows } = await client.query('show server_version');
      return rows[0].server_version;
    } finally {
      await client.end();
    }
  },
  async mongodb(url) {
    const { MongoClient } = requireFrom('services/content', 'mongodb');
    const client = new MongoClient(url, { serverSelectionTimeoutMS: MS });
    try {
      const { version } = await client.db('admin').command({ buildInfo: 1 });
      return version;
    } finally {
      await client.close();
    }
  },
  async redis(url) {
    const { Redis } = requireFrom('platform', 'ioredis');
    const client = new Redis(url, {
      lazyConnect: true,
      connectTimeout: MS,
      maxRetriesPerRequest: 1,
      retryStrategy: null,
    });
    client.on('error', () => {});
    try {
      await client.connect();
      return /redis_version:(\S+)/.exec(await client.info('server'))?.[1];
    } finally {
      client.disconnect();
    }
  },
  async nats(url) {
    const { hostname, port } = new URL(url.split(',')[0]);
    const hello = await converse({ host: hostname, port: Number(port || 4222), ms: MS });
    return /"version":"([^"]+)"/.exec(hello)?.[1];
  },
};

const defaultPorts = { postgres: 5432, mongodb: 27_017, redis: 6379, nats: 4222 };

/** How the supervisor can see that the server answers: its first host and port. */
export function addressIn(name, url) {
  const [, first] = /^[a-z+]+:\/\/(?:[^@/]*@)?([^/?,]+)/i.exec(url) ?? [];
  if (!first) throw new Refusal(`${variableOf(name)} is not a URL`);
  const { hostname, port } = new URL(`tcp://${first}`);
  return { how: 'tcp', host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || defaultPorts[name]) };
}

/** The variable that names a server: POSTGRES_URL, MONGODB_URL, REDIS_URL, NATS_URL. */
export function variableOf(name) {
  return `${name.toUpperCase()}_URL`;
}

/** A server named in the environment, after it has told its version; a Refusal when it cannot be used. */
export async function external(name, url) {
  const ready = addressIn(name, url);
  let text;
  try {
    text = await versions[name](url);
  } catch (error) {
    throw new Refusal(`${variableOf(name)} is set, but the server there does not answer: ${error.message}`);
  }
  const version = versionIn(text);
  if (!version || !atLeast(version, oldest[name])) {
    throw new Refusal(
      `${variableOf(name)}: version ${text ?? 'unknown'} is too old; needed is ${oldest[name].join('.')}`,
    );
  }
  return { url, ready, version: version.join('.') };
}
