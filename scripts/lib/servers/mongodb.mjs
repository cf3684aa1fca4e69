// MongoDB: mongod on the PATH, else the official download, else a stand-in that speaks its protocol (Java).
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { readJson, writeJson } from '../files.mjs';
import { requireFrom, root } from '../paths.mjs';
import { attempt, run } from '../run.mjs';
import { Refusal } from '../steps.mjs';
import { programOf, which } from './machine.mjs';
import { oldest, versionIn } from './versions.mjs';

const DOWNLOADER = 'mongodb-memory-server-core@11.3.0';
const DOWNLOADS = 'https://fastdl.mongodb.org/';
const VERSION = '8.0.15';
const PROBE_MS = 4_000;
const PROBE_KEPT_MS = 24 * 3600_000;
const SOURCES = join(root, 'scripts/mongo-stand-in');
const STAND_IN = 'mongo-java-server 1.47.0';

export const name = 'mongodb';
export const title = 'a MongoDB server (4.4 or newer)';

/** The Debian packages that the stand-in needs and this machine lacks. Debian's maven brings no compiler. */
export function packages() {
  return [...(which('javac') ? [] : ['default-jdk-headless']), ...(which('mvn') ? [] : ['maven'])];
}

/** Which kind of server made the data of `dir`: 'real', 'stand-in', or null when there is none yet. */
function madeBy(dir) {
  if (existsSync(join(dir, 'mongo-stand-in/store.h2'))) return 'stand-in';
  return existsSync(join(dir, 'mongodb/WiredTiger')) ? 'real' : null;
}

async function realServer(tools) {
  const program = await programOf('mongod', oldest.mongodb);
  if (program) return { how: 'machine', ...program };
  const downloaded = readJson(join(tools, 'mongod/found.json'));
  return downloaded && existsSync(downloaded.bin) ? downloaded : null;
}

/**
 * mongod on this machine, or what an earlier start downloaded or built. Data stay with the kind of server that made
 * them: the two cannot read each other's files, and bodies that commits name must not vanish.
 */
export async function find({ dir, tools }) {
  const made = madeBy(dir);
  if (made === 'stand-in') return builtStandIn(tools);
  return (await realServer(tools)) ?? (made === 'real' ? null : builtStandIn(tools));
}

/** Whether MongoDB's downloads can be reached: a question of seconds, and a no is remembered for a day. */
async function downloadsReachable(tools) {
  const file = join(tools, 'mongod/unreachable.json');
  const kept = readJson(file);
  if (kept && Date.now() - kept.at < PROBE_KEPT_MS) return false;
  try {
    const response = await fetch(DOWNLOADS, { method: 'HEAD', signal: AbortSignal.timeout(PROBE_MS) });
    if (response.status < 500) return true;
  } catch {
    // No way there: noted below.
  }
  writeJson(file, { at: Date.now(), tried: DOWNLOADS });
  return false;
}

async function download(tools) {
  const home = join(tools, 'mongod');
  mkdirSync(home, { recursive: true });
  const args = ['install', '--prefix', home, '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', DOWNLOADER];
  await run('npm', args, { cwd: home, timeoutMs: 180_000 });
  const { MongoBinary } = requireFrom(home, 'mongodb-memory-server-core/lib/util/MongoBinary.js');
  const bin = await MongoBinary.getPath({ version: VERSION, downloadDir: join(home, 'bin') });
  const version = versionIn(await attempt(bin, ['--version']));
  if (!version) throw new Error(`${bin} does not run here`);
  const found = { how: 'download', bin, version: version.join('.') };
  writeJson(join(home, 'found.json'), found);
  return found;
}

/** Gets a server: the official one where its downloads can be reached, else null (the stand-in is the next to try). */
export async function fetchFromRegistry({ dir, tools, note }) {
  if (madeBy(dir) === 'stand-in' || !(await downloadsReachable(tools))) return null;
  try {
    return await download(tools);
  } catch (error) {
    note(`the download of mongod failed: ${error.message.split('\n')[0]}`);
    return null;
  }
}

function standInFolder(tools) {
  const hash = createHash('sha256');
  for (const file of ['pom.xml', 'MongoStandIn.java']) hash.update(readFileSync(join(SOURCES, file)));
  return join(tools, `mongo-stand-in-${hash.digest('hex').slice(0, 12)}`);
}

function builtStandIn(tools) {
  const folder = standInFolder(tools);
  const java = which('java');
  if (!java || !existsSync(folder)) return null;
  return { how: 'stand-in', standIn: true, bin: java, folder, version: STAND_IN };
}

/** Builds the stand-in from Maven's packages; null where Java or Maven are missing. */
export async function buildStandIn({ dir, tools }) {
  if (madeBy(dir) === 'real') {
    throw new Refusal(
      `The bodies in ${join(dir, 'mongodb')} were written by mongod, which is not here now; put it on the PATH`,
    );
  }
  if (packages().length > 0 || !which('java')) return null;
  const folder = standInFolder(tools);
  const draft = `${folder}.${process.pid}`;
  const lib = join(draft, 'lib');
  mkdirSync(lib, { recursive: true });
  const args = ['-q', '-B', '-f', join(SOURCES, 'pom.xml'), 'dependency:copy-dependencies', `-DoutputDirectory=${lib}`];
  await run(which('mvn'), args, { timeoutMs: 300_000 });
  const source = join(SOURCES, 'MongoStandIn.java');
  await run(which('javac'), ['-cp', join(lib, '*'), '-d', join(draft, 'classes'), source], { timeoutMs: 120_000 });
  rmSync(folder, { recursive: true, force: true });
  renameSync(draft, folder);
  return builtStandIn(tools);
}

/** What to run. Both kinds answer a write asked for with `j: true` after it is on the disk. */
export async function unit(found, { dir, port }) {
  const data = join(dir, found.standIn ? 'mongo-stand-in' : 'mongodb');
  mkdirSync(data, { recursive: true });
  const { bin, folder } = found;
  const standIn = () => {
    const path = [join(folder, 'classes'), join(folder, 'lib/*')].join(delimiter);
    const flags = [
      '-Xmx256m',
      '-XX:+ExitOnOutOfMemoryError',
      '-XX:+UseSerialGC',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
    ];
    return [...flags, '-cp', path, 'MongoStandIn', join(data, 'store.h2'), String(port)];
  };
  const real = () => ['--dbpath', data, '--port', String(port), '--bind_ip', '127.0.0.1', '--nounixsocket', '--quiet'];
  return {
    program: { command: bin, args: found.standIn ? standIn() : real(), cwd: data },
    url: `mongodb://127.0.0.1:${port}/coursewright`,
    ready: { how: 'mongodb', port },
    // mongod may be busy with its journal for long; the stand-in has no such work.
    ...(found.standIn ? { alive: { how: 'mongodbPing', port } } : {}),
    stop: { signal: 'SIGTERM', ms: 20_000 },
    data,
  };
}
